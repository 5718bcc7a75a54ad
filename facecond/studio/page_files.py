"""The page as text: its HTML, CSS and JavaScript, put together from `page/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

SCRIPTS = (
    "dom.js",
    "server.js",
    "mask.js",
    "painter.js",
    "palette.js",
    "starts.js",
    "traits.js",
    "guidance.js",
    "reference.js",
    "routing.js",
    "zip.js",
    "photo.js",
    "faces.js",
    "history.js",
    "drawing.js",
    "shortcuts.js",
    "main.js",
)
"""In order: each may use what those before it define."""

STYLES = ("base.css", "painter.css", "panels.css", "pictures.css", "faces.css", "narrow.css")


def page_text(name: str) -> str:
    """One file of the page."""
    return (files("facecond.studio") / "page" / name).read_text(encoding="utf-8")


def page_script(facts: Mapping[str, Any]) -> str:
    """JavaScript that builds the page in a shadow root of `element`, where no style of Gradio
    reaches it and none of its own leaves."""
    given = {
        "FACTS": facts,
        "STYLE": "\n".join(map(page_text, STYLES)),
        "MARKUP": page_text("studio.html"),
    }
    constants = [f"const {name} = {json.dumps(value)};" for name, value in given.items()]
    return "\n".join([*constants, *map(page_text, SCRIPTS)])
