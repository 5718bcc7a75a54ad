"""A prepared folder that is interrupted and continued is the one that would have been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.data.folder import prepare_folder
from facecond.data.prepared import PreparedFolder
from facecond.data.work_folder import CHUNK
from facecond.data.writing import (
    SPLITS,
    EncodedFace,
    PlannedFace,
    PreparedWriter,
    encode_png,
    write_faces,
)
from facecond.errors import UserError

COUNT, SIZE = CHUNK + 60, 4


def _encode(index: int, bad: int = -1, log: Path | None = None) -> EncodedFace:
    if log is not None:
        with open(log, "a") as file:
            file.write(f"{index}\n")
    if index == bad:
        raise UserError("is broken", f"{index}.png", "Mend it.")
    image = np.full((SIZE, SIZE, 3), index % 256, np.uint8)
    mask = np.full((SIZE, SIZE), index % 19, np.uint8) if index % 5 else None
    return EncodedFace(
        f"{index:03d}", encode_png(image), None if mask is None else encode_png(mask), _row(index)
    )


def _row(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(-1, 2, 40).astype(np.int8)


def _plan(changed: int = -1) -> dict[str, PlannedFace]:
    return {
        f"{index:03d}": PlannedFace(index, SPLITS[index % 3], "new" if index == changed else "old")
        for index in range(COUNT)
    }


def _write(out: Path, encode: Callable[[int], EncodedFace] = _encode, **plan: int) -> None:
    write_faces(out, SIZE, "folder", {"seed": 0}, _plan(**plan), encode, 1, "writing")


def _content(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_a_fault_late_in_the_work_keeps_what_is_done(tmp_path: Path) -> None:
    _write(tmp_path / "whole")
    with pytest.raises(UserError, match=rf"{COUNT - 5} faces done") as error:
        _write(tmp_path / "x", partial(_encode, bad=COUNT - 5))
    assert error.value.where == f"{COUNT - 5}.png" and error.value.what == "is broken"
    assert not (tmp_path / "x").exists()
    _write(tmp_path / "x", partial(_encode, log=tmp_path / "log"), changed=7)
    redone = [int(line) for line in (tmp_path / "log").read_text().split()]
    assert redone == [7, *range(COUNT - 5, COUNT)]
    assert _content(tmp_path / "x") == _content(tmp_path / "whole")
    assert PreparedFolder.open(tmp_path / "x").names == [f"{index:03d}" for index in range(COUNT)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "whole", "x"]


def test_an_early_fault_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"3\.png: is broken\. Mend it\.$"):
        _write(tmp_path / "x", partial(_encode, bad=3))
    assert list(tmp_path.iterdir()) == []


def test_work_at_another_size_is_dropped(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="broken"):
        _write(tmp_path / "x", partial(_encode, bad=COUNT - 1))
    with PreparedWriter(tmp_path / "x", SIZE, "folder", plan=_plan()) as writer:
        assert writer.waiting == [f"{COUNT - 1:03d}"]
        writer.add_encoded(_encode(COUNT - 1), "test")
    with pytest.raises(UserError, match="broken"):
        _write(tmp_path / "x", partial(_encode, bad=COUNT - 1))
    with (
        pytest.raises(ZeroDivisionError),
        PreparedWriter(tmp_path / "x", SIZE + 1, "folder", plan=_plan()) as writer,
    ):
        assert len(writer.waiting) == COUNT
        raise ZeroDivisionError
    assert len(PreparedFolder.open(tmp_path / "x")) == COUNT  # the earlier folder is untouched


def test_a_killed_preparation_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "raw"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(700):
        pixels = random.integers(0, 256, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{index:04d}.png")
        mask = random.integers(0, 19, (24, 24), np.uint8)
        Image.fromarray(mask).save(root / "masks" / f"{index:04d}.png")
    words = ["data", "prepare", "folder", "--root", str(root), "--size", "16", "--workers", "2"]
    command = [sys.executable, "-m", "facecond", *words, "--out", str(tmp_path / "x")]

    journal = tmp_path / ".x.partial" / "journal.jsonl"
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (journal.is_file() and journal.read_bytes().count(b"\n") > CHUNK):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "x").exists()

    Image.fromarray(np.full((24, 24), 7, np.uint8)).save(root / "masks" / "0003.png")
    prepare_folder(root, tmp_path / "x", 16, workers=1)
    assert "checking what is done" in capsys.readouterr().err
    assert (PreparedFolder.open(tmp_path / "x").mask(3) == 7).all()
    prepare_folder(root, tmp_path / "whole", 16, workers=1)
    assert _content(tmp_path / "x") == _content(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "whole", "x"]


def test_faults_name_the_folder_that_is_made_and_not_its_work_folder(tmp_path: Path) -> None:
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    with pytest.raises(OSError) as caught, PreparedWriter(tmp_path / "x", SIZE, "folder") as writer:
        writer.add("n" * 300, picture, None, _row(0), "test")
    assert caught.value.filename == str(tmp_path / "x")
    long = tmp_path / ("n" * 250)
    with pytest.raises(UserError) as told, PreparedWriter(long, SIZE, "folder"):
        pass
    assert told.value.where == str(long)
    assert list(tmp_path.iterdir()) == []
