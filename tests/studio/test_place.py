"""Where the studio can be served, and the proxies that are kept out of it."""

from __future__ import annotations

import os
import socket
import urllib.request

import pytest

from facecond.errors import UserError
from facecond.studio.place import check_place, spare_proxies


def test_a_place_that_is_free() -> None:
    check_place("127.0.0.1", 0)
    check_place("localhost", 0)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("no.such.host.invalid", r"--host no\.such\.host\.invalid: this host is not known \("),
        ("a..b", r"it is no host name\)\. Use 127\.0\.0\.1"),
        ("192.0.2.1", "this is no address of this machine"),  # of those kept for examples
    ],
)
def test_hosts_that_are_none(host: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_place(host, 0)


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}: .* another --port"):
            check_place("127.0.0.1", port)


def test_calls_to_this_machine_go_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org, localhost")
    monkeypatch.setenv("NO_PROXY", "")
    for _ in range(2):
        spare_proxies("studio.lan")
    assert os.environ["no_proxy"] == "example.org,localhost,127.0.0.1,studio.lan"
    assert os.environ["NO_PROXY"] == "127.0.0.1,localhost,studio.lan"
    assert urllib.request.proxy_bypass("127.0.0.1") and urllib.request.proxy_bypass("studio.lan")
    assert not urllib.request.proxy_bypass("example.com")
