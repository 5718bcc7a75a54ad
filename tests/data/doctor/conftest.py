"""Clean rendered folders of the three kinds, made once; tests change copies of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.data.prepared import SPLITS, PreparedFolder
from facecond.data.render_set import render_plain
from facecond.data.rendered import render
from facecond.data.writing import PreparedWriter
from facecond.labels import ATTRIBUTES, MASK_CLASSES

COUNT = 48


@pytest.fixture(scope="session")
def clean_plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images/, masks/ and attributes.csv of 48 rendered faces of 64 px."""
    out = tmp_path_factory.mktemp("doctor") / "plain"
    render_plain(out, COUNT, 64, seed=11, workers=1)
    return out


@pytest.fixture
def plain(clean_plain: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(clean_plain, tmp_path / "plain"))


@pytest.fixture(scope="session")
def faces() -> list:
    """40 rendered faces of 128 px."""
    return [render(5, index, 128) for index in range(40)]


@pytest.fixture
def prepared(tmp_path: Path) -> PreparedFolder:
    """24 rendered faces of 64 px, eight in each split."""
    with PreparedWriter(tmp_path / "prepared", 64, "rendered") as writer:
        for index in range(24):
            face = render(3, index, 64)
            writer.add(f"{index:06d}", face.image, face.mask, face.attributes, SPLITS[index % 3])
    return PreparedFolder.open(tmp_path / "prepared")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """CelebAMask-HQ's layout with 12 rendered faces, ids 1994 to 2005."""
    root = tmp_path / "raw"
    (root / "CelebA-HQ-img").mkdir(parents=True)
    lines = ["12", " ".join(ATTRIBUTES)]
    for index, number in enumerate(range(1994, 2006)):
        face = render(4, index, 64)
        Image.fromarray(face.image).save(root / "CelebA-HQ-img" / f"{number}.jpg", quality=95)
        folder = root / "CelebAMask-HQ-mask-anno" / str(number // 2000)
        folder.mkdir(parents=True, exist_ok=True)
        for value in np.unique(face.mask[face.mask > 0]):
            part = np.where(face.mask == value, 255, 0).astype(np.uint8)
            Image.fromarray(part).save(folder / f"{number:05d}_{MASK_CLASSES[value]}.png")
        values = " ".join(str(2 * int(v) - 1) for v in np.maximum(face.attributes, 0))
        lines.append(f"{number}.jpg  {values}")
    (root / "CelebAMask-HQ-attribute-anno.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def codes() -> Callable:
    """Report -> list of (code, first name) of its findings."""
    return lambda report: [(f.code, f.names[0] if f.names else "") for f in report.findings]
