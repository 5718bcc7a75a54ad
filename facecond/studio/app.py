"""The page and its server: Gradio shows one component and carries the calls.

The page is the project's own HTML, CSS and JavaScript inside `gr.HTML`; its calls go through
Gradio's queue (`gradio_api/call/NAME`), which also asks for the password where there is one.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator
from typing import Any

from facecond.editing.edit import STRENGTH
from facecond.errors import UserError, reason
from facecond.labels import (
    ANYTHING_COLOUR,
    ATTRIBUTES,
    EXCLUSIVE,
    MASK_CLASSES,
    MIRRORED_CLASSES,
    PALETTE,
)
from facecond.studio import limits
from facecond.studio.attributes import GROUPS, PRESETS, spoken
from facecond.studio.edits import REGIONS_SHOWN
from facecond.studio.endpoints import Endpoints
from facecond.studio.line import Line
from facecond.studio.page_files import page_script, page_text
from facecond.studio.place import PORTS, spare_proxies
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts
from facecond.studio.theme import sober_theme

TITLE = "facecond studio"
INSTALL = 'pip install -e ".[studio]"'
QUICK_CALLS = ("cancel", "start", "reference", "photo", "export", "surprise")
STREAMS = ("draw", "edit")
EVENTS = 2 * limits.WAITING
"""Drawings that Gradio carries at a time: more than the line takes, which says no itself."""
SESSIONS = 4 * EVENTS
"""Sessions whose state Gradio keeps. Every call is a session to it, and has none that is needed
afterwards; it would keep 10,000, which is some 20 kB each."""


def build(session: ModelSession, starts: Starts) -> Any:
    """The studio for a model, as `gradio.Blocks`, not started yet.

    Raises:
        UserError: Gradio is not installed.
    """
    gradio = require_gradio()
    endpoints = Endpoints(session, starts, Line())
    with gradio.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gradio.HTML(
            value="",
            html_template='<div class="facecond-studio"></div>',
            css_template="",
            js_on_load=page_script(facts(session, starts)),
            apply_default_css=False,
            elem_id="studio",
        )
        for name in STREAMS:
            call = _with_address(getattr(endpoints, name))
            gradio.api(call, api_name=name, concurrency_limit=EVENTS, concurrency_id="line")
        for name in QUICK_CALLS:
            gradio.api(getattr(endpoints, name), api_name=name, queue=False)
    blocks.queue(max_size=SESSIONS, api_open=False)
    return blocks


def _with_address(stream: Callable[[dict, str], Iterator[dict]]) -> Any:
    """A stream as Gradio calls it, which gives the request to a parameter of that type."""

    def call(value: dict, request: Any) -> Iterator[dict]:
        yield from stream(value, request.client.host)

    call.__annotations__["request"] = require_gradio().Request
    call.__annotations__ |= {"value": dict, "return": Iterator[dict]}
    return call


def facts(session: ModelSession, starts: Starts) -> dict[str, Any]:
    """What the page is built from, as JSON values."""
    classes = [
        {"id": value, "name": name, "colour": PALETTE[value].tolist()}
        for value, name in enumerate(MASK_CLASSES)
    ]
    return {
        "model": session.described(),
        "classes": classes,
        "anything": list(ANYTHING_COLOUR),
        "mirrored": MIRRORED_CLASSES,
        "templates": starts.thumbnails(),
        "photos": starts.reader.parser is not None,
        "edit": {"regions": REGIONS_SHOWN, "strength": STRENGTH},
        "traits": {
            "groups": [{"name": name, "members": members} for name, members in GROUPS.items()],
            "words": {name: spoken(name) for name in ATTRIBUTES},
            "exclusive": EXCLUSIVE,
            "presets": PRESETS,
        },
        "limits": {
            "count": limits.COUNT,
            "steps": limits.STEPS,
            "scale": limits.SCALE,
            "seed": limits.SEED,
            "upload": limits.UPLOAD_BYTES,
            "references": limits.REFERENCES,
            "takes": limits.TAKES,
            "weight": limits.WEIGHT,
        },
    }


def start(blocks: Any, host: str, port: int | None, password: str | None = None) -> str:
    """Serve the studio from a thread of its own; returns its address.

    Args:
        port: None = one that is free.

    Raises:
        UserError: the port is taken, or the server does not start.
    """
    from starlette.middleware import Middleware

    from facecond.studio.body_limit import BodyLimit
    from facecond.studio.login_delay import LoginDelay

    def knows(user: str, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (password or "").encode())

    spare_proxies(host)
    where = host if port is None else f"{host}:{port}"
    try:
        _, address, _ = blocks.launch(
            server_name=f"[{host}]" if ":" in host else host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            auth=knows if password else None,
            auth_message="Any name, and the studio's password.",
            footer_links=[],
            show_error=False,
            ssr_mode=False,
            run_history=False,
            pwa=False,
            mcp_server=False,
            max_file_size=1,
            enable_monitoring=False,
            state_session_capacity=SESSIONS,
            css=page_text("outside.css"),
            theme=sober_theme(require_gradio()),
            app_kwargs={
                "middleware": [
                    Middleware(
                        BodyLimit,
                        largest=limits.BODY_BYTES,
                        calls=QUICK_CALLS,
                        streams=STREAMS,
                    ),
                    Middleware(LoginDelay, seconds=limits.WRONG_PASSWORD_SECONDS),
                ]
            },
        )
    except OSError:
        raise UserError("cannot serve there", where, PORTS) from None
    except Exception as error:  # Gradio's own kinds, and those of the client that it asks itself by
        fix = "Check that this machine can reach itself: proxy, firewall, /etc/hosts."
        raise UserError(f"the server does not start ({reason(error)})", where, fix) from error
    return str(address)


def require_gradio() -> Any:
    """Gradio, told to stay off the network and to keep no statistics; raises `UserError` when it is
    not installed."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # It would sum up its last 10,000 calls after every call, for a page that is closed here.
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio
    except ImportError:
        fix = f"Install it, in facecond's folder: {INSTALL}"
        raise UserError("Gradio is not installed", "studio", fix) from None
    return gradio
