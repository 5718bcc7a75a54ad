"""Probe: are faces of all groups served alike? Scores and entanglement by Male and Young."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import numpy as np

from facecond import metrics
from facecond.evaluation.adherence import attribute_hits, measure_adherence, scored_by_judges
from facecond.evaluation.context import Context, Finding, Probe, TooFew
from facecond.evaluation.rows import Counts, Row, note_row, score_row
from facecond.evaluation.selectivity import off_target, resampled
from facecond.evaluation.survey import real, samples
from facecond.evaluation.turned import AUDITED, Turned, sample_turned, turn
from facecond.labels import ABSENT, APPEARANCE, ATTRIBUTES, PRESENT

FEWEST = 8
"""Conditions that a group needs to be scored."""


def groups(context: Context) -> Finding:
    """Rows `METRIC@GROUP` for each group: mask mIoU and attribute accuracy (over the attributes
    that have enough cases in every group), and from the turned attributes the effect aimed at, the
    off-target effect, and how far the reading of Male and of Young moves when another attribute of
    appearance is turned. Groups that are too small are noted."""
    members = group_members(context)
    named = {name: part for name, part in members.items() if part.sum() >= FEWEST}
    if not named:
        raise TooFew(f"no group by {' and '.join(AUDITED)} has {FEWEST} conditions")
    made, truth = samples(context), real(context)
    masks = made["own0"], truth["own0"], made["other0"]
    rows = group_rows("mask_miou", masks, named, metrics.mean_iou, context.seed)
    own, ceiling, other = attribute_hits(context)[0]
    common = scored_by_judges(context).columns.copy()
    for part in named.values():
        accuracy = metrics.attribute_accuracy(own[part].sum(0), metrics.MINIMUM_CASES)
        common &= ~np.isnan(accuracy)
    if common.any():
        hits = own[:, common], ceiling[:, common], other[:, common]
        found = group_rows("attribute_bacc", hits, named, metrics.balanced_accuracy, context.seed)
        rows += [row | {"attributes": int(common.sum())} for row in found]
    try:
        rows += entanglement_rows(turn(context), members, context.seed)
    except TooFew as error:
        rows.append(note_row("entanglement", str(error)))
    return Finding(rows, sorted(set(members) - set(named)))


def measure_groups(context: Context) -> None:
    """What adherence measures, and the turned attributes where there are any."""
    measure_adherence(context)
    with suppress(TooFew):
        sample_turned(context)


def group_members(context: Context) -> dict[str, np.ndarray]:
    """Group -> bool [n], by the true attributes of the rows; unknown values belong to no group."""
    values = context.folder.attributes[context.rows]
    found = {}
    for name in AUDITED:
        column = values[:, ATTRIBUTES.index(name)]
        found[name] = column == PRESENT
        found[f"not {name}"] = column == ABSENT
    return found


def group_rows(
    metric: str,
    counts: Counts,
    members: dict[str, np.ndarray],
    score: Callable[[np.ndarray], np.ndarray],
    seed: int,
) -> list[Row]:
    """One row for each group: its score, ceiling and floor."""
    own, ceiling, floor = (
        metrics.group_scores(part, members, score, seed=seed, draws=1000 if i == 0 else 2)
        for i, part in enumerate(counts)
    )
    return [
        score_row(
            f"{metric}@{name}",
            found.score,
            metrics.Interval(found.low, found.high),
            ceiling=ceiling[name].score,
            floor=floor[name].score,
            n=found.n,
        )
        | {"group": name}
        for name, found in own.items()
    ]


def entanglement_rows(turned: Turned, members: dict[str, np.ndarray], seed: int) -> list[Row]:
    """Effects of turning attributes of appearance on the conditions of each group."""
    free = np.array([name in APPEARANCE and name not in AUDITED for name in turned.names])
    rows: list[Row] = []
    for name, part in members.items():
        inside = part[turned.places]
        if not free.any() or inside.sum() < 2:
            continue
        change, unrelated = turned.change[free][:, inside], turned.unrelated[free]
        target = turned.target()[free][:, inside]
        aside = partial(off_target, unrelated=unrelated)
        row = _row("attribute_effect", name, target, lambda values: float(values.mean()), seed)
        rows += [row | {"better": "higher"}]
        rows.append(_row("off_target_effect", name, change, aside, seed))
        for audited in AUDITED:
            column = ATTRIBUTES.index(audited)
            if turned.scored[column]:
                moved = change[:, :, column]
                rows.append(_row(f"moves_{audited}", name, moved, _mean_effect, seed))
    return rows


def _row(
    metric: str, group: str, values: np.ndarray, score: Callable[[np.ndarray], float], seed: int
) -> Row:
    interval = resampled(values, score, seed)
    row = score_row(f"{metric}@{group}", score(values), interval, n=values.shape[1], better="lower")
    return row | {"group": group}


def _mean_effect(values: np.ndarray) -> float:
    """Changes [T, C] -> mean absolute effect."""
    return float(np.abs(values.mean(1)).mean())


GROUPS = Probe(measure_groups, groups)
