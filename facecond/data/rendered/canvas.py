"""The painter: posed outlines -> anti-aliased coverage -> colour and label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import cv2
import numpy as np

from facecond.labels import MASK_CLASSES

Colour = np.ndarray
"""float32 RGB in 0..1, [3] or [3, S, S]."""


_EGG = np.array([4.0, 2.78])
_EGG_MIDDLE = np.array([0.0, 0.056])
_BOTH = np.ones(2)
# Half axes 0.25 and 0.36 around (0, 0.02): the part of the head that bulges forward.


@dataclass(frozen=True)
class Pose:
    """Where the head is: face units (x right, y down, origin between the eyes) -> frame 0..1."""

    x: float
    y: float
    scale: float
    roll: float
    yaw: float

    def axes(self, angle: float) -> np.ndarray:
        """Where the x and y axes of the face point to, [2, 2]."""
        c, s = self.scale * math.cos(angle), self.scale * math.sin(angle)
        return np.array([(c, s), (-s, c)])


class Layer(NamedTuple):
    """Coverage float32 [h, w] in 0..1 of a rectangle of the canvas."""

    rows: slice
    cols: slice
    alpha: np.ndarray

    def clipped(self, coverage: np.ndarray) -> Layer:
        """This layer inside a full-size coverage [S, S]."""
        return Layer(self.rows, self.cols, self.alpha * coverage[self.rows, self.cols])

    def scaled(self, strength: float) -> Layer:
        return Layer(self.rows, self.cols, self.alpha * np.float32(strength))


class Canvas:
    """Picture float32 [3, S, S] in 0..1 and label mask uint8 [S, S] under one pose.

    `u`, `v` are the face coordinates of each pixel (without the turn of the head).
    """

    def __init__(self, size: int, pose: Pose) -> None:
        self.size, self.pose = size, pose
        self.image = np.zeros((3, size, size), np.float32)
        self.mask = np.zeros((size, size), np.uint8)
        self._fine = 4 if size <= 96 else 3 if size <= 160 else 2
        unit = 16 * self._fine * size  # outlines are placed in 1/16 of a fine pixel
        self._origin = np.array([pose.x, pose.y]) * unit
        self._head = pose.axes(pose.roll) * unit
        self._body = pose.axes(0.35 * pose.roll) * unit  # shoulders follow the tilt in part
        self._turn = pose.yaw * self._head[0]
        self._axis = np.arange(size, dtype=np.float32) + np.float32(0.5)
        axis = self._axis / size
        x, y = axis[None] - pose.x, axis[:, None] - pose.y
        c, s = math.cos(pose.roll) / pose.scale, math.sin(pose.roll) / pose.scale
        self.u = np.asarray(c * x + s * y, np.float32)
        self.v = np.asarray(c * y - s * x, np.float32)

    def _place(self, points: np.ndarray) -> np.ndarray:
        """Points of the head; turning it moves what bulges towards the viewer."""
        reach = points * _EGG
        reach -= _EGG_MIDDLE
        reach *= reach
        depth = 1.0 - reach @ _BOTH
        np.sqrt(np.maximum(depth, 0.0, out=depth), out=depth)
        spots: np.ndarray = points @ self._head
        spots += depth[:, None] * self._turn
        spots += self._origin
        return spots

    def shape(
        self, points: np.ndarray | Sequence[np.ndarray], soft: float = 0.0, body: bool = False
    ) -> Layer:
        """Coverage of closed outlines [N, 2] in face units, blurred by `soft` face units.

        Several outlines, which must not overlap, make one layer.
        """
        k, size = self._fine, self.size
        parts = None
        if not isinstance(points, np.ndarray):
            parts, points = points, np.concatenate(points)
        spots = points @ self._body + self._origin if body else self._place(points)
        corners = spots.astype(np.int32)
        x, y, width, height = cv2.boundingRect(corners)
        sigma = soft * size * self.pose.scale
        pad, pixel = 1 + math.ceil(2.5 * sigma), 16 * k
        left, right = max(0, x // pixel - pad), min(size, (x + width) // pixel + 1 + pad)
        top, bottom = max(0, y // pixel - pad), min(size, (y + height) // pixel + 1 + pad)
        rows, cols = slice(top, bottom), slice(left, right)
        height, width = bottom - top, right - left
        if height <= 0 or width <= 0:
            return Layer(slice(0, 0), slice(0, 0), np.zeros((0, 0), np.float32))
        fine = np.zeros((height * k, width * k), np.uint8)
        corners -= (left * pixel + 8, top * pixel + 8)
        contours = [corners]
        if parts is not None:
            ends = list(accumulate(len(part) for part in parts))
            contours = [
                corners[end - len(part) : end] for end, part in zip(ends, parts, strict=True)
            ]
        cv2.fillPoly(fine, contours, 255, cv2.LINE_8, 4)
        coarse = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
        alpha = np.multiply(coarse, np.float32(1 / 255), dtype=np.float32)
        if sigma > 0.2:
            alpha = cv2.GaussianBlur(alpha, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        return Layer(rows, cols, alpha)

    def blob(self, x: float, y: float, rx: float, ry: float, tilt: float = 0.0) -> Layer:
        """Gaussian spot at a head point, standard deviations in face units, tilt in radians."""
        spot = self._place(np.array([[x, y]]))[0] / (16 * self._fine)
        reach = 2.6 * max(rx, ry) * self.size * self.pose.scale
        px, py, size = float(spot[0]), float(spot[1]), self.size
        left, right = (min(max(int(e), 0), size) for e in (px - reach, px + reach + 1))
        top, bottom = (min(max(int(e), 0), size) for e in (py - reach, py + reach + 1))
        rows, cols = slice(top, bottom), slice(left, right)
        dx, dy = self._axis[left:right] - px, (self._axis[top:bottom] - py)[:, None]
        angle, unit = self.pose.roll + tilt, math.sqrt(0.5) / (size * self.pose.scale)
        c, s = math.cos(angle) * unit, math.sin(angle) * unit
        alpha = (c / rx) * dx + (s / rx) * dy
        alpha *= alpha
        along = (c / ry) * dy - (s / ry) * dx
        along *= along
        alpha += along
        np.exp(np.negative(alpha, out=alpha), out=alpha)
        return Layer(rows, cols, alpha)

    def full(self, layer: Layer) -> np.ndarray:
        """The layer as coverage of the whole canvas, float32 [S, S]."""
        coverage = np.zeros((self.size, self.size), np.float32)
        coverage[layer.rows, layer.cols] = layer.alpha
        return coverage

    def paint(self, layer: Layer, colour: Colour, label: str | None = None) -> None:
        """Lay a colour over the picture; where it covers more than half, the label changes."""
        part = self.image[:, layer.rows, layer.cols]
        ink = colour[:, None, None] if colour.ndim == 1 else colour[:, layer.rows, layer.cols]
        part += layer.alpha * (ink - part)
        if label is not None:
            self.mark(layer, label)

    def mark(self, layer: Layer, label: str) -> None:
        """Set the label where the layer covers more than half, without paint."""
        self.mask[layer.rows, layer.cols][layer.alpha > 0.5] = MASK_CLASSES.index(label)

    def mark_sides(self, layer: Layer, part: str) -> None:
        """Set `l_` and `r_` labels of a part; the subject's left is the right of the picture."""
        right = self.u[layer.rows, layer.cols] > 0
        labels = self.mask[layer.rows, layer.cols]
        solid = layer.alpha > 0.5
        labels[solid & right] = MASK_CLASSES.index("l_" + part)
        labels[solid & ~right] = MASK_CLASSES.index("r_" + part)

    def shade(self, layer: Layer, factor: Colour) -> None:
        """Multiply the picture by a colour where the layer covers it."""
        part = self.image[:, layer.rows, layer.cols]
        part *= 1 + layer.alpha * (factor - 1)[:, None, None]


def rgb(red: float, green: float, blue: float) -> Colour:
    """0..255 -> float32 [3] in 0..1."""
    return np.array([red, green, blue], np.float32) / np.float32(255)


def times(field: np.ndarray, tone: Colour) -> Colour:
    """Brightness [S, S] of a tone [3] -> [3, S, S], float32, clipped to 0..1."""
    product: Colour = np.multiply(field, tone[:, None, None], dtype=np.float32)
    return np.clip(product, 0, 1, out=product)


def grey(value: float) -> Colour:
    return np.full(3, value, np.float32)
