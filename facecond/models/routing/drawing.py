"""A routing as a picture: layers x sources, each cell its gate over the noise levels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facecond.models.routing.table import Routing
from facecond.models.routing.windows import flow_log_snr, flow_tau

CELL, HEIGHT, GAP, STEPS = 120, 20, 3, 60
INK, PAPER, GRID = "#20242b", "#ffffff", "#c9ced6"
FULL = np.array([31, 93, 166])
"""Colour of the strongest gate in the picture."""


def draw(
    routing: Routing, tau_of: Callable[[float], float] = lambda s: float(flow_tau(s))
) -> Image.Image:
    """Draw the gates: blue = on (darker = stronger; left tau 0, the picture; right tau 1, noise),
    crossed = off, empty = absent.

    Args:
        tau_of: logSNR -> tau of the noise schedule to draw the gates over.
    """
    at = np.array([flow_log_snr((step + 0.5) / STEPS) for step in range(STEPS)])
    gates = np.abs(routing.gates(at))  # [T, L, S]
    columns = np.clip([int(tau_of(float(s)) * CELL) for s in at], 0, CELL - 1)  # [T]
    strength = gates / max(float(gates.max(initial=0)), 1e-9)
    states = routing.states()
    font = ImageFont.load_default(size=12)
    labels = [f"{layer.id}  {layer.stage} {layer.resolution}" for layer in routing.layers]
    left = max((round(font.getlength(label)) for label in labels), default=0) + 16
    top = 44
    width = left + len(routing.sources) * (max(CELL, 1) + GAP) + 12
    height = top + len(labels) * (HEIGHT + GAP) + 24
    image = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((8, 6), f"routing '{routing.name}' ({routing.combine})", fill=INK, font=font)
    for column, source in enumerate(routing.sources):
        x = left + column * (CELL + GAP)
        pen.text((x + CELL / 2, top - 6), source, fill=INK, font=font, anchor="ms")
        pen.text((x, height - 8), "tau 0", fill=INK, font=font, anchor="ls")
        pen.text((x + CELL, height - 8), "1", fill=INK, font=font, anchor="rs")
        for row, label in enumerate(labels):
            y = top + row * (HEIGHT + GAP)
            if column == 0:
                pen.text((8, y + HEIGHT / 2), label, fill=INK, font=font, anchor="lm")
            if states[row][column] == "on":
                levels = np.interp(np.arange(CELL), columns, strength[:, row, column])  # [CELL]
                strip = 255 - levels[:, None] * (255 - FULL)  # [CELL, 3]
                cell = np.broadcast_to(strip.astype(np.uint8), (HEIGHT, CELL, 3))
                image.paste(Image.fromarray(cell.copy()), (x, y))
            elif states[row][column] == "off":
                pen.line((x, y, x + CELL, y + HEIGHT), fill=GRID)
                pen.line((x, y + HEIGHT, x + CELL, y), fill=GRID)
            pen.rectangle((x, y, x + CELL, y + HEIGHT), outline=GRID)
    return image
