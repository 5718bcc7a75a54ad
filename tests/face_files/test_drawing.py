"""Batches of faces that need the same passes; what a face is does not depend on its batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.face_files import bulk
from facecond.face_files.bulk import draw_all, finished
from facecond.face_files.drawing import Artist, Settings, batches
from facecond.labels import ANYTHING
from facecond.memory import FewerAtATime


def test_batches_hold_faces_of_the_same_passes(ask: Any) -> None:
    open_mask = np.full((32, 32), ANYTHING, np.uint8)
    requests = [
        ask("a"),
        ask("b", mask=open_mask),
        ask("c", guidance={"mask": 3.0}),
        ask("d", guidance={}),
        ask("e", guidance={"mask": 0.0}),
        ask("f", guidance={"mask": 2.0, "Male": 3.0}),  # nothing is said of Male: no pass
    ]
    parts = batches(requests, 8)
    assert [[one.name for one in part] for part in parts] == [["a", "c", "f"], ["b", "d"], ["e"]]
    assert [len(part) for part in batches(requests, 2)] == [2, 2, 1, 1]


def test_a_face_does_not_depend_on_its_batch(
    artist: Artist, saved_model: Path, ask: Any, tmp_path: Path
) -> None:
    requests = [
        ask(f"{i}", seed=i, guidance={"mask": 1.0 + i, "attributes": float(i % 2)})
        for i in range(4)
    ]
    made = {}
    for size in (1, 3):
        out = tmp_path / f"{size}"
        out.mkdir()
        settings = Settings(str(saved_model), batch_size=size)
        records = list(draw_all(settings, artist, requests, out))
        assert sorted(record["file"] for record in records) == [f"{i}.png" for i in range(4)]
        made[size] = [np.asarray(Image.open(out / f"{i}.png")).astype(int) for i in range(4)]
    for first, second in zip(made[1], made[3], strict=True):
        assert np.abs(first - second).max() <= 2


def test_where_memory_runs_out_fewer_are_drawn_and_each_says_its_batch(
    artist: Artist, saved_model: Path, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = artist.draw

    def small(batch: Any, **options: Any) -> Any:
        if len(batch) > 2:
            raise MemoryError
        return draw(batch, **options)

    monkeypatch.setattr(artist, "draw", small)
    monkeypatch.setattr(artist, "_fewer", FewerAtATime())
    requests = [ask(f"{i}", seed=i) for i in range(5)]
    records = list(draw_all(Settings(str(saved_model)), artist, requests, tmp_path))
    places = [(one["batch_index"], one["batch_size"]) for one in records]
    assert places == [(0, 2), (1, 2), (0, 2), (1, 2), (0, 1)]
    assert len(list(tmp_path.glob("*.png"))) == 5


def test_one_batch_needs_no_second_process(
    artist: Artist, saved_model: Path, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(*_: Any) -> Any:
        raise AssertionError("a second model is loaded")

    monkeypatch.setattr(bulk, "draw_part", elsewhere)
    asked = [ask("a"), ask("b", seed=8)]
    records = list(draw_all(Settings(str(saved_model)), artist, asked, tmp_path, workers=4))
    assert [record["file"] for record in records] == ["a.png", "b.png"]


def test_what_is_there_is_not_drawn_again(
    artist: Artist, saved_model: Path, ask: Any, tmp_path: Path
) -> None:
    requests = [ask(f"{i}", seed=i) for i in range(3)]
    list(draw_all(Settings(str(saved_model)), artist, requests, tmp_path))
    assert set(finished(artist, requests, tmp_path)) == {"0", "1", "2"}
    (tmp_path / "0.png").unlink()
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:-40])  # cut short
    assert set(finished(artist, requests, tmp_path)) == {"2"}
    changed = [*requests[:2], ask("2", seed=2, guidance={"mask": 5.0})]
    assert not finished(artist, changed, tmp_path)
