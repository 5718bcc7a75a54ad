"""The same picture twice: equal files, and pictures that a perceptual hash finds alike.

A 64-bit hash (signs of the low frequencies of a cosine transform) proposes pairs, found by bands
of bits and not by comparing all with all; small copies of the two pictures, laid over each other
at several scales and shifts, decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from facecond.data.doctor.alignment import central_square

SMALL = 64
"""Side of the small copies."""
DISTANCE = 12
"""Hashes of a pair differ in at most this many bits."""
ALIKE = 0.982
"""Correlation of the small copies from which on two pictures count as one. Re-encoded, rescaled,
brightened, slightly cropped and mirrored copies reach 0.987; of 11 million pairs of different real
pictures none came above 0.973."""

_BANDS = ((0, 9), (9, 9), (18, 9), (27, 9), (36, 9), (45, 9), (54, 10))
"""(first bit, bits): twelve wrong bits leave at most one in some of the seven bands."""
_SCALES = tuple(scale for step in (0.985, 0.97, 0.955, 0.94) for scale in (step, 1 / step))
_HALVES = ((0.5, 0.0), (0.0, 0.5), (0.5, 0.5))  # pixels, between the whole ones
_MARGIN = 6  # of SMALL: shifts up to this many pixels
_PLAIN, _MOVED = 0.9, 0.93
"""Correlations below which nothing more is tried: at 16 pixels in place, and at one scale."""
_CHUNK = 2_000_000  # pairs compared at a time
_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], np.uint8)


def small_copy(image: np.ndarray) -> np.ndarray:
    """Picture uint8 [h, w, 3] -> grey uint8 [SMALL, SMALL], its central square, softened."""
    square = cv2.cvtColor(np.ascontiguousarray(central_square(image)), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(square, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 1.2)


def hash_of_copy(copy: np.ndarray) -> int:
    """64-bit perceptual hash of a small copy: which low cosine frequencies exceed their median."""
    grey = cv2.resize(copy, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(grey)[:8, :8].ravel()
    return int(np.packbits(low > np.median(low[1:])).view(np.uint64)[0])


def near_pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Indices int64 [n, 2] of hashes (uint64 [N] each) that differ in at most `DISTANCE` bits.

    Every such pair is found: it agrees in all bits but one, or all, of some band.
    """
    found = [np.empty((0, 2), np.int64)]
    for start, bits in _BANDS:
        keys, others = (
            ((hashes >> np.uint64(start)) & np.uint64((1 << bits) - 1)).astype(np.int64)
            for hashes in (first, second)
        )
        order = np.argsort(others, kind="stable")
        others = others[order]
        for flipped in (0, *(1 << bit for bit in range(bits))):
            low = np.searchsorted(others, keys ^ flipped, "left")
            high = np.searchsorted(others, keys ^ flipped, "right")
            for rows, columns in _expanded(low, high):
                pairs = np.stack([rows, order[columns]], 1)
                found.append(pairs[_differing(first[rows], second[pairs[:, 1]]) <= DISTANCE])
    return np.unique(np.concatenate(found), axis=0)


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Largest correlation of two small copies over a few scales and shifts, -1 to 1."""
    plain = [cv2.resize(copy, (16, 16), interpolation=cv2.INTER_AREA) for copy in (first, second)]
    if cv2.matchTemplate(plain[0], plain[1], cv2.TM_CCOEFF_NORMED)[0, 0] < _PLAIN:
        return -1.0
    best = (_overlaid(first, second, 1.0, (0.0, 0.0)), 1.0)
    if best[0] < _MOVED:
        return best[0]
    best = max(best, *((_overlaid(first, second, scale, (0.0, 0.0)), scale) for scale in _SCALES))
    halves = (_overlaid(first, second, best[1], half) for half in _HALVES)
    return max(best[0], *halves)


def alike_pairs(copies: Sequence[np.ndarray]) -> Iterator[tuple[int, int, float, bool]]:
    """Pairs of pictures that are one: (index, index, likeness, whether one is mirrored).

    Args:
        copies: small copies; flat ones are passed over (their hash means nothing).
    """
    kept = [i for i, copy in enumerate(copies) if copy.std() > 2]
    if not kept:
        return
    hashes = np.array([hash_of_copy(copies[i]) for i in kept], np.uint64)
    flipped = np.array([hash_of_copy(_mirror(copies[i])) for i in kept], np.uint64)
    for others, mirrored in ((hashes, False), (flipped, True)):
        for a, b in near_pairs(hashes, others):
            if a >= b:
                continue
            i, j = kept[a], kept[b]
            score = likeness(copies[i], _mirror(copies[j]) if mirrored else copies[j])
            if score >= ALIKE:
                yield i, j, score, mirrored


def clusters(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Join pairs that share a member: sorted groups of two and more, in order."""
    parent: dict[int, int] = {}

    def root(index: int) -> int:
        parent.setdefault(index, index)
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    groups: dict[int, list[int]] = {}
    for index in sorted(parent):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def _overlaid(
    first: np.ndarray, second: np.ndarray, scale: float, offset: tuple[float, float]
) -> float:
    """Largest correlation over whole shifts, the second zoomed about its centre and moved."""
    inner, rest = slice(_MARGIN, -_MARGIN), (SMALL - 1) / 2 * (1 - scale)
    move = np.array([[scale, 0, rest + offset[0]], [0, scale, rest + offset[1]]], np.float32)
    zoomed = cv2.warpAffine(second, move, (SMALL, SMALL), borderMode=cv2.BORDER_REPLICATE)
    return float(cv2.matchTemplate(first, zoomed[inner, inner], cv2.TM_CCOEFF_NORMED).max())


def _mirror(copy: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(copy[:, ::-1])


def _expanded(low: np.ndarray, high: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows i and every column low[i] <= j < high[i], in chunks."""
    count = high - low
    ends = np.cumsum(count)
    start = 0
    while start < len(count):
        base = ends[start] - count[start]
        stop = max(start + 1, int(np.searchsorted(ends, base + _CHUNK, "right")))
        part = count[start:stop]
        rows = np.repeat(np.arange(start, stop), part)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(part) - part, part)
        yield rows, np.repeat(low[start:stop], part) + within
        start = stop


def _differing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    words = np.ascontiguousarray(first ^ second).view(np.uint16).reshape(-1, 4)
    return _ONES[words].sum(1)
