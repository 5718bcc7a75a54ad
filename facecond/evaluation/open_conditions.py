"""Probe: what is left open stays as diverse as in the data, and what is given is still obeyed."""

from __future__ import annotations

import numpy as np

from facecond import metrics
from facecond.evaluation.adherence import measure_adherence, scored_by_judges
from facecond.evaluation.conditions import images_of, masks_of, noise_seed, partly_open
from facecond.evaluation.context import Context, Finding, Probe, TooFew
from facecond.evaluation.generation import Arrays, Requests
from facecond.evaluation.rows import Row, counted_row, mean_row, note_row
from facecond.evaluation.survey import real
from facecond.evaluation.verdicts import judge_attributes, parse
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, UNSPECIFIED
from facecond.seeding import numpy_generator

GIVEN = 3
"""Attributes that a partial condition names; the other 37 stay open."""
RATED = 512
"""Most masks that the rates of the classes are counted in."""


def open_conditions(context: Context) -> Finding:
    """Rows `open_attribute_entropy` and `partial_attribute_bacc` from conditions that name a few
    attributes and no mask; `open_region_entropy` and `partial_mask_miou` from masks with an open
    region and no attributes. Several samples of each, on the first conditions."""
    return Finding([*attribute_rows(context), *region_rows(context)])


def measure_open_conditions(context: Context) -> None:
    """Samples of conditions that leave attributes or regions open."""
    if len(_places(context)) < 2:
        raise TooFew("fewer than two conditions")
    measure_adherence(context)
    sample_open_attributes(context)
    sample_open_regions(context)


def sample_open_attributes(context: Context) -> Arrays:
    """Attributes `present`, bool [C, samples, 40], of conditions that name a few of them."""
    places, samples = _places(context), context.amounts.samples_open
    asked = few_attributes(context, places)
    size = context.folder.image_size
    requests = Requests(
        attributes=np.repeat(asked, samples, 0),
        masks=lambda part: np.full((part.stop - part.start, size, size), ANYTHING, np.uint8),
        seeds=_seeds(context, places, samples),
        group=samples,
    )

    def measure(images: np.ndarray, part: slice) -> Arrays:
        present, _ = judge_attributes(context.judges[0].classifier.model, images)
        return {"present": present.reshape(-1, samples, present.shape[1])}

    return context.parts.get(
        "open_attributes", lambda: context.sample(requests, measure, "open attributes")
    )


def attribute_rows(context: Context) -> list[Row]:
    """The open attributes' entropy in bits beside that of the judge's verdicts on real pictures
    (ceiling; the same bias of few samples) and 0 (floor: all samples alike); and the accuracy of
    the few that were named."""
    samples, scored = context.amounts.samples_open, scored_by_judges(context).columns
    places, found = _places(context), sample_open_attributes(context)["present"]
    asked = few_attributes(context, places)
    base = np.where(scored, real(context)["present0"].mean(0), np.nan)
    sums = metrics.open_entropy_counts(found, (asked == UNSPECIFIED) & scored, base)
    rows = [_entropy_row("open_attribute_entropy", sums, context.seed) | {"samples": samples}]
    given = np.where(context.known, asked, np.int8(UNSPECIFIED))
    partner = metrics.derangement(len(places), context.seed)
    truth = real(context)["present0"][places]
    own, other = (
        metrics.attribute_counts(np.repeat(values, samples, 0), found.reshape(-1, len(ATTRIBUTES)))
        .reshape(len(places), samples, len(ATTRIBUTES), 4)
        .sum(1)
        for values in (given, given[partner])
    )
    counts = own, metrics.attribute_counts(given, truth), other
    # Few are named of each attribute: all named values together, present against absent.
    triple = tuple(part[:, scored].sum(1, keepdims=True) for part in counts)
    cases = triple[1].sum((0, 1))[[1, 3]]  # present and absent values named
    if cases.min() >= metrics.MINIMUM_CASES:
        rows.append(
            counted_row("partial_attribute_bacc", metrics.balanced_accuracy, [triple], context.seed)
            | {"samples": samples, "values": int(cases.sum())}
        )
    else:
        rows.append(note_row("partial_attribute_bacc", "too few values named"))
    return rows


def sample_open_regions(context: Context) -> Arrays:
    """For conditions whose masks are partly open: entropy counts of `open` and of `painted` pixels
    [C, 3], mask counts against the `own` mask, that of the partner (`other`), and of the `real`
    picture [C, 19, 2]."""
    samples, folder, places = context.amounts.samples_open, context.folder, _places(context)
    rows = context.rows[places]
    partner = metrics.derangement(len(places), context.seed)
    rates = metrics.class_rates(masks_of(folder, context.rows[:RATED]), len(MASK_CLASSES))
    requests = Requests(
        attributes=np.full((len(places) * samples, len(ATTRIBUTES)), UNSPECIFIED, np.int8),
        masks=lambda part: _opened(context, rows, np.arange(part.start, part.stop) // samples),
        seeds=_seeds(context, places, samples, 100),
        group=samples,
    )

    def measure(images: np.ndarray, part: slice) -> Arrays:
        which = np.arange(part.start, part.stop, samples) // samples
        parser = context.judges[0].parser.model
        parsed = parse(parser, images)
        parsed = parsed.reshape(len(which), samples, *parsed.shape[1:])
        asked, swapped = (_opened(context, rows, part) for part in (which, partner[which]))
        truth = parse(parser, images_of(folder, rows[which]))
        entropies = [
            metrics.region_entropy_counts(parsed, region, rates)
            for region in (asked == ANYTHING, asked != ANYTHING)
        ]
        own, other = (
            metrics.mask_counts(
                np.repeat(masks, samples, 0), parsed.reshape(-1, *parsed.shape[2:])
            ).reshape(len(which), samples, -1, 2)
            for masks in (asked, swapped)
        )
        return {
            "open": entropies[0], "painted": entropies[1], "own": own.sum(1), "other": other.sum(1),
            "real": metrics.mask_counts(asked, truth),
        }  # fmt: skip

    return context.parts.get(
        "open_regions", lambda: context.sample(requests, measure, "open regions")
    )


def region_rows(context: Context) -> list[Row]:
    """The entropy in bits of the parsed class at open pixels beside that of the data's masks there
    (ceiling) and that at painted pixels (floor); and the mean IoU of what was painted."""
    samples, found = context.amounts.samples_open, sample_open_regions(context)
    floor = metrics.entropy_score(found["painted"].sum(0)).score
    entropy = _entropy_row("open_region_entropy", found["open"], context.seed, floor)
    counts = [(found["own"], found["real"], found["other"])]
    miou = counted_row("partial_mask_miou", metrics.mean_iou, counts, context.seed)
    return [entropy | {"samples": samples}, miou | {"samples": samples}]


def _places(context: Context) -> np.ndarray:
    """Places of the conditions that are asked for in part."""
    return np.arange(len(context.rows))[: context.amounts.open]


def few_attributes(context: Context, places: np.ndarray) -> np.ndarray:
    """int8 [C, 40]: up to `GIVEN` of the scored attributes of each condition, the rest open."""
    scored = scored_by_judges(context).columns
    values = np.full((len(places), len(ATTRIBUTES)), UNSPECIFIED, np.int8)
    for i, row in enumerate(context.rows[places]):
        true = context.folder.attributes[row]
        known = np.flatnonzero((true != UNSPECIFIED) & scored)
        generator = numpy_generator(context.seed, "evaluate", "given", int(row))
        chosen = generator.permutation(known)[:GIVEN]
        values[i, chosen] = true[chosen]
    return values


def _opened(context: Context, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
    return np.stack([partly_open(context.folder.mask(int(rows[i])), int(i)) for i in which])


def _seeds(context: Context, places: np.ndarray, samples: int, first: int = 0) -> list[int]:
    return [
        noise_seed(context.seed, int(row), first + number)
        for row in context.rows[places]
        for number in range(samples)
    ]


def _entropy_row(metric: str, sums: np.ndarray, seed: int, floor: float = 0.0) -> Row:
    """From sums float [C, 3]: entropy, entropy of the data, how many."""
    ceiling = metrics.entropy_score(sums.sum(0)).data
    return mean_row(metric, sums[:, [0, 2]], seed, ceiling=ceiling, floor=floor)


OPEN_CONDITIONS = Probe(measure_open_conditions, open_conditions)
