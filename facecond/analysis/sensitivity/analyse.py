"""The analysis as a whole: faces and grid -> measurements, part by part -> scores."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facecond import metrics
from facecond.analysis.sensitivity.faces import Faces, choose_faces
from facecond.analysis.sensitivity.grid import Grid, choose_grid
from facecond.analysis.sensitivity.measuring import joined, measure_swaps, record
from facecond.analysis.sensitivity.options import Options
from facecond.analysis.sensitivity.recording import KINDS
from facecond.analysis.sensitivity.representation import representation_scores
from facecond.analysis.sensitivity.scores import (
    PRIMARY,
    Arrays,
    Score,
    intervention_scores,
)
from facecond.analysis.sensitivity.unfinished import Unfinished
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.models.routing import Routing
from facecond.models.weights_hash import weights_hash
from facecond.provenance import commit, versions
from facecond.storage import atomic_file, hash_of

FACTORS = ("attributes", "mask")
"""What the conditions of a face are made of; a source is one of them, or a part of one."""


@dataclass
class Sensitivity:
    """What an analysis found.

    Attributes:
        routing: the one in use; its layers and sources are the axes of the scores.
        scores: by name.
        live: bool [S, L, T], cells with a gate other than 0.
        effect: float [S, T]; how far a swap at all layers moves the prediction, as a share of it.
        rank: by source, the layers whose `swap` beats its control, best first.
        order: by source, all layers, best first.
        unstable: by source, whether two halves of the faces rank the layers differently.
        selectivity: float [L], z-score of `swap` of the attributes less that of the mask; None
            where one of them is no source.
        seconds: time that the measurements took, by part, those of an earlier run included.
        store: the measurements.
    """

    options: Options
    routing: Routing
    faces: Faces
    grid: Grid | None
    scores: dict[str, Score]
    live: np.ndarray
    effect: np.ndarray
    rank: dict[str, list[int]] = field(default_factory=dict)
    order: dict[str, list[int]] = field(default_factory=dict)
    unstable: dict[str, bool] = field(default_factory=dict)
    selectivity: np.ndarray | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)
    store: Unfinished | None = None


def analyse(
    pipeline: Any,
    folder: PreparedFolder,
    options: Options | None = None,
    *,
    unfinished: str | Path | None = None,
    features_out: str | Path | None = None,
    progress: bool = True,
) -> Sensitivity:
    """Measure which layer of a model answers to which source.

    Args:
        pipeline: a `FacePipeline`, under the routing that is to be analysed.
        folder: prepared faces; those of the test split are used.
        options: how much is measured.
        unfinished: folder for measurements; another call with the same model, data and options
            goes on from there. `store.clear()` of the result removes it, once that is written.
            None keeps them in memory.
        features_out: `.npz` file for the recorded statistics in float16; None keeps none.
        progress: show bars.

    Raises:
        UserError: options that give no score, too few test faces, sizes that differ, an unfinished
            analysis of something else.
    """
    options = options or Options()
    options.check()
    routing: Routing = pipeline.unet.routing.without_references()  # a swap is one of labels
    pipeline.unet.use_routing(routing)
    if not routing.sources:
        what = "its routing has no source: no layer reads a condition"
        raise UserError(what, f"routing '{routing.name}'", "Take a model with conditions.")
    if folder.image_size != pipeline.image_size:
        what = f"the model is for {pipeline.image_size} px, these faces have {folder.image_size} px"
        raise UserError(what, folder.root, "Prepare the faces at the size of the model.")
    provenance = {
        "model": weights_hash(pipeline),
        "routing": hash_of(routing.to_dict()),
        "data": folder.data_hash,
        "schedule": pipeline.config["schedule"],
        "prediction": pipeline.config["prediction"],
        "device": pipeline.device.type,
    }
    identity = provenance | asdict(options)
    faces = choose_faces(folder, options.images, options.seed)
    grid = None
    if not options.quick:
        grid = choose_grid(folder, options.settings, options.masks, options.seeds, options.seed)
    store = Unfinished(None if unfinished is None else Path(unfinished), identity)
    measured = measure_swaps(pipeline, faces, options, store, progress)
    parts = {} if grid is None else record(pipeline, grid, options, store, progress)
    if grid is not None and features_out is not None:
        _keep_features(Path(features_out), store, list(parts), grid)
    began = time.monotonic()
    found = assemble(options, routing, faces, grid, measured, store, list(parts))
    found.seconds = {
        "swap": float(measured["seconds"].sum()),
        **({"grid": sum(parts.values())} if parts else {}),
        "scores": time.monotonic() - began,
    }
    found.provenance = provenance | {"commit": commit(), "versions": versions()}
    found.store = store
    return found


def assemble(
    options: Options,
    routing: Routing,
    faces: Faces,
    grid: Grid | None,
    measured: Arrays,
    store: Unfinished,
    parts: list[str],
) -> Sensitivity:
    """Scores, ranks and warnings from measurements."""
    sources, layers = routing.sources, len(routing.layers)
    live = np.any(measured["live"], 0).transpose(2, 1, 0)  # [S, L, T]
    arrays = {k: v for k, v in measured.items() if k not in ("live", "seconds")}
    scores = intervention_scores(arrays, live, options.seed)
    if grid is not None:
        factors = [
            source.split(":")[0] if live[s].any() else None for s, source in enumerate(sources)
        ]

        def read(name: str) -> np.ndarray:
            return joined(store, parts, name)

        scores |= representation_scores(read, grid, factors, layers, options.seed)
    primary = scores[PRIMARY]
    assert primary.overall_q is not None
    found = Sensitivity(
        options,
        routing,
        faces,
        grid,
        scores=scores,
        live=live,
        effect=measured["whole"].mean((0, 3)).T,
    )
    for s, source in enumerate(sources):
        found.rank[source] = metrics.ranking(primary.overall[s], primary.overall_q[s])
        found.order[source] = metrics.ranking(primary.overall[s])
        found.unstable[source] = bool(primary.split_half[s] < metrics.STABLE)
    if set(FACTORS) <= set(sources):
        z = [metrics.z_scores(primary.overall[sources.index(source)]) for source in FACTORS]
        found.selectivity = z[0] - z[1]
    found.warnings = _warnings(found)
    return found


def _warnings(found: Sensitivity) -> list[str]:
    told, primary = [], found.scores[PRIMARY]
    for s, source in enumerate(found.routing.sources):
        if not found.live[s].any():
            told.append(f"{source}: every gate is 0, so nothing is ranked")
        elif not found.rank[source]:
            told.append(f"{source}: no layer beats its control, so nothing is ranked")
        if found.unstable[source]:
            told.append(
                f"{source}: unstable, two halves of the faces rank the layers differently "
                f"(Spearman {primary.split_half[s]:.2f} < {metrics.STABLE}); use more --images"
            )
        if ":" in source and found.grid is not None:
            told.append(
                f"{source}: jsd_ratio and omega2 are those of {source.split(':')[0]} as a whole; "
                "swap and contribution are its own"
            )
    if found.grid is not None and found.options.seeds < 4:
        told.append("jsd_ratio and omega2 have no split halves: they need 4 --seeds or more")
    return told


def _keep_features(path: Path, store: Unfinished, parts: list[str], grid: Grid) -> None:
    """Recorded statistics as `KIND-LAYER` float16 [N, T, 2, C], with the place of each sample."""
    cells = dict(zip(("setting", "mask", "seed"), grid.cells(), strict=True))
    names = [name for name in store.need(parts[0]) if name.partition("-")[0] in KINDS]
    arrays = {name: joined(store, parts, name).astype(np.float16) for name in sorted(names)}
    with atomic_file(path) as temporary:
        np.savez(temporary, **arrays, **cells)  # type: ignore[arg-type]
