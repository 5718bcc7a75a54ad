"""Conditions of `facecond sample` for models of any size, and masks as files."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.commands.sample_conditions import sample_conditions
from facecond.data.masks import mask_png, random_face
from facecond.errors import UserError
from facecond.labels import parse_attributes


@pytest.mark.parametrize("size", [32, 64])
def test_random_masks_of_any_size(size: int) -> None:
    args = Namespace(mask="random", data=None)
    attributes, masks = sample_conditions(args, None, size, [3, 4])
    for index, seed in enumerate((3, 4)):
        mask, values = random_face(seed, size)
        assert np.array_equal(masks[index], mask) and np.array_equal(attributes[index], values)
    given = parse_attributes("Smiling")
    attributes, again = sample_conditions(args, given, size, [3, 4])
    assert np.array_equal(attributes, [given, given]) and np.array_equal(again, masks)


def test_a_mask_is_read_as_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"
    args = Namespace(mask=str(path), data=None)
    path.write_bytes(mask_png(np.full((64, 64), 13, np.uint8)))
    assert (sample_conditions(args, None, 32, [0])[1] == 13).all()
    Image.new("L", (4100, 4100)).save(path)
    with pytest.raises(UserError, match=r"4100x4100.*up to 4096"):
        sample_conditions(args, None, 32, [0])
    Image.new("L", (64, 63)).save(path)
    with pytest.raises(UserError, match=r"64x63.*square"):
        sample_conditions(args, None, 32, [0])
