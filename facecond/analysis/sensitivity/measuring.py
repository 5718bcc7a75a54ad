"""The measurements of an analysis, part by part into the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm import tqdm

from facecond.analysis.sensitivity.faces import Faces
from facecond.analysis.sensitivity.grid import Grid
from facecond.analysis.sensitivity.options import Options
from facecond.analysis.sensitivity.recording import record_grid
from facecond.analysis.sensitivity.swap import Arrays, Swapper
from facecond.analysis.sensitivity.unfinished import Unfinished


def measure_swaps(
    pipeline: Any, faces: Faces, options: Options, store: Unfinished, progress: bool = False
) -> Arrays:
    """Measurements of `Swapper` for all faces and bins, the bins on axis 1: [n, T, ...]."""
    swapper = Swapper(pipeline, faces, options.seed)
    bounds, count = options.tau_bins(), len(faces.rows)
    # One pass at a layer holds three variants for each source.
    size = max(1, options.batch_size // (3 * len(swapper.sources)))
    parts = [slice(low, min(low + size, count)) for low in range(0, count, size)]
    made: dict[tuple[int, int], Arrays] = {}
    with tqdm(total=count * len(bounds), desc="swap", unit="face", disable=not progress) as bar:
        for part in parts:
            for b, bin_ in enumerate(bounds):
                name = f"swap-{part.start}-{b}"

                def work(part: slice = part, b: int = b, bin_: Any = bin_) -> Arrays:
                    return swapper.measure(part, bin_, b)

                made[part.start, b] = _timed(store, name, work)
                bar.update(part.stop - part.start)

    def of_all(name: str) -> np.ndarray:
        by_bin = (
            np.concatenate([made[part.start, b][name] for part in parts])
            for b in range(len(bounds))
        )
        return np.stack(list(by_bin), 1)

    found = {name: of_all(name) for name in made[0, 0] if name != "seconds"}
    return found | {"seconds": np.array([arrays["seconds"] for arrays in made.values()])}


def record(
    pipeline: Any, grid: Grid, options: Options, store: Unfinished, progress: bool = False
) -> dict[str, float]:
    """Record the grid into the store: names of the parts in the order of the samples, and the
    seconds that each took."""
    taken = {}
    with tqdm(total=len(grid), desc="grid", unit="face", disable=not progress) as bar:
        for start in range(0, len(grid), options.batch_size):
            part, name = slice(start, min(start + options.batch_size, len(grid))), f"grid-{start}"

            def work(part: slice = part) -> Arrays:
                return record_grid(pipeline, grid, part, options.bins, options.steps)

            taken[name] = float(_timed(store, name, work, ("seconds",))["seconds"])
            bar.update(part.stop - part.start)
    return taken


def joined(store: Unfinished, parts: list[str], name: str) -> np.ndarray:
    """One array of all parts, the only one that is read from them."""
    return np.concatenate([store.need(part, (name,))[name] for part in parts])


def _timed(
    store: Unfinished, name: str, work: Callable[[], Arrays], keys: tuple[str, ...] | None = None
) -> Arrays:
    """A part of the store, made now if it is not there, with the seconds that it took."""
    if (known := store.read(name, keys)) is not None:
        return known

    def timed() -> Arrays:
        began = time.monotonic()
        arrays = work()
        return arrays | {"seconds": np.array(time.monotonic() - began)}

    store.make(name, timed)
    return store.need(name, keys)
