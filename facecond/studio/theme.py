"""Gradio's own look, seen only where it asks for the password: the page's colours, no fonts of
its own."""

from __future__ import annotations

from typing import Any

FONTS = ("-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "Arial", "sans-serif")


def sober_theme(gradio: Any) -> Any:
    """A theme in paper and ink."""
    theme = gradio.themes.Base(
        primary_hue="stone", neutral_hue="stone", font=FONTS, font_mono=("monospace",)
    )
    return theme.set(
        body_background_fill="#fbfaf7",
        body_background_fill_dark="#15171b",
        background_fill_primary="#fbfaf7",
        background_fill_primary_dark="#15171b",
        background_fill_secondary="#fbfaf7",
        background_fill_secondary_dark="#15171b",
        input_background_fill="#ffffff",
        input_background_fill_dark="#1c1f25",
        input_border_color="#e4e1da",
        input_border_color_dark="#2b2f36",
        input_border_width="1px",
        button_primary_background_fill="#1f2328",
        button_primary_background_fill_hover="#3a3f46",
        button_primary_text_color="#fbfaf7",
        button_primary_background_fill_dark="#ebe9e3",
        button_primary_background_fill_hover_dark="#ffffff",
        button_primary_text_color_dark="#15171b",
        button_large_radius="11px",
        block_radius="12px",
        input_radius="9px",
    )
