"""The page and its server: Gradio shows one component and carries the calls.

The page is the project's own HTML, CSS and JavaScript inside `gr.HTML`; its calls go through
Gradio's queue (`gradio_api/call/NAME`), which also asks for the password where there is one.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator
from typing import Any

from facecond.errors import UserError
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
from facecond.studio.endpoints import Endpoints
from facecond.studio.line import Line
from facecond.studio.page_files import page_script, page_text
from facecond.studio.session import ModelSession
from facecond.studio.starts import Starts
from facecond.studio.theme import sober_theme

TITLE = "facecond studio"
INSTALL = 'pip install "facecond[studio]"'
QUICK_CALLS = ("cancel", "start", "reference", "export", "surprise")
EVENTS = 2 * limits.WAITING
"""Drawings that Gradio carries at a time: more than the line takes, which says no itself."""


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
        gradio.api(_with_address(endpoints), api_name="draw", concurrency_limit=EVENTS)
        for name in QUICK_CALLS:
            gradio.api(getattr(endpoints, name), api_name=name, queue=False)
    blocks.queue(max_size=4 * EVENTS, api_open=False)
    return blocks


def _with_address(endpoints: Endpoints) -> Any:
    """`draw` as Gradio calls it, which gives the request to a parameter of that type."""

    def draw(value: dict, request: Any) -> Iterator[dict]:
        yield from endpoints.draw(value, request.client.host)

    draw.__annotations__["request"] = require_gradio().Request
    draw.__annotations__ |= {"value": dict, "return": Iterator[dict]}
    return draw


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
        "photos": starts.parser is not None,
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
        UserError: the port is taken.
    """
    from starlette.middleware import Middleware

    from facecond.studio.body_limit import BodyLimit
    from facecond.studio.login_delay import LoginDelay

    def knows(user: str, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (password or "").encode())

    try:
        _, address, _ = blocks.launch(
            server_name=host,
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
            css=page_text("outside.css"),
            theme=sober_theme(require_gradio()),
            app_kwargs={
                "middleware": [
                    Middleware(
                        BodyLimit,
                        largest=limits.BODY_BYTES,
                        calls=QUICK_CALLS,
                        streams=("draw",),
                    ),
                    Middleware(LoginDelay, seconds=limits.WRONG_PASSWORD_SECONDS),
                ]
            },
        )
    except OSError as error:
        fix = "Choose another --port, or end what uses it."
        raise UserError(f"cannot serve there ({error})"[:160], f"{host}:{port}", fix) from None
    return str(address)


def require_gradio() -> Any:
    """Gradio, told to stay off the network; raises `UserError` when it is not installed."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import gradio
    except ImportError:
        raise UserError("Gradio is not installed", "studio", f"Install it: {INSTALL}") from None
    return gradio
