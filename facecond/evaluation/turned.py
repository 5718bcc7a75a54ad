"""Each attribute turned off and on at fixed mask and seed, and what the judges see change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecond import metrics
from facecond.evaluation.adherence import scored_by_judges
from facecond.evaluation.conditions import masks_of, noise_seed, switched
from facecond.evaluation.context import Context, TooFew
from facecond.evaluation.generation import Arrays, Requests
from facecond.evaluation.verdicts import parse, probabilities
from facecond.labels import ATTRIBUTES, PRESENT, UNSPECIFIED, exclusive_with

RELATED = 0.3
"""Attributes whose correlation with the turned one is stronger than this in the test split are not
counted as off-target: faces that have the one mostly have the other."""
AUDITED = ("Male", "Young")


@dataclass
class Turned:
    """Each attribute turned off and on over the same conditions.

    Attributes:
        names: the attributes turned, [T].
        places: of the conditions in the context's rows, int64 [C].
        change: change of the judge's probabilities, float [T, C, 40].
        counts: `mask_counts` [T, C, 19, 2] of the parser's masks off and on.
        foreign: the same between different conditions.
        scored: attributes that the judge can tell, bool [40].
        unrelated: `[T, 40]`, which of them count as off-target.
    """

    names: list[str]
    places: np.ndarray
    change: np.ndarray
    counts: np.ndarray
    foreign: np.ndarray
    scored: np.ndarray
    unrelated: np.ndarray

    @property
    def columns(self) -> list[int]:
        """Columns of the turned attributes."""
        return [ATTRIBUTES.index(name) for name in self.names]

    def target(self) -> np.ndarray:
        """Change of the turned attribute itself, float [T, C]."""
        return np.stack([self.change[t, :, c] for t, c in enumerate(self.columns)])


def turn(context: Context) -> Turned:
    """Every scored attribute off and on, over conditions that are balanced by `AUDITED`."""
    names, places = turned_conditions(context)
    scored = scored_by_judges(context).columns
    unrelated = np.stack([_unrelated(context, name, scored) for name in names])
    return Turned(names, places, **sample_turned(context), scored=scored, unrelated=unrelated)


def turned_conditions(context: Context) -> tuple[list[str], np.ndarray]:
    """Names of the attributes that are turned, and places of the conditions."""
    names = scored_by_judges(context).names
    places = balanced_places(context, context.amounts.turned)
    if not names or len(places) < 2:
        raise TooFew("no attribute to turn, or fewer than two conditions")
    return names, places


def sample_turned(context: Context) -> Arrays:
    """`change`, `counts`, `foreign` of `Turned`."""
    names, places = turned_conditions(context)
    rows, count = context.rows[places], len(places)
    asked = []
    for name in names:
        off, on = switched(context.folder.attributes[rows], name)
        asked.append(np.stack([off, on], 1))  # [C, 2, 40]
    seeds = np.repeat([noise_seed(context.seed, int(row)) for row in rows], 2)
    requests = Requests(
        attributes=np.concatenate(asked).reshape(-1, len(ATTRIBUTES)),
        masks=lambda part: masks_of(
            context.folder, rows[np.arange(part.start, part.stop) // 2 % count]
        ),
        seeds=np.tile(seeds, len(names)).tolist(),
        group=2 * count,
    )

    def measure(images: np.ndarray, part: slice) -> Arrays:
        judges = context.judges[0]
        seen = probabilities(judges.classifier.model, images).reshape(-1, count, 2, len(ATTRIBUTES))
        masks = parse(judges.parser.model, images).reshape(-1, count, 2, *images.shape[1:3])
        off, on = masks[:, :, 0], masks[:, :, 1]
        return {
            "change": seen[:, :, 1] - seen[:, :, 0],
            "counts": np.stack([metrics.mask_counts(a, b) for a, b in zip(off, on, strict=True)]),
            "foreign": np.stack(
                [metrics.mask_counts(a, np.roll(b, 1, 0)) for a, b in zip(off, on, strict=True)]
            ),
        }

    return context.parts.get("turned", lambda: context.sample(requests, measure, "turn attributes"))


def balanced_places(context: Context, count: int) -> np.ndarray:
    """Places of up to `count` conditions, as many as can be from each of the four groups that
    `AUDITED` makes; where a group is too small the others fill up."""
    columns = [ATTRIBUTES.index(name) for name in AUDITED]
    present = context.folder.attributes[context.rows][:, columns] == PRESENT
    seen: dict[tuple[bool, ...], int] = {}
    turns = []
    for key in map(tuple, present.tolist()):
        seen[key] = seen.get(key, -1) + 1
        turns.append(seen[key])
    return np.sort(np.argsort(turns, kind="stable")[:count])


def _unrelated(context: Context, name: str, scored: np.ndarray) -> np.ndarray:
    column = ATTRIBUTES.index(name)
    values = context.folder.attributes[context.folder.indices("test")].astype(float)
    values[values == UNSPECIFIED] = np.nan
    keep = scored.copy()
    keep[[column, *exclusive_with(name)]] = False
    for other in np.flatnonzero(keep):
        both = ~np.isnan(values[:, column] + values[:, other])
        pair = values[both][:, [column, other]]
        if len(pair) and (pair.std(0) > 0).all():
            keep[other] = abs(np.corrcoef(pair.T)[0, 1]) < RELATED
    return keep
