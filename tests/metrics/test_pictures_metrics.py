"""PSNR and SSIM by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import convolve1d

from facecond.metrics.pictures import WINDOW_REACH, psnr, ssim


def pictures(count: int = 3, size: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def test_psnr_by_hand() -> None:
    first = np.zeros((3, 2, 2, 3), np.uint8)
    second = first.copy()
    second[0] += 5  # every value: mean square 25
    second[1, 0, 0, 0] = 255  # one of twelve values
    found = psnr(first, second)
    assert found[0] == pytest.approx(10 * math.log10(255**2 / 25))
    assert found[1] == pytest.approx(10 * math.log10(12))
    assert found[2] == np.inf
    assert np.array_equal(found, psnr(second, first))  # no uint8 wraps round


def test_ssim_is_the_formula_of_wang() -> None:
    first = pictures()
    noise = np.random.default_rng(1).integers(-40, 41, first.shape)
    second = (first.astype(int) + noise).clip(0, 255).astype(np.uint8)
    offsets = np.arange(-WINDOW_REACH, WINDOW_REACH + 1)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(plane: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            plane = convolve1d(plane, window, axis=axis, mode="constant")
        return plane[WINDOW_REACH:-WINDOW_REACH, WINDOW_REACH:-WINDOW_REACH]

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = []
    for one, other in zip(first.astype(float), second.astype(float), strict=True):
        mean = blur(one), blur(other)
        variance = blur(one**2) - mean[0] ** 2, blur(other**2) - mean[1] ** 2
        shared = blur(one * other) - mean[0] * mean[1]
        above = (2 * mean[0] * mean[1] + c1) * (2 * shared + c2)
        below = (mean[0] ** 2 + mean[1] ** 2 + c1) * (sum(variance) + c2)
        expected.append((above / below).mean())
    assert ssim(first, second) == pytest.approx(np.array(expected), abs=1e-9)


def test_ssim_falls_from_one_with_the_noise() -> None:
    first = pictures(1, 32)
    assert ssim(first, first) == pytest.approx(1.0)
    scores = []
    for amount in (4, 16, 64):
        noise = np.random.default_rng(2).integers(-amount, amount + 1, first.shape)
        scores.append(ssim(first, (first + noise).clip(0, 255).astype(np.uint8))[0])
    assert 1 > scores[0] > scores[1] > scores[2]


def test_pictures_that_do_not_match_are_refused() -> None:
    for score in (psnr, ssim):
        with pytest.raises(ValueError, match="do not match"):
            score(pictures(), pictures(2))
        with pytest.raises(ValueError, match="do not match"):
            score(pictures(), pictures().astype(float))
