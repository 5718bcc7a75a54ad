"""Probe: are samples nearer to the pictures trained on than new pictures are?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecond import metrics
from facecond.evaluation.context import Context, Finding, Probe
from facecond.evaluation.generation import Arrays
from facecond.evaluation.rows import mean_row
from facecond.evaluation.survey import real, samples
from facecond.evaluation.verdicts import judge_features

SHOWN = 6


@dataclass
class Nearest:
    """The samples that lie nearest to a picture trained on, the nearest first.

    Attributes:
        places: in the context's rows, int64 [k].
        rows: the training pictures, rows of the folder, int64 [k].
        distances: float [k].
        usual: median distance of real test pictures to their nearest training picture.
    """

    places: np.ndarray
    rows: np.ndarray
    distances: np.ndarray
    usual: float


def memorisation(context: Context) -> Finding:
    """Row `memorised_share`: samples nearer to a training picture than almost all real test
    pictures are. Ceiling: that share for new real pictures. Floor: 1, copies. Row
    `nearest_distance`: the mean distance; ceiling: that of real test pictures; floor: 0, copies.
    All pictures of the generator's split are searched, and their mirror images, which training may
    show too, in the features of the extractor, or else of the classifier."""
    key = "features" if context.extractor is None else "extracted"
    seen, rows = training(context), context.folder.indices("generator")
    trained = np.concatenate([seen["plain"], seen["mirrored"]])
    own, nearest_rows = metrics.nearest(samples(context)[key], trained)
    nearest_rows %= len(rows)  # the mirrored pictures come after the plain ones
    held_out, _ = metrics.nearest(real(context)[key], trained)
    found = metrics.memorisation(own, held_out)
    interval = metrics.memorisation_interval(own, held_out, seed=context.seed)
    ones = np.ones(len(own))
    share = mean_row(
        "memorised_share",
        np.stack([(own < found.threshold).astype(float), ones], 1),
        context.seed,
        ceiling=found.expected,
        floor=1.0,
        better="lower",
    )
    share |= {"low": interval.low, "high": interval.high}
    distance = mean_row(
        "nearest_distance", np.stack([own, ones], 1), context.seed,
        ceiling=float(held_out.mean()), floor=0.0,
    )  # fmt: skip
    for row in (share, distance):
        row |= {"reference_n": len(rows), "threshold": found.threshold}
    order = np.argsort(own, kind="stable")[:SHOWN]
    shown = Nearest(order, rows[nearest_rows[order]], own[order], found.held_out_median)
    return Finding([share, distance], shown)


def measure_memorisation(context: Context) -> None:
    """Features of real pictures, of those trained on, and of samples."""
    real(context)
    training(context)
    samples(context)


def training(context: Context) -> Arrays:
    """Features of all pictures of the generator's split, and of their mirror images."""

    def measure(images: np.ndarray, part: slice) -> Arrays:
        extractor, classifier = context.extractor, context.judges[0].classifier.model
        found = {}
        for name, seen in (("plain", images), ("mirrored", images[:, :, ::-1])):
            if extractor is not None:
                found[name] = extractor.features(np.ascontiguousarray(seen))
            else:
                found[name] = judge_features(classifier, seen)
        return found

    rows = context.folder.indices("generator")
    return context.parts.get("training", lambda: context.real(rows, measure, "pictures trained on"))


MEMORISATION = Probe(measure_memorisation, memorisation)
