"""The pictures a first stage is fitted to: the right ones, and never many in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.data import fit_images
from facecond.data.fit_images import FitImages
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError

SIZE, COUNT = 16, 7


@pytest.fixture
def folder(tmp_path: Path) -> PreparedFolder:
    """Seven pictures for the generator between pictures of other splits."""
    draw = np.random.default_rng(0)
    with PreparedWriter(tmp_path / "faces", SIZE, "folder") as writer:
        for i in range(2 * COUNT):
            image = draw.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
            split = "generator" if i % 2 else "test"
            writer.add(f"{i:02d}", image, None, np.full(40, -1, np.int8), split)
    return PreparedFolder.open(tmp_path / "faces")


def test_batches_are_the_first_pictures_of_the_split_however_often(
    folder: PreparedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_images, "BATCH_PIXELS", 3 * SIZE**2)
    batches = FitImages(folder)
    assert [len(part) for part in batches] == [3, 3, 1]
    found = torch.cat(list(batches))
    assert found.dtype == torch.float32 and found.shape == (COUNT, 3, SIZE, SIZE)
    for row, picture in zip(folder.indices("generator"), found, strict=True):
        expected = folder.image(int(row)).transpose(2, 0, 1) / 127.5 - 1
        np.testing.assert_allclose(picture, expected, atol=1e-6)
    (first,) = FitImages(folder, limit=2)
    assert torch.equal(first, found[:2])


def test_a_picture_is_read_when_its_batch_is_asked_for(
    folder: PreparedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_images, "BATCH_PIXELS", 1)  # one picture at a time, however large
    batches = iter(FitImages(folder))
    (folder.root / "images" / "13.png").unlink()  # the last
    assert sum(len(next(batches)) for _ in range(COUNT - 1)) == COUNT - 1
    with pytest.raises(UserError, match=r"13\.png"):
        next(batches)
