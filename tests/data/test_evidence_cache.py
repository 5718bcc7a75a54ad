"""Evidence of a split: computed once, in order, and again where it is stale or damaged."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from facecond.data.evidence_cache import evidence_cache
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    return render_prepared(tmp_path_factory.mktemp("data") / "d", 12, 64, 0, True, 0.2, 0.2, 1)


class Encoder:
    """Mean colours of the four quarters; counts the pictures it is shown."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        self.count += len(pictures)
        quarters = pictures.reshape(len(pictures), 2, 32, 2, 32, 3).mean((2, 4)) / 255
        return quarters.reshape(len(pictures), 4, 3).astype(np.float32)


def test_evidence_is_that_of_the_split_in_order(folder: PreparedFolder, tmp_path: Path) -> None:
    encoder = Encoder()
    found = evidence_cache(folder, "generator", encoder, tmp_path / "e", {"encoder": "a"}, 3)
    rows = folder.indices("generator")
    expected = Encoder()(np.stack([folder.image(int(row)) for row in rows]))
    assert found.dtype == np.float16 and found.shape == (len(rows), 4, 3)
    np.testing.assert_array_equal(found, expected.astype(np.float16))
    again = evidence_cache(folder, "generator", encoder, tmp_path / "e", {"encoder": "a"})
    assert encoder.count == len(rows) and np.array_equal(found, again)


@pytest.mark.parametrize("fault", ["stale", "damaged", "damaged manifest", "missing"])
def test_a_stale_or_damaged_cache_is_built_anew(
    folder: PreparedFolder, tmp_path: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder = Encoder()
    first = np.array(evidence_cache(folder, "test", encoder, tmp_path / "e", {"encoder": "a"}))
    file = tmp_path / "e" / "evidence.npy"
    if fault == "damaged":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    elif fault == "damaged manifest":
        (tmp_path / "e" / "manifest.json").write_text('{"identity": ')
    elif fault == "missing":
        file.unlink()
    name = "b" if fault == "stale" else "a"
    again = evidence_cache(folder, "test", encoder, tmp_path / "e", {"encoder": name})
    assert encoder.count == 2 * len(first) and np.array_equal(first, again)
    assert ("anew" in capsys.readouterr().out) == (fault != "missing")


@pytest.mark.parametrize("value", [np.nan, 1e6], ids=["never", "not in half precision"])
def test_evidence_that_is_not_finite_is_refused_and_leaves_nothing(
    folder: PreparedFolder, tmp_path: Path, value: float
) -> None:
    def broken(pictures: np.ndarray) -> np.ndarray:
        return np.full((len(pictures), 4, 3), value, np.float32)

    with pytest.raises(UserError, match="not finite"):
        evidence_cache(folder, "generator", broken, tmp_path / "e", {})
    assert not (tmp_path / "e").exists()


def test_the_size_is_told_and_a_full_disk_before_anything_is_written(
    folder: PreparedFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def wide(pictures: np.ndarray) -> np.ndarray:
        return np.zeros((len(pictures), 500, 1000), np.float32)

    count = len(folder.indices("generator"))
    size = f"{count} faces x 500 tokens x 1000 numbers = {count / 1000:.2f} GB"
    disk = namedtuple("disk", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk(2e9, 2e9, 1000 * count))
    with pytest.raises(UserError, match=f"{size} of evidence, 0.00 GB are free.*reference.grid"):
        evidence_cache(folder, "generator", wide, tmp_path / "e", {})
    assert not (tmp_path / "e").exists()
    monkeypatch.undo()
    evidence_cache(folder, "generator", wide, tmp_path / "e", {})
    assert f"evidence: {size}" in capsys.readouterr().out
