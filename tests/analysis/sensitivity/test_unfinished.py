"""An analysis that was killed goes on; one of something else is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from facecond.analysis.sensitivity.faces import Faces
from facecond.analysis.sensitivity.measuring import measure_swaps
from facecond.analysis.sensitivity.options import Options
from facecond.analysis.sensitivity.unfinished import Unfinished
from facecond.errors import UserError
from facecond.pipeline import FacePipeline

IDENTITY = {"model": "a" * 64, "images": 12}


def test_what_is_missing_or_torn_is_made_anew_and_the_rest_is_kept(
    planted: Callable[..., FacePipeline], faces: Faces, tmp_path: Path
) -> None:
    options = Options(images=12, bins=2, quick=True, batch_size=36)
    pipeline, folder = planted(), tmp_path / "unfinished"
    first = measure_swaps(pipeline, faces, options, Unfinished(folder, IDENTITY))
    parts = sorted(folder.glob("swap-*.npz"))
    assert len(parts) == 4  # two batches of 6 faces, two bins
    kept = parts[0].stat().st_mtime_ns
    parts[1].write_bytes(parts[1].read_bytes()[:500])
    parts[2].unlink()
    (folder / ".swap-6-1.npz.half").write_bytes(b"cut short")
    second = measure_swaps(pipeline, faces, options, Unfinished(folder, IDENTITY))
    assert parts[0].stat().st_mtime_ns == kept
    for name in first.keys() - {"seconds"}:
        assert np.array_equal(first[name], second[name])
    in_memory = measure_swaps(pipeline, faces, options, Unfinished(None, IDENTITY))
    assert np.array_equal(in_memory["single"], first["single"])


def test_another_model_or_other_options_are_refused(tmp_path: Path) -> None:
    Unfinished(tmp_path / "a", IDENTITY)
    Unfinished(tmp_path / "a", IDENTITY)
    with pytest.raises(UserError, match=r"another 'model' .*aaaaaaaaaaaa, now bbbbbbbbbbbb.*--out"):
        Unfinished(tmp_path / "a", IDENTITY | {"model": "b" * 64})
    with pytest.raises(UserError, match=r"another 'images' .*12, now 24"):
        Unfinished(tmp_path / "a", IDENTITY | {"images": 24})


def test_parts_of_another_identity_are_not_read(tmp_path: Path) -> None:
    store = Unfinished(tmp_path / "a", IDENTITY)
    store.make("part", lambda: {"x": np.arange(3), "y": np.ones(2)})
    assert store.read("part", ("x",)) is not None and store.read("other") is None
    other = Unfinished(tmp_path / "b", IDENTITY | {"images": 24})
    (tmp_path / "a" / "part.npz").rename(tmp_path / "b" / "part.npz")
    assert other.read("part") is None
    store.clear()
    assert not (tmp_path / "a").exists()
