"""What an analysis found, as `sensitivity.json` and as a table of text."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from facecond import metrics
from facecond.analysis.sensitivity.analyse import Sensitivity
from facecond.analysis.sensitivity.options import SCHEMA
from facecond.analysis.sensitivity.scores import PRIMARY, Score
from facecond.diffusion.paths import log_snr_of
from facecond.models.routing import checksum

CELLS = ("p", "q", "p95", "control", "low", "high")
"""Parts of a score that stand beside it, [L][T] by source."""
LAYERS = {"p": "overall_p", "q": "overall_q", "low": "overall_low", "high": "overall_high"}


def as_json(found: Sensitivity) -> dict[str, Any]:
    """The content of `sensitivity.json` (schema facecond.sensitivity/1).

    `scores` and the parts beside it hold {score: {source: [layer][bin]}}; `overall` holds them over
    all bins, {score: {source: {score, p, q, low, high: [layer]}}}. `rank` has the layers that beat
    their control, `order` all of them, best first. A bound of a noise level without end is null.
    """
    routing, sources = found.routing, found.routing.sources
    ids = [layer.id for layer in routing.layers]

    def by_source(values: np.ndarray) -> dict[str, Any]:
        return {source: _plain(values[s]) for s, source in enumerate(sources)}

    told: dict[str, Any] = {
        "schema": SCHEMA,
        "checksum": checksum(routing.layers),
        "layers": ids,
        "layer_details": [asdict(layer) for layer in routing.layers],
        "sources": list(sources),
        "rank": {source: [ids[i] for i in found.rank[source]] for source in sources},
        "order": {source: [ids[i] for i in found.order[source]] for source in sources},
        "unstable": dict(found.unstable),
        "primary": PRIMARY,
        "tau_bins": [list(bounds) for bounds in found.options.tau_bins()],
        "log_snr_bins": log_snr_bins(found),
        "effect": by_source(found.effect),
        "live": {source: found.live[s].tolist() for s, source in enumerate(sources)},
        "scores": {name: by_source(score.cells) for name, score in found.scores.items()},
    }
    for part in CELLS:
        told[part] = {
            name: by_source(values)
            for name, score in found.scores.items()
            if (values := getattr(score, part)) is not None
        }
    told["overall"] = {name: _overall(score, sources) for name, score in found.scores.items()}
    told["split_half"] = {
        name: by_source(score.split_half)
        for name, score in found.scores.items()
        if len(score.split_half)
    }
    told["null"] = {name: score.null for name, score in found.scores.items()}
    told["better"] = {name: _better(score) for name, score in found.scores.items()}
    if found.selectivity is not None:
        told["selectivity"] = _plain(found.selectivity)
    told |= {
        "significant": metrics.SIGNIFICANT,
        "options": asdict(found.options),
        "faces": [int(row) for row in found.faces.rows],
        "grid": _grid(found),
        **found.provenance,
        "seconds": {name: round(value, 1) for name, value in found.seconds.items()},
        "warnings": found.warnings,
    }
    return told


def log_snr_bins(found: Sensitivity) -> list[list[float | None]]:
    """[low, high] in logSNR of each bin: low is its noisy end. None has no bound."""
    schedule = found.provenance["schedule"]
    return [
        [
            None if high >= 1 else log_snr_of(schedule, high),
            None if low <= 0 else log_snr_of(schedule, low),
        ]
        for low, high in found.options.tau_bins()
    ]


def text_table(found: Sensitivity) -> str:
    """Layers in order of execution, the scores of each source over all bins, and the ranks."""
    labels, lines = layer_labels(found), []
    width = max(map(len, [*labels, *found.routing.sources]))
    optional = [name for name in ("jsd_ratio", "omega2") if name in found.scores]
    swap, given = found.scores[PRIMARY], found.scores["contribution"]
    assert swap.overall_low is not None and swap.overall_high is not None
    assert swap.overall_q is not None
    for s, source in enumerate(found.routing.sources):
        head = ["swap", "95 % interval", "q", "contribution", *optional, "rank"]
        lines.append(_columns(source, width, head))
        for i, label in enumerate(labels):
            if not found.live[s, i].any():
                lines.append(_columns(label, width, ["-"]))
                continue
            interval = f"{swap.overall_low[s, i]:.3f} - {swap.overall_high[s, i]:.3f}"
            values = [f"{swap.overall[s, i]:.3f}", interval, f"{swap.overall_q[s, i]:.3f}"]
            values.append(f"{given.overall[s, i]:.3f}")
            values += [f"{found.scores[name].overall[s, i]:.3f}" for name in optional]
            rank = found.rank[source]
            values.append(str(rank.index(i) + 1) if i in rank else "-")
            lines.append(_columns(label, width, values))
        lines.append("")
    return "\n".join(lines + [f"warning: {text}" for text in found.warnings]).rstrip()


def _columns(first: str, width: int, cells: list[str]) -> str:
    widths = (6, 13, 5, 12, 9, 9, 4) if len(cells) == 7 else (6, 13, 5, 12, 4)
    return f"{first:<{width}}" + "".join(
        f"  {cell:>{room}}" for cell, room in zip(cells, widths, strict=False)
    )


def layer_labels(found: Sensitivity) -> list[str]:
    """Short names of the layers: what all ids end with is left out."""
    layers, end = found.routing.layers, ".transformer_blocks.0"
    ids = [layer.id for layer in layers]
    if all(name.endswith(end) for name in ids):
        ids = [name.removesuffix(end) for name in ids]
    return [
        f"{name}  {layer.resolution}x{layer.resolution}"
        for name, layer in zip(ids, layers, strict=True)
    ]


def _overall(score: Score, sources: tuple[str, ...]) -> dict[str, Any]:
    parts = {"score": score.overall} | {
        name: values
        for name, attribute in LAYERS.items()
        if (values := getattr(score, attribute)) is not None
    }
    return {
        source: {name: _plain(values[s]) for name, values in parts.items()}
        for s, source in enumerate(sources)
    }


def _better(score: Score) -> str:
    return "lower" if score.lower else "higher"


def _grid(found: Sensitivity) -> dict[str, Any] | None:
    if found.grid is None:
        return None
    return {
        "settings": [int(row) for row in found.grid.setting_rows],
        "masks": [int(row) for row in found.grid.mask_rows],
        "seeds": list(found.grid.seeds),
        "steps": found.options.steps,
    }


def _plain(values: np.ndarray) -> Any:
    """Numbers as JSON: six significant digits, NaN as null; zeros stay zeros."""
    if np.ndim(values):
        return [_plain(part) for part in values]
    return None if np.isnan(values) else float(f"{float(values):.6g}")
