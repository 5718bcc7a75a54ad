"""How much samples of one condition differ: perceptual distance, entropy of what was left open.

Entropies are in bits and estimated from n samples of a condition by plugging shares into
H = -sum q log2 q. At small n this is too low (by about (classes - 1) / (2 n ln 2)), so the data's
entropy is given the same bias: it is what n independent draws at the data's own rates would show
on average. A share of 1 then means "as diverse as the data", at any n. The data's rates know
nothing of the attributes and regions that *were* given, which make the open ones more certain: a
perfect model stays somewhat below 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class EntropyScore:
    """Mean entropy of what was left open, in bits: of the samples (`score`), of the data
    (`data`), and their ratio (`share`). NaN where nothing was left open."""

    score: float
    data: float
    share: float


def pair_diversity(distances: np.ndarray) -> float:
    """Perceptual distances [C, P] between pairs of samples of each of C conditions -> their mean
    over pairs, then over conditions.

    With LPIPS between all pairs of 10 samples (P = 45) it is the diversity of the published
    protocol (StarGAN v2, Choi et al. 2020, arXiv 1912.01865). The mean does not depend
    on the number of samples. For an interval over conditions give `bootstrap_interval` the counts
    [C, 2] of (sum of distances, pairs) with `ratio_of_sums`. Noise is diverse, too: read it beside
    a score of quality, and beside the distance of real pictures of different faces.
    """
    distances = np.asarray(distances, float)
    if distances.ndim != 2 or not distances.size:
        raise ValueError(f"distances of shape {distances.shape} are not [conditions, pairs]")
    return float(distances.mean(1).mean())


def open_entropy(present: np.ndarray, open_: np.ndarray, base: np.ndarray) -> EntropyScore:
    """Do attributes that were not asked for stay as diverse as in the data?

    Args:
        present: bool [C, n, A], what the judge sees in n samples of each of C conditions.
        open_: bool [C, A], attributes that the condition left unspecified.
        base: float [A], share of "present" in the data as the same judge sees it, in [0, 1];
            NaN for attributes that are not scored.

    Each open attribute of each condition counts once, with its binary entropy in [0, 1] bits.
    """
    return entropy_score(open_entropy_counts(present, open_, base).sum(0))


def open_entropy_counts(present: np.ndarray, open_: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The sums behind `open_entropy`, float64 [C, 3]: entropy, entropy of the data, attributes."""
    samples, base = present.shape[1], np.asarray(base, float)
    if open_.shape != (present.shape[0], *present.shape[2:]) or base.shape != open_.shape[1:]:
        raise ValueError(f"open {open_.shape} and base {base.shape} do not fit {present.shape}")
    share, known = present.mean(1), np.where(np.isnan(base), 0.0, base)
    found = _surprise(share) + _surprise(1 - share)  # [C, A]
    data = _expected(known, samples) + _expected(1 - known, samples)  # [A]
    return _sums(found, data, open_ & ~np.isnan(base))


def region_entropy(parsed: np.ndarray, open_: np.ndarray, rates: np.ndarray) -> EntropyScore:
    """Do regions that were not painted stay as diverse as in the data?

    Args:
        parsed: uint8 [C, n, H, W], masks that the parser sees in n samples of each condition.
        open_: bool [C, H, W], pixels that the condition left open (255).
        rates: float [classes, H, W], share of each class at each pixel of the data's masks
            (`class_rates`).

    Each open pixel of each condition counts once, with its entropy in [0, log2 classes] bits.
    """
    return entropy_score(region_entropy_counts(parsed, open_, rates).sum(0))


def region_entropy_counts(parsed: np.ndarray, open_: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The sums behind `region_entropy`, float64 [C, 3]: entropy, entropy of the data, pixels."""
    samples = parsed.shape[1]
    if open_.shape != (len(parsed), *parsed.shape[2:]) or rates.shape[1:] != open_.shape[1:]:
        raise ValueError(f"open {open_.shape} and rates {rates.shape} do not fit {parsed.shape}")
    found, data = np.zeros(open_.shape), np.zeros(open_.shape[1:])
    for label, rate in enumerate(rates):
        found += _surprise((parsed == label).mean(1))  # [C, H, W]
        data += _expected(rate, samples)  # [H, W]
    return _sums(found, data, open_)


def class_rates(masks: np.ndarray, classes: int) -> np.ndarray:
    """Masks uint8 [N, H, W] -> share of each class at each pixel, float64 [classes, H, W]. Pixels
    of 255 count nowhere; a pixel that no mask knows has shares of 0."""
    counts = np.stack([(masks == label).sum(0) for label in range(classes)]).astype(float)
    return counts / np.maximum(counts.sum(0), 1)


def entropy_score(sums: np.ndarray) -> EntropyScore:
    """Summed counts [3] of `open_entropy_counts` or `region_entropy_counts` -> the score."""
    found, data, count = map(float, sums)
    nan = float("nan")
    score, base = (found / count, data / count) if count else (nan, nan)
    return EntropyScore(score, base, score / base if base else nan)


def _sums(found: np.ndarray, data: np.ndarray, counted: np.ndarray) -> np.ndarray:
    axes = tuple(range(1, counted.ndim))
    parts = (found, np.broadcast_to(data, found.shape), np.ones(found.shape))
    return np.stack([np.where(counted, part, 0.0).sum(axes) for part in parts], -1)


def _surprise(share: np.ndarray) -> np.ndarray:
    """-q log2 q, 0 at q = 0."""
    return -share * np.log2(np.where(share > 0, share, 1.0))


def _expected(rate: np.ndarray, samples: int) -> np.ndarray:
    """Mean of `_surprise(X / n)` over X ~ Binomial(n, rate)."""
    from scipy.stats import binom

    total = np.zeros(rate.shape)
    for hits in range(1, samples):  # 0 and n hits hold no surprise
        total += binom.pmf(hits, samples, rate) * _surprise(np.array(hits / samples))
    return total
