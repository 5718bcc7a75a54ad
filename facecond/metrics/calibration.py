"""Scores of a judge -> probabilities that keep their word, and how well they keep it."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

BINS = 10
RIDGE = 1e-4
"""Keeps the bias of a class finite that does not occur."""


def fit_platt(logits: np.ndarray, present: np.ndarray) -> tuple[float, float]:
    """Platt scaling: (slope, offset) so that P(present) = sigmoid(slope * logit + offset).

    Maximum likelihood with Platt's softened targets, (n + 1) / (n + 2) and 1 / (n + 2), which keep
    it finite where few cases are known (Platt 1999). The slope is at least 0.

    Args:
        logits: float [N].
        present: bool [N].
    """
    logits = logits.astype(float)
    hits = int(present.sum())
    high, low = (hits + 1) / (hits + 2), 1 / (len(present) - hits + 2)
    target = np.where(present, high, low)
    scale = max(float(logits.std()), 1e-6)  # the search is over logits of unit size

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = x[0] * logits / scale + x[1]
        error = expit(z) - target
        value = (np.logaddexp(0, z) - target * z).mean()
        return value, np.array([(error * logits).mean() / scale, error.mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(0, None), (None, None)])
    return float(found.x[0] / scale), float(found.x[1])


def apply_platt(
    logits: np.ndarray, slope: float | np.ndarray, offset: float | np.ndarray
) -> np.ndarray:
    """P(present), float64 of the shape of `logits`."""
    return expit(slope * logits.astype(float) + offset)


def fit_temperature(logits: np.ndarray, classes: np.ndarray) -> tuple[float, np.ndarray]:
    """Bias-corrected temperature scaling: (t, b) so that softmax(logits / t + b) is most likely
    (Guo et al. 2017; Alexandari et al. 2020).

    The bias takes back what weights on rare classes in a training have added to their logits.

    Args:
        logits: float [N, C].
        classes: int [N], the true classes.

    Returns:
        The temperature and float64 [C]; a class that does not occur keeps a finite bias.
    """
    logits = logits.astype(float)
    each = np.arange(len(classes))

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        sharp = np.exp(-x[0])
        log_p = logits * sharp + x[1:]
        log_p -= logsumexp(log_p, axis=1, keepdims=True)
        value = RIDGE * (x @ x) - log_p[each, classes].mean()
        error = np.exp(log_p)
        error[each, classes] -= 1
        slope = np.concatenate([[-sharp * (error * logits).sum(1).mean()], error.mean(0)])
        return value, slope + 2 * RIDGE * x

    found = minimize(loss, np.zeros(logits.shape[1] + 1), jac=True).x
    return float(np.exp(found[0])), found[1:] - found[1:].mean()


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: mean over answers of |confidence - share right| of their bin.

    Args:
        confidence: float [N], 0..1: the stated probability that an answer is right.
        right: bool [N].

    Returns:
        NaN without answers. The bins hold equally many answers each, so that none is empty.
    """
    if not len(confidence):
        return float("nan")
    order = np.argsort(confidence, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    gaps = [abs(confidence[p].mean() - right[p].mean()) * len(p) for p in parts]
    return float(sum(gaps) / len(confidence))
