"""The raw layout as rendered: what its files hold, before any reader of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.data.pictures import resize_mask
from facecond.data.render_raw import render_celebamask
from facecond.data.rendered import render
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, MASK_CLASSES


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered") / "raw"
    render_celebamask(out, 4, 128, seed=2, workers=1)
    return out


def test_pictures_are_the_rendered_ones(root: Path) -> None:
    assert sorted(p.name for p in (root / "CelebA-HQ-img").iterdir()) == [
        f"{index}.jpg" for index in range(4)
    ]
    for index in range(4):
        with Image.open(root / "CelebA-HQ-img" / f"{index}.jpg") as picture:
            assert picture.format == "JPEG" and picture.size == (128, 128)
            error = np.asarray(picture).astype(int) - render(2, index, 128).image
            assert np.abs(error).mean() < 3


def test_parts_are_rgb_of_half_the_side_and_overlap(root: Path) -> None:
    folder = root / "CelebAMask-HQ-mask-anno" / "0"
    overlaps = 0
    for index in range(4):
        mask = resize_mask(render(2, index, 128).mask, 64)
        parts = {}
        for path in folder.glob(f"{index:05d}_*.png"):
            with Image.open(path) as picture:
                assert picture.mode == "RGB" and picture.size == (64, 64)
                pixels = np.asarray(picture)
            assert set(np.unique(pixels)) == {0, 255} and (pixels == pixels[..., :1]).all()
            parts[path.stem[6:]] = pixels[..., 0] > 0
        assert set(parts) == {MASK_CLASSES[value] for value in np.unique(mask)} - {"background"}
        for name, part in parts.items():
            assert part[mask == MASK_CLASSES.index(name)].all()
        overlaps += (parts["skin"] & parts["nose"]).sum()
    assert overlaps > 0


def test_annotations_have_the_form_of_the_originals(root: Path) -> None:
    count, header, *rows = (
        (root / "CelebAMask-HQ-attribute-anno.txt").read_text("utf-8").splitlines()
    )
    assert count == "4" and tuple(header.split()) == ATTRIBUTES and len(rows) == 4
    for index, row in enumerate(rows):
        assert row.startswith(f"{index}.jpg  ")
        truth = render(2, index, 128).attributes
        assert row.split()[1:] == ["1" if value == 1 else "-1" for value in truth]
    header, *rows = (root / "CelebA-HQ-to-CelebA-mapping.txt").read_text("utf-8").splitlines()
    assert header.split() == ["idx", "orig_idx", "orig_file"]
    fields = [row.split() for row in rows]
    assert [int(first) for first, _, _ in fields] == [0, 1, 2, 3]
    assert all(file == f"{int(origin) + 1:06d}.jpg" for _, origin, file in fields)
    assert len({origin for _, origin, _ in fields}) == 4


def test_too_many_and_a_folder_in_use(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--count: 30001 is out of range"):
        render_celebamask(tmp_path / "raw", 30_001, 64)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UserError, match="is in use"):
        render_celebamask(tmp_path, 1, 64)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
