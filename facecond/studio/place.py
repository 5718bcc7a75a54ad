"""Where the studio is served: at an address of this machine that is free, past every proxy."""

from __future__ import annotations

import errno
import os
import socket

from facecond.errors import UserError

HOSTS = "Use 127.0.0.1 (this machine only), 0.0.0.0 (all networks) or an address of this machine."
PORTS = "Choose another --port, or end what uses it."


def check_place(host: str, port: int) -> None:
    """Find out whether anything can be served there, before what takes long; a server that fails
    says little of the cause.

    Raises:
        UserError: no such host, one that is not this machine, a port that is taken or closed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "it is no host name"
        raise UserError(f"this host is not known ({why})", f"--host {host}", HOSTS) from None
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                what = "this is no address of this machine"
                raise UserError(what, f"--host {host}", HOSTS) from None
            what = f"cannot serve there ({error.strerror})"
            raise UserError(what, f"{host}:{port}", PORTS) from None


def spare_proxies(host: str) -> None:
    """Have calls to this machine go past a proxy that the environment names: Gradio asks its own
    server whether it has begun."""
    for name in ("NO_PROXY", "no_proxy"):
        known = [part.strip() for part in os.environ.get(name, "").split(",") if part.strip()]
        ours = [one for one in ("127.0.0.1", "localhost", host) if one not in known]
        os.environ[name] = ",".join(dict.fromkeys([*known, *ours]))
