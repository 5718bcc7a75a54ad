"""Recorded statistics of a grid -> `jsd_ratio` and `omega2`: where a source is represented."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facecond import metrics
from facecond.analysis.sensitivity.grid import Grid
from facecond.analysis.sensitivity.recording import KINDS
from facecond.analysis.sensitivity.scores import Score, corrected
from facecond.metrics import Factorial, ScoreTest

Reader = Callable[[str], np.ndarray]
"""`KIND-LAYER` -> what `Recorder.arrays` recorded of all samples of the grid, [N, T, 2, C]."""


def representation_scores(
    read: Reader, grid: Grid, factors: list[str | None], layers: int, seed: int
) -> dict[str, Score]:
    """`jsd_ratio`, `omega2` and their `_cross` forms.

    Args:
        read: gives the statistics of one layer at a time; no more are held at once.
        grid: whose samples they are.
        factors: per source `attributes` or `mask`, or None for one that reaches no layer.
    """
    setting, mask, noise = grid.cells()
    designs = {
        "attributes": Factorial(setting, mask, noise),
        "mask": Factorial(mask, setting, noise),
    }
    found: dict[str, Score] = {}
    for kind in KINDS:
        suffix = "" if kind == "self" else f"_{kind}"
        # Products and divergences of samples, whatever the width of a layer: [N, N, L, T].
        grams, divergences = (
            np.stack(parts, 2)
            for parts in zip(*(_compare(read(f"{kind}-{i}")) for i in range(layers)), strict=True)
        )
        for name, values, score in (
            ("jsd_ratio", divergences, _jsd_ratio),
            ("omega2", grams, metrics.omega2),
        ):
            found[name + suffix] = _representation(values, designs, factors, name, score, seed)
    return {name: found[name] for name in sorted(found, key=lambda name: "_cross" in name)}


def _compare(recorded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Statistics [N, T, 2, C] of a layer -> gram matrices and divergences, both [N, N, T]."""
    samples, bins = recorded.shape[:2]
    pairs = np.stack(np.triu_indices(samples, 1))
    grams, divergences = np.zeros((2, samples, samples, bins))
    for b in range(bins):
        mean, std = recorded[:, b, 0], recorded[:, b, 1]
        grams[..., b] = metrics.gram(np.concatenate([mean, std], 1))
        for start in range(0, pairs.shape[1], 4096):
            i, j = part = pairs[:, start : start + 4096]
            divergences[i, j, b] = divergences[j, i, b] = metrics.jensen_shannon(mean, std, part)
    return grams, divergences


def _jsd_ratio(divergences: np.ndarray, design: Factorial, **options: int) -> ScoreTest:
    i, j = design.pairs
    return metrics.jsd_ratio(divergences[i, j], design, **options)


def _representation(
    values: np.ndarray,
    designs: dict[str, Factorial],
    factors: list[str | None],
    name: str,
    score: Callable[..., ScoreTest],
    seed: int,
) -> Score:
    """A score of products or divergences [N, N, L, T] for every source."""
    layers, bins = values.shape[2:]
    null = 1.0 if name == "jsd_ratio" else 0.0
    shape = (len(factors), layers, bins)
    cells, p, p95 = np.full(shape, null), np.ones(shape), np.full(shape, null)
    overall, overall_p = np.full(shape[:2], null), np.ones(shape[:2])
    halves = np.full(len(factors), np.nan)
    for s, factor in enumerate(factors):
        if factor is None:
            continue
        design = designs[factor]
        ordered = values[np.ix_(design.order, design.order)]
        by_cell = score(ordered, design, seed=seed)
        pooled = score(ordered.mean(-1), design, seed=seed)  # all bins as if they were one
        cells[s], p[s], p95[s] = by_cell.score, by_cell.p, by_cell.p95
        overall[s], overall_p[s] = pooled.score, pooled.p
        halves[s] = _split_seeds(ordered.mean(-1), design, score, seed)
    live = np.array([factor is not None for factor in factors])
    p, q = corrected(p, np.broadcast_to(live[:, None, None], shape))
    overall_p, overall_q = corrected(overall_p, np.broadcast_to(live[:, None], shape[:2]))
    return Score(
        cells, overall, null, name == "jsd_ratio", p, q, p95,
        overall_p=overall_p, overall_q=overall_q, split_half=halves,
    )  # fmt: skip


def _split_seeds(
    ordered: np.ndarray, design: Factorial, score: Callable[..., ScoreTest], seed: int
) -> float:
    """Agreement of two halves of the seeds; each needs two of them."""
    noise = design.labels("noise")
    if design.shape[1] < 4:
        return float("nan")

    def of_half(seeds: np.ndarray) -> np.ndarray:
        keep = np.flatnonzero(np.isin(noise, seeds))
        part = Factorial(design.level[keep], design.labels("other")[keep], noise[keep])
        return score(ordered[np.ix_(keep, keep)], part, draws=0).score

    return metrics.split_half(of_half, design.shape[1], seed=seed)
