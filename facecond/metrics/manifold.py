"""Precision, recall, density and coverage of feature sets, by balls around their points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecond.metrics.averages import ratio_of_sums
from facecond.metrics.neighbours import squared_distances


@dataclass(frozen=True)
class Manifold:
    """`precision`, `recall` and `coverage` in [0, 1]; `density` >= 0, 1 where both sets agree."""

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(features: np.ndarray, reference: np.ndarray, k: int = 5) -> Manifold:
    """Precision, recall, density and coverage of samples [n, D] against real pictures [m, D].

    A set covers the balls around its points that reach to their k-th neighbour within the set.

    - precision: share of samples within a ball of the real pictures; recall: share of real
      pictures within a ball of the samples (Kynkäänniemi et al. 2019, arXiv 1904.06991,
      equations 1 and 2, there with k = 3).
    - density: how many real balls hold a sample, over k; coverage: share of real balls that hold a
      sample (Naeem et al. 2020, arXiv 2002.09797, section 3, there with k = 5).

    The figures depend on n, m, k and the features: compare only at equal ones. More points mean
    smaller balls, and an outlier has a large ball, which raises precision (or recall, if it is a
    sample) but hardly density. Where both sets follow one distribution, the expected density is 1
    and the expected coverage 1 - prod_{i=1..k} (m - i) / (n + m - i), about 1 - 2^-k at n = m
    (Naeem et al., lemmas 1 and 2); precision and recall have no such value: measure real pictures
    against real ones.

    Raises:
        ValueError: a set of k or fewer images.
    """
    counts = manifold_counts(features, reference, k)
    return Manifold(**{name: float(ratio_of_sums(c.sum(0))) for name, c in counts.items()})


def manifold_counts(
    features: np.ndarray, reference: np.ndarray, k: int = 5
) -> dict[str, np.ndarray]:
    """The counts behind `manifold`, int64: `precision` and `density` [n, 2] of samples, `recall`
    and `coverage` [m, 2] of real pictures, each (hits, possible) for `ratio_of_sums` and
    `bootstrap_interval`. Such an interval holds the balls fixed."""
    real, real_slack = _squared_radii(reference, k)
    own, own_slack = _squared_radii(features, k)
    inside, balls = np.zeros(len(features), bool), np.zeros(len(features), np.int64)
    recalled, covered = np.zeros(len(reference), bool), np.zeros(len(reference), bool)
    slack = max(real_slack, own_slack)
    for part, distances in squared_distances(features, reference):
        within = distances <= real + slack  # [rows, m]
        balls[part] = within.sum(1)
        inside[part] = balls[part] > 0
        covered |= within.any(0)
        recalled |= (distances <= own[part, None] + slack).any(0)

    def of(hits: np.ndarray, possible: int) -> np.ndarray:
        return np.stack([hits, np.full(len(hits), possible)], -1).astype(np.int64)

    return {
        "precision": of(inside, 1),
        "recall": of(recalled, 1),
        "density": of(balls, k),
        "coverage": of(covered, 1),
    }


def _squared_radii(features: np.ndarray, k: int) -> tuple[np.ndarray, float]:
    """Squared distance of each row to its k-th neighbour among the others [n], and what rounding
    may add to a squared distance, so that copies lie within balls of radius 0."""
    if not 0 < k < len(features):
        raise ValueError(f"{len(features)} images are too few for {k} neighbours")
    radii = np.empty(len(features))
    for part, distances in squared_distances(features, features):
        rows = np.arange(len(distances))
        distances[rows, part.start + rows] = np.inf  # no neighbour of itself
        for _ in range(k - 1):  # k minima cost a fifth of one partition
            distances[rows, distances.argmin(1)] = np.inf
        radii[part] = distances.min(1)
    centred = np.asarray(features, np.float64) - np.mean(features, 0, dtype=np.float64)
    return radii.clip(0), 1e-12 * float((centred * centred).sum(1).max())
