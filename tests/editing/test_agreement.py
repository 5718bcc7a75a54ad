"""Agreement of pictures, by stage and region."""

from __future__ import annotations

import json

import numpy as np
import pytest

from facecond.editing.agreement import agreement, edit_errors


def test_known_differences() -> None:
    first = np.full((4, 4, 3), 100, np.uint8)
    second = first.copy()
    second[0] = 110
    told = agreement(first, second)
    assert told.psnr == pytest.approx(10 * np.log10(255**2 / 25), abs=1e-3)
    assert (told.l1, told.largest) == (2.5, 10)
    pixels = np.zeros((4, 4), bool)
    assert agreement(first, second, pixels).l1 is None
    pixels[1:] = True
    same = agreement(first, second, pixels)
    assert (same.psnr, same.l1, same.largest) == (None, 0, 0)


def test_the_edge_is_neither_changed_nor_untouched() -> None:
    photo, drawn = np.zeros((2, 4, 4, 3), np.uint8)
    drawn = drawn + 40
    weight = np.zeros((4, 4), np.float32)
    weight[0], weight[1] = 1, 0.5
    result = (weight[..., None] * drawn).astype(np.uint8)
    errors = edit_errors(photo, photo, photo, drawn, result, weight, 0.0, 0.0)
    assert (errors.changed_share, errors.untouched_share) == (0.25, 0.5)
    assert errors.untouched.largest == 0 and errors.untouched_before.l1 == 40
    assert errors.changed.l1 == 40
    json.dumps(errors.as_json(), allow_nan=False)
