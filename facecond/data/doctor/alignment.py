"""Does a mask lie on its picture? Edges and colours of the picture against the mask's borders.

Three cheap statistics, all of which need nothing but the folder itself:

- edges: mean rank of the colour step across the mask's borders (1 = the sharpest of the picture).
  Over all shifts of the mask it has a peak where mask and picture agree, so the place of the peak
  says how far a mask lies off, and the peak of the mirrored mask whether one of them is mirrored.
- peak: how far the agreement in place stands out of all shifts, in standard deviations.
- fits: edges, and the colour likelihood of a Gaussian per class, of the own mask against those of
  `BANK` other faces, in standard deviations. A foreign mask is one among them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2

SIDE = 128
"""Pictures and masks are compared at this size."""
COLOUR_SIDE = 64
BANK = 32
"""Masks of other faces that each mask is compared with."""
FEWEST = 8
"""With fewer, only shifts and mirroring are looked for."""

REACH = 20  # shifts are searched up to this many pixels of SIDE
SHIFTED, COARSE = 3.5, 2.5
"""A peak this many pixels of SIDE (2.7%) from the middle is a shift, if it is also that many
pixels of the picture itself, which may be smaller."""
CLEAR = 3.0
"""A peak of less than this many deviations is no shift but a mask that fits nowhere."""
MIRRORED = 0.02
"""Edge agreement that the mirrored mask must win by."""
FOREIGN = 7.25
"""Below this sum of peak, edge fit and half the colour fit, a mask is that of another picture."""

GROUPS = np.full(256, 12)
"""Classes told apart here: both eyes are one, as are the parts of the skin; 12 is not known."""
GROUPS[:19] = [0, 1, 1, 2, 3, 3, 4, 4, 1, 1, 5, 6, 6, 7, 8, 9, 1, 10, 11]
_UNKNOWN = 12
_KNOWN_SHARE = 0.3  # masks that leave more open are not judged


@dataclass(frozen=True)
class Alignment:
    """What was measured for one face.

    Attributes:
        best: edge agreement in the best place, above that of chance (-0.5 to 0.5).
        best_mirrored: that of the mirrored mask, in its best place.
        shift: (dx, dy) of the best place, as a share of the side.
        tolerance: length that a shift must have to count, as a share of the side.
        peak: how far the agreement in place stands out of all shifts, in deviations.
        best_peak: the same of the best place.
        edge_fit, colour_fit: see the module; None without enough other masks.
    """

    best: float
    best_mirrored: float
    shift: tuple[float, float]
    tolerance: float
    peak: float
    best_peak: float
    edge_fit: float | None
    colour_fit: float | None

    def verdict(self) -> str | None:
        """Code of the finding, or None when the mask fits."""
        if self.best_mirrored > self.best + MIRRORED:
            return "mask-mirrored"
        stands_out = self.best_peak >= CLEAR
        if np.hypot(*self.shift) >= self.tolerance:
            return "mask-shifted" if stands_out else "mask-of-other"
        if self.edge_fit is None or self.colour_fit is None:
            return None
        fit = self.peak + self.edge_fit + 0.5 * self.colour_fit
        return "mask-of-other" if fit < FOREIGN else None

    def evidence(self) -> dict[str, Any]:
        """The measurements as JSON values, rounded."""
        numbers = {key: value for key, value in asdict(self).items() if isinstance(value, float)}
        shift = [round(share, 4) for share in self.shift]
        return {key: round(value, 3) for key, value in numbers.items()} | {"shift": shift}


@dataclass(frozen=True)
class Bank:
    """Masks of other faces, uint8 [K, SIDE, SIDE] of classes, to compare each mask with."""

    names: tuple[str, ...]
    masks: np.ndarray

    @cached_property
    def borders(self) -> np.ndarray:
        """float32 [K, 2 * SIDE * (SIDE - 1)]: `_borders` of each mask, each summing to 1."""
        rows = np.array([_flat(_borders(GROUPS[mask])) for mask in self.masks], np.float32)
        return rows / np.maximum(rows.sum(1, keepdims=True), 1)

    @cached_property
    def regions(self) -> np.ndarray:
        """float32 [K, 12, COLOUR_SIDE ** 2]: which pixels are of which group."""
        return np.array([_regions(mask) for mask in self.masks], np.float32)


def central_square(pixels: np.ndarray) -> np.ndarray:
    """The largest centred square of [h, w, ...]."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def at_side(mask: np.ndarray) -> np.ndarray:
    """Central square of a mask uint8 [H, W] -> uint8 [SIDE, SIDE] by nearest."""
    mask = np.ascontiguousarray(central_square(mask))
    return cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST_EXACT)


def measure(name: str, image: np.ndarray, mask: np.ndarray, bank: Bank) -> Alignment | None:
    """Compare a picture uint8 [h, w, 3] with its mask uint8 [SIDE, SIDE] of classes.

    The own mask is left out of the bank. None when the mask has too little to compare.
    """
    groups = GROUPS[mask]
    borders = _borders(groups)
    if (groups != _UNKNOWN).mean() < _KNOWN_SHARE or sum(b.sum() for b in borders) < SIDE // 4:
        return None
    steps = _steps(_resized(image, SIDE))
    surface, mirrored = _agreement(steps, borders, _borders(groups[:, ::-1]))
    middle = slice(REACH - 1, REACH + 2)
    down, across = np.unravel_index(surface.argmax(), surface.shape)
    shift = (float(across - REACH) / SIDE, float(down - REACH) / SIDE)
    best, spread = float(surface.max()), max(float(surface.std()), 1e-6)
    peak = (float(surface[middle, middle].max()) - float(surface.mean())) / spread
    best_peak = (best - float(surface.mean())) / spread
    others = [i for i, other in enumerate(bank.names) if other != name]
    edge_fit = colour_fit = None
    if len(others) >= FEWEST:
        flat = _flat(steps)
        own = float((_flat(borders) @ flat) / max(_flat(borders).sum(), 1))
        edge_fit = _standing(own, (bank.borders @ flat)[others])
        colours = _moments(_resized(image, COLOUR_SIDE))
        own = float(_likelihood(colours, _regions(mask)[None])[0])
        colour_fit = _standing(own, _likelihood(colours, bank.regions)[others])
    turned, tolerance = float(mirrored.max()), max(SHIFTED / SIDE, COARSE / min(image.shape[:2]))
    return Alignment(best, turned, shift, tolerance, peak, best_peak, edge_fit, colour_fit)


def _standing(own: float, others: np.ndarray) -> float:
    return float((own - others.mean()) / max(float(others.std()), 1e-6))


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    shrinks = min(image.shape[:2]) >= side
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (side, side), interpolation=kind)


def _steps(image: np.ndarray) -> np.ndarray:
    """Colour steps to the right and downward neighbour, as ranks from 0 to 1: two [S, S] maps.

    Ranks make pictures of any contrast alike. The last column (row) has no neighbour: 0.
    """
    smooth = cv2.GaussianBlur(image, (0, 0), 0.8)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB).astype(np.float32)
    right = np.sqrt(((lab[:, 1:] - lab[:, :-1]) ** 2).sum(-1))
    down = np.sqrt(((lab[1:] - lab[:-1]) ** 2).sum(-1))
    values = np.concatenate([right.ravel(), down.ravel()])
    ranks = np.empty(len(values), np.float32)
    ranks[values.argsort()] = np.linspace(0, 1, len(values), dtype=np.float32)
    maps = np.zeros((2, *image.shape[:2]), np.float32)
    maps[0, :, :-1] = ranks[: right.size].reshape(right.shape)
    maps[1, :-1] = ranks[right.size :].reshape(down.shape)
    return maps


def _borders(groups: np.ndarray) -> np.ndarray:
    """float32 [2, S, S]: 1 where the right (downward) neighbour is of another known group."""
    found = np.zeros((2, *groups.shape), np.float32)
    known = groups != _UNKNOWN
    found[0, :, :-1] = (groups[:, 1:] != groups[:, :-1]) & known[:, 1:] & known[:, :-1]
    found[1, :-1] = (groups[1:] != groups[:-1]) & known[1:] & known[:-1]
    return found


def _flat(maps: np.ndarray) -> np.ndarray:
    return np.concatenate([np.asarray(part).ravel() for part in maps])


def _agreement(steps: np.ndarray, *borders: np.ndarray) -> list[np.ndarray]:
    """Mean rank under the borders for every shift: [2 * REACH + 1] squared, no shift in the middle.

    The mean rank of a step is 0.5; it is taken off first, so that what a shift moves out of the
    picture counts as neither.
    """
    size = next_fast_len(SIDE + REACH, real=True)
    centred = np.where(steps > 0, steps - 0.5, 0)
    spectrum = rfft2(centred, (size, size))
    found = []
    for border in borders:
        total = (spectrum * rfft2(border, (size, size)).conj()).sum(0)
        surface = irfft2(total, (size, size)) / max(float(border.sum()), 1.0)
        found.append(np.roll(surface, (REACH, REACH), (0, 1))[: 2 * REACH + 1, : 2 * REACH + 1])
    return found


def _regions(mask: np.ndarray) -> np.ndarray:
    """Mask uint8 [SIDE, SIDE] -> float32 [12, COLOUR_SIDE ** 2]: the pixels of each group."""
    size = (COLOUR_SIDE, COLOUR_SIDE)
    small = GROUPS[cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)]
    return (small.ravel() == np.arange(_UNKNOWN)[:, None]).astype(np.float32)


def _moments(image: np.ndarray) -> np.ndarray:
    """float32 [P, 10] per pixel: 1, the colour in Lab from 0 to 1, and its six products."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.float32) / 255
    first, second = np.triu_indices(3)
    return np.concatenate([np.ones_like(lab[:, :1]), lab, lab[:, first] * lab[:, second]], 1)


def _likelihood(moments: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """[K]: log-likelihood per pixel of a Gaussian per group, up to a constant.

    With maximum-likelihood Gaussians it is minus the mean of half the log determinant of each
    pixel's group: small where the regions are of one colour each.
    """
    sums = (regions.reshape(-1, regions.shape[2]) @ moments).reshape(*regions.shape[:2], 10)
    sums = sums.astype(np.float64)
    count = sums[..., 0]
    mean = sums[..., 1:] / np.maximum(count, 1)[..., None]
    first, second = np.triu_indices(3)
    covariance = np.zeros((*count.shape, 3, 3))
    covariance[..., first, second] = covariance[..., second, first] = mean[..., 3:]
    covariance -= mean[..., :3, None] * mean[..., None, :3]
    covariance += np.eye(3) * 0.01**2  # half of what 8 bits can tell apart, and a little noise
    spread = np.linalg.slogdet(covariance)[1]
    counted = np.where(count >= 8, count, 0)
    return -0.5 * (counted * spread).sum(1) / np.maximum(counted.sum(1), 1)
