"""Probe: does one thing change when one thing is asked to change, at one seed?

An attribute is turned off and on while the mask stays: the judge should see this attribute change
(target effect), no other (off-target effect), and the parser the same mask (mask stability). A
model that ignores attributes has a perfect mask stability: read it beside the target effect. Then
the mask is exchanged while the attributes stay (attribute stability).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from facecond import metrics
from facecond.evaluation.adherence import scored_by_judges
from facecond.evaluation.conditions import masks_of, noise_seed
from facecond.evaluation.context import Context, Finding, Probe, TooFew
from facecond.evaluation.generation import Arrays, Requests
from facecond.evaluation.rows import Row, known, mean_row, score_row
from facecond.evaluation.survey import samples
from facecond.evaluation.turned import Turned, sample_turned, turn
from facecond.evaluation.verdicts import judge_attributes, probabilities
from facecond.labels import APPEARANCE, ATTRIBUTES, UNSPECIFIED
from facecond.seeding import numpy_generator


def selectivity(context: Context) -> Finding:
    """Rows `attribute_effect`, `off_target_effect`, `mask_stability` over the attributes of
    appearance, which a mask leaves open, and `attribute_stability`; shows `Turned`."""
    turned = turn(context)
    free = np.array([name in APPEARANCE for name in turned.names])
    if not free.any():
        raise TooFew("the judge can tell no attribute that a mask leaves open")
    rows = [
        *effect_rows(context, turned, free),
        mask_stability(turned, free, context.seed),
        attribute_stability(context),
    ]
    return Finding(rows, turned)


def measure_selectivity(context: Context) -> None:
    """Real pictures, turned attributes, exchanged masks."""
    scored_by_judges(context)
    real_probabilities(context)
    sample_turned(context)
    sample_exchanged(context)


def effect_rows(context: Context, turned: Turned, free: np.ndarray) -> list[Row]:
    """`attribute_effect`: mean change of the turned attribute's probability; ceiling: real pictures
    with it minus real pictures without it; floor: 0, nothing changes. `off_target_effect`: mean
    absolute change of the other, unrelated attributes; lower is better. Its ceiling is what is left
    when off and on trade places at random (noise of few conditions), its floor the effect aimed at:
    a model in which everything changes together."""
    target, change = turned.target()[free], turned.change[free]
    unrelated, real = turned.unrelated[free], real_gaps(context)
    gaps = real[np.array(turned.columns)[free]]
    effect = score_row(
        "attribute_effect",
        float(target.mean()),
        resampled(target, np.mean, context.seed),
        ceiling=float(np.nanmean(gaps)),
        floor=0.0,
        n=change.shape[1],
    )
    signs = numpy_generator(context.seed, "evaluate", "signs").choice(
        [-1.0, 1.0], (20, 1, change.shape[1], 1)
    )
    other = score_row(
        "off_target_effect",
        off_target(change, unrelated),
        resampled(change, lambda part: off_target(part, unrelated), context.seed),
        ceiling=float(np.mean([off_target(change * sign, unrelated) for sign in signs])),
        floor=effect["score"],
        n=change.shape[1],
        better="lower",
    )
    each = off_target_each(turned.change, turned.unrelated)
    effect["detail"] = {
        name: {"score": float(turned.target()[t].mean()), "ceiling": known(real[c]), "floor": 0.0,
               "off_target": known(each[t])}
        for t, (name, c) in enumerate(zip(turned.names, turned.columns, strict=True))
    }  # fmt: skip
    effect["averaged"] = [name for name, ok in zip(turned.names, free, strict=True) if ok]
    return [effect, other]


def mask_stability(turned: Turned, free: np.ndarray, seed: int) -> Row:
    """Mean IoU of the parser's masks with an attribute off and on. Ceiling: 1. Floor: masks of
    different conditions."""
    own = turned.counts[free].sum(0)  # [C, 19, 2]
    floor = float(metrics.mean_iou(turned.foreign[free].sum((0, 1))))
    interval = metrics.bootstrap_interval(own, metrics.mean_iou, seed=seed)
    score = float(metrics.mean_iou(own.sum(0)))
    return score_row("mask_stability", score, interval, ceiling=1.0, floor=floor, n=len(own))


def attribute_stability(context: Context) -> Row:
    """Share of the asked, scored attributes of appearance that the judge still reads alike when the
    mask is exchanged at fixed seed. Ceiling: 1. Floor: samples of different conditions."""
    columns = scored_by_judges(context).columns & np.array([n in APPEARANCE for n in ATTRIBUTES])
    places = np.arange(len(context.rows))[: context.amounts.swapped]
    found, before = sample_exchanged(context), samples(context)["present0"]
    asked = columns & (context.folder.attributes[context.rows[places]] != UNSPECIFIED)  # [K, 40]
    whole = asked.sum(1)
    same = ((found["present"] == before[places]) & asked).sum(1)
    foreign = ((before[context.partner[places]] == before[places]) & asked).sum(1)
    floor = float(foreign.sum() / max(whole.sum(), 1))
    sums = np.stack([same, whole], 1)
    return mean_row("attribute_stability", sums, context.seed, ceiling=1.0, floor=floor)


def sample_exchanged(context: Context) -> Arrays:
    """Attributes `present` bool [K, 40] where each condition has the mask of its partner."""
    places = np.arange(len(context.rows))[: context.amounts.swapped]
    rows, donors = context.rows[places], context.rows[context.partner[places]]
    requests = Requests(
        attributes=context.folder.attributes[rows],
        masks=lambda part: masks_of(context.folder, donors[part]),
        seeds=[noise_seed(context.seed, int(row)) for row in rows],
    )

    def measure(images: np.ndarray, part: slice) -> Arrays:
        present, _ = judge_attributes(context.judges[0].classifier.model, images)
        return {"present": present}

    return context.parts.get("swapped", lambda: context.sample(requests, measure, "exchange masks"))


def real_gaps(context: Context) -> np.ndarray:
    """How far the judge's mean probability on real pictures with an attribute lies above that on
    pictures without it, float [40]; NaN where a case does not occur."""
    found = real_probabilities(context)["probabilities"]
    with np.errstate(invalid="ignore"):
        sides = [
            np.where(context.truth == value, found, 0).sum(0) / (context.truth == value).sum(0)
            for value in (1, 0)
        ]
    return sides[0] - sides[1]


def real_probabilities(context: Context) -> Arrays:
    """`probabilities` [n, 40] of the attributes in the real pictures of the rows."""

    def measure(images: np.ndarray, part: slice) -> Arrays:
        return {"probabilities": probabilities(context.judges[0].classifier.model, images)}

    return context.parts.get(
        "real_probabilities", lambda: context.real(context.rows, measure, "read real pictures")
    )


def off_target_each(change: np.ndarray, unrelated: np.ndarray) -> np.ndarray:
    """Change [T, C, 40] -> mean absolute effect of each turned attribute on the unrelated ones
    (bool [T, 40]), float [T]; effects are means over conditions. NaN where none is unrelated."""
    return metrics.mean_of_known(np.where(unrelated, np.abs(change.mean(1)), np.nan))


def off_target(change: np.ndarray, unrelated: np.ndarray) -> float:
    """Mean of `off_target_each`."""
    return float(metrics.mean_of_known(off_target_each(change, unrelated)))


def resampled(
    values: np.ndarray, score: Callable[[np.ndarray], float], seed: int
) -> metrics.Interval:
    """95% bootstrap interval over conditions, the second axis of `values` [T, C, ...]. Repeated
    conditions raise absolute effects, so the draws are moved to have their mean at the score."""
    count = values.shape[1]
    picks = numpy_generator(seed, "bootstrap", "conditions").integers(count, size=(200, count))
    scores = np.array([score(values[:, pick]) for pick in picks])
    low, high = np.quantile(scores + score(values) - scores.mean(), [0.025, 0.975])
    least = 0.0 if scores.min() >= 0 else -np.inf
    return metrics.Interval(float(max(low, least)), float(high))


SELECTIVITY = Probe(measure_selectivity, selectivity)
