"""Probes: do samples look like real pictures, all of them and all kinds of them?

Distances are taken to real pictures of the generator's split, which no test row belongs to.
Samples, reconstructions and real test pictures are equally many, so their bias is the same.
"""

from __future__ import annotations

import numpy as np

from facecond import metrics
from facecond.evaluation.context import Context, Finding, Probe, TooFew
from facecond.evaluation.rows import Row, frechet_rows, score_row
from facecond.evaluation.survey import real, reference, samples

NEIGHBOURS = 5
"""k of the balls that precision, recall, density and coverage count in."""
JUDGE_NAMES = ("frechet_judge", "kernel_judge", "")
"""Of the Fréchet and the kernel distance, and what is added to the names of manifold scores."""
Sets = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Features [n, D] of samples, of reconstructions, of real test pictures, and of the reference."""


def fidelity(context: Context) -> Finding:
    """Fréchet distances: of samples, reconstructions and real test pictures."""
    rows = []
    for (name, *_), sets in _feature_sets(context):
        rows += frechet_rows(*sets, seed=context.seed, name=name)
    return Finding(rows)


def against_test(context: Context) -> Finding:
    """Fréchet distances to the real test pictures themselves, as papers on semantic image
    synthesis take them (SPADE, OASIS): rows NAME_to_test. They have no ceiling: a set at no
    distance is the test set itself, and another set as good lies away from it by the bias."""
    rows = []
    for (name, *_), (made, rebuilt, truth, _) in _feature_sets(context):
        to_test, *_ = frechet_rows(made, rebuilt, truth, truth, context.seed, f"{name}_to_test")
        rows.append(to_test | {"ceiling": None, "share": None})
    return Finding(rows)


def spread(context: Context) -> Finding:
    """Kernel distances; rows `manifold_precision`, `_recall`, `_density`, `_coverage`."""
    rows: list[Row] = []
    for (_, name, suffix), (made, rebuilt, truth, trained) in _feature_sets(context):
        if min(len(made), len(trained)) <= NEIGHBOURS:
            raise TooFew(f"{NEIGHBOURS} neighbours need more than {NEIGHBOURS} pictures")
        rows += kernel_rows(name, made, rebuilt, truth, trained, context.seed)
        rows += manifold_rows(made, truth, trained, context.seed, suffix)
    return Finding(rows)


def kernel_rows(
    name: str,
    made: np.ndarray,
    rebuilt: np.ndarray,
    truth: np.ndarray,
    trained: np.ndarray,
    seed: int,
) -> list[Row]:
    """Kernel distances, with the same three sets as the Fréchet distances."""
    rows = []
    sets = {name: made, f"{name}_reconstruction": rebuilt, f"{name}_real": truth}
    for key, features in sets.items():
        distance = metrics.kernel_distance(features, trained, seed=seed)
        interval = metrics.kernel_interval(features, trained, distance.score, seed=seed)
        row = score_row(key, distance.score, interval, n=len(features), better="lower")
        rows.append(row | {"reference_n": len(trained)})
    rows[0]["ceiling"] = rows[1]["score"]
    return rows


def manifold_rows(
    made: np.ndarray, truth: np.ndarray, trained: np.ndarray, seed: int, suffix: str
) -> list[Row]:
    """Precision, recall, density and coverage; the ceiling is that of the real test pictures. `n`
    and the interval count samples, for recall and coverage pictures of the reference."""
    own = metrics.manifold_counts(made, trained, NEIGHBOURS)
    ceiling = metrics.manifold(truth, trained, NEIGHBOURS)
    rows = []
    for name, counts in own.items():
        row = score_row(
            f"manifold_{name}{suffix}",
            float(metrics.ratio_of_sums(counts.sum(0))),
            metrics.bootstrap_interval(counts, metrics.ratio_of_sums, seed=seed),
            ceiling=getattr(ceiling, name),
            n=len(counts),
        )
        rows.append(row | {"reference_n": len(trained), "neighbours": NEIGHBOURS})
    return rows


def _feature_sets(context: Context) -> list[tuple[tuple[str, str, str], Sets]]:
    """Names (as `JUDGE_NAMES`) and features: of the judge, and of the extractor if there is one."""
    made, truth, trained = samples(context), real(context), reference(context)

    def sets(features: str, rebuilt: str) -> Sets:
        return made[features], truth[rebuilt], truth[features], trained[features]

    found = [(JUDGE_NAMES, sets("features", "rebuilt"))]
    if context.extractor is not None:
        told = context.extractor
        names = told.frechet, told.kernel, f"_{told.name}"
        found.append((names, sets("extracted", "rebuilt_extracted")))
    return found


def measure_fidelity(context: Context) -> None:
    """Features of real pictures, of the reference and of samples."""
    real(context)
    reference(context)
    samples(context)


FIDELITY = Probe(measure_fidelity, fidelity)
AGAINST_TEST = Probe(measure_fidelity, against_test)
SPREAD = Probe(measure_fidelity, spread)
