"""From what an evaluation found to what its report shows; samples the pictures that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facecond import metrics
from facecond.evaluation import showcase
from facecond.evaluation.adherence import Failures
from facecond.evaluation.conditions import images_of, masks_of
from facecond.evaluation.context import Context
from facecond.evaluation.curves import read_curves
from facecond.evaluation.memorisation import Nearest
from facecond.evaluation.published import Comparison
from facecond.evaluation.reference_showcase import from_references
from facecond.evaluation.report_parts import (
    AttributeFailures,
    ChangeMap,
    Examples,
    FaceFailures,
    Neighbours,
    Report,
    Routing,
    describe,
)
from facecond.evaluation.turned import Turned
from facecond.evaluation.verdicts import parse
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.models.routing.table import levels

if TYPE_CHECKING:
    from facecond.evaluation.protocol import Evaluation

EXAMPLES = 8
"""Conditions shown in the report."""
SMALLEST_REGION = 0.004
"""Share of the picture that a class must cover to be named as wrong."""


def build_report(
    found: Evaluation,
    model: str | Path,
    *,
    commands: Sequence[str] = (),
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    comparisons: Sequence[Comparison] = (),
) -> Report:
    """The page's content. `model` is the model's folder: the training's log lies beside it."""
    context = found.context
    pipeline, folder = context.pipeline, context.folder
    names = list(context.judges[0].classifier.model.config["attributes"])
    shown = found.indices[: len(found.samples)][:EXAMPLES]
    sample = showcase.Sampler(pipeline, context.seed, context.sample.settings)
    bare = showcase.bare_headed(folder, found.indices)
    table = pipeline.unet.routing
    given = found.provenance["given"]
    report = Report(
        title="How well the model follows its conditions",
        introduction=f"{len(found.indices)} faces sampled for conditions ({given}) of the test "
        "split, read by judges that are trained on a split of their own.",
        rows=found.rows,
        examples=Examples(
            masks=masks_of(folder, shown),
            attributes=[describe(folder.attributes[i]) for i in shown],
            real=images_of(folder, shown),
            samples=found.samples[:EXAMPLES, None],
            parsed=found.parsed[:EXAMPLES],
        ),
        toggles=showcase.toggles(sample, folder, bare, names),
        shared=showcase.shared_attributes(sample, folder, found.indices[1:7], names),
        partial=showcase.partial_masks(sample, folder, bare),
        taken=from_references(sample, folder, found.indices, context.seed),
        comparisons=comparisons,
        warnings=warnings,
        notes=notes,
        token_counts=_token_counts(pipeline, folder.image_size),
        curves=read_curves(Path(model).parent / "metrics.jsonl"),
        routing=Routing(
            layers=[asdict(layer) for layer in table.layers],
            sources=table.sources,
            gates=np.abs(table.gates(levels(table))).max(0),  # the strongest at any noise level
        ),
        seconds=found.seconds,
        commands=commands,
        provenance=found.provenance,
    )
    if found.provenance["protocol"] == "quick":
        return report
    for show in found.shows.values():
        if isinstance(show, Failures):
            report.failures = face_failures(context, show)
            report.wrong_attributes = attribute_failures(context, show)
        if isinstance(show, Turned):
            report.changes = change_map(show)
        if isinstance(show, Nearest):
            report.neighbours = Neighbours(
                resample(context, show.places),
                images_of(folder, show.rows),
                show.distances.tolist(),
                show.usual,
            )
    if "diversity" in found.shows:
        samples, rows = found.shows["diversity"], found.indices
        rows = rows[: len(samples)]
        words = [describe(folder.attributes[i]) for i in rows]
        report.diverse = Examples(masks_of(folder, rows), words, images_of(folder, rows), samples)
    return report


def resample(context: Context, places: Sequence[int] | np.ndarray) -> np.ndarray:
    """The samples at these places once more, uint8 [k, S, S, 3]: from the same noise, in another
    batch, so within one grey level of those that were scored."""
    chosen = np.asarray(places, np.int64)
    return context.sample.faces(context.requests(chosen), slice(0, len(chosen)))


def face_failures(context: Context, show: Failures) -> FaceFailures:
    """The worst masks again, with the classes that went wrong."""
    places = [place for place, _ in show.masks]
    rows, samples = context.rows[places], resample(context, places)
    masks, parsed = masks_of(context.folder, rows), parse(context.judges[0].parser.model, samples)
    words = []
    for (_, score), mask, seen in zip(show.masks, masks, parsed, strict=True):
        counts = metrics.mask_counts(mask[None], seen[None])[0]  # [19, 2]
        iou, large = metrics.class_iou(counts), counts[:, 1] > SMALLEST_REGION * mask.size
        order = [c for c in np.argsort(np.nan_to_num(iou, nan=1.0)) if large[c]][:3]
        worst = ", ".join(f"{MASK_CLASSES[c].replace('_', ' ')} {iou[c]:.2f}" for c in order)
        words.append(f"IoU {score:.2f}: {worst}")
    return FaceFailures(masks, images_of(context.folder, rows), samples, parsed, words)


def attribute_failures(context: Context, show: Failures) -> AttributeFailures:
    """Samples that do not show an attribute as asked."""
    words, missing, extra = [], [], []
    for wrong in show.attributes:
        words.append(f"{wrong.name.replace('_', ' ')}: {wrong.score:.2f} of {wrong.ceiling:.2f}")
        faces = resample(context, [*wrong.missing, *wrong.extra])
        missing.append(faces[: len(wrong.missing)])
        extra.append(faces[len(wrong.missing) :])
    return AttributeFailures(words, missing, extra)


def change_map(turned: Turned) -> ChangeMap:
    """Mean changes over the conditions."""
    read = np.flatnonzero(turned.scored)
    return ChangeMap(
        turned=turned.names,
        read=[ATTRIBUTES[column] for column in read],
        change=turned.change.mean(1)[:, read],
    )


def _token_counts(pipeline: Any, size: int) -> dict[str, int]:
    tokens = pipeline.condition_encoder(
        torch.zeros(1, len(ATTRIBUTES), dtype=torch.int8, device=pipeline.device),
        torch.zeros((1, size, size), dtype=torch.uint8, device=pipeline.device),
    )
    return {source: value.shape[1] for source, value in tokens.items()}
