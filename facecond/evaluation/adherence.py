"""Probe: do samples show the mask and the attributes that were asked for?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facecond import metrics
from facecond.evaluation.context import Context, Finding, Probe
from facecond.evaluation.rows import (
    Counts,
    Row,
    Scored,
    attribute_rows,
    mask_rows,
    scored_attributes,
)
from facecond.evaluation.survey import real, samples
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT

WORST_FACES, WORST_ATTRIBUTES, WRONG_EACH = 8, 5, 3


@dataclass
class WrongAttribute:
    """An attribute with its accuracy and ceiling, and places of samples where it was asked for and
    is not seen (`missing`), or asked to be absent and is seen (`extra`)."""

    name: str
    score: float
    ceiling: float
    missing: list[int]
    extra: list[int]


@dataclass
class Failures:
    """Places of the context's rows where most went wrong.

    Attributes:
        masks: `(place, mean IoU)` of the worst, the worst first.
        attributes: the attributes that lie furthest below their ceilings.
    """

    masks: list[tuple[int, float]]
    attributes: list[WrongAttribute]


def adherence(context: Context) -> Finding:
    """Rows `mask_miou`, `pixel_accuracy`, `attribute_bacc`, `attribute_f1`; shows `Failures`."""
    hits, scored = attribute_hits(context), scored_by_judges(context)
    rows = _mask_rows(context) + attribute_rows(hits, scored, context.seed)
    return Finding(rows, Failures(worst_masks(context), worst_attributes(context, hits, scored)))


def mask_adherence(context: Context) -> Finding:
    """Rows `mask_miou` and `pixel_accuracy`; shows `Failures`."""
    return Finding(_mask_rows(context), Failures(worst_masks(context), []))


def _mask_rows(context: Context) -> list[Row]:
    made, truth = samples(context), real(context)
    ks = range(len(context.judges))
    masks = [(made[f"own{k}"], truth[f"own{k}"], made[f"other{k}"]) for k in ks]
    pixels = [(made[f"pixels{k}"], truth[f"pixels{k}"], made[f"pixels_other{k}"]) for k in ks]
    return mask_rows(masks, pixels, context.seed)


def attribute_hits(context: Context) -> list[Counts]:
    """`attribute_counts` [n, 40, 4] of the three pairings, for each judge."""
    made, truth = samples(context), real(context)
    found = []
    for k in range(len(context.judges)):
        present = made[f"present{k}"]
        own = metrics.attribute_counts(context.truth, present)
        other = metrics.attribute_counts(context.truth[context.partner], present)
        found.append((own, metrics.attribute_counts(context.truth, truth[f"present{k}"]), other))
    return found


def scored_by_judges(context: Context) -> Scored:
    """The attributes that count in this evaluation; all processes know them."""
    if context.scored is None:
        context.parts.check_open("scored attributes")
        measure_samples(context)
        found = None
        if context.processes.main:
            hits = attribute_hits(context)
            found = scored_attributes(hits[0][0], [counts[1] for counts in hits], context.seed)
        context.scored = context.processes.broadcast(found)
    scored: Scored = context.scored
    return scored


def measure_samples(context: Context) -> None:
    """Real pictures first: what is wrong with the data is found before anything is sampled."""
    real(context)
    samples(context)


def measure_adherence(context: Context) -> None:
    """Samples, real pictures, and which attributes count."""
    scored_by_judges(context)
    measure_samples(context)


def worst_masks(context: Context) -> list[tuple[int, float]]:
    """Places of the samples with the lowest mean IoU, and that figure; the worst first."""
    each = metrics.mean_iou(samples(context)["own0"])
    order = np.argsort(each, kind="stable")[:WORST_FACES]
    return [(int(place), float(each[place])) for place in order]


def worst_attributes(
    context: Context, hits: Sequence[Counts], scored: Scored
) -> list[WrongAttribute]:
    """The attributes that lie furthest below their ceilings."""
    present = samples(context)["present0"]
    own, ceiling, _ = (metrics.attribute_accuracy(counts.sum(0)) for counts in hits[0])
    gap = np.where(scored.columns, ceiling - own, -np.inf)
    worst = []
    for column in np.argsort(-gap, kind="stable")[:WORST_ATTRIBUTES]:
        seen, asked = present[:, column], context.truth[:, column]
        missing = np.flatnonzero((asked == PRESENT) & ~seen)[:WRONG_EACH].tolist()
        extra = np.flatnonzero((asked == ABSENT) & seen)[:WRONG_EACH].tolist()
        if np.isfinite(gap[column]) and (missing or extra):
            figures = float(own[column]), float(ceiling[column])
            worst.append(WrongAttribute(ATTRIBUTES[column], *figures, missing, extra))
    return worst


ADHERENCE = Probe(measure_adherence, adherence)
MASK_ADHERENCE = Probe(measure_samples, mask_adherence)
