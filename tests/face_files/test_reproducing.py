"""A face again from its file: bit for bit where all is as recorded, else within what is stated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facecond import boxed
from facecond.errors import UserError
from facecond.face_files import face_png, reproducing
from facecond.face_files.drawing import Artist, Settings
from facecond.face_files.record import read_face
from facecond.face_files.reproducing import reproduce


def no_reference(told: Any) -> Any:
    raise AssertionError("there is none")


def rewritten(path: Path, image: np.ndarray | None = None, **changes: Any) -> Path:
    """The file with a changed record, or other pixels."""
    pixels, record = read_face(path)
    other = path.with_name("changed.png")
    other.write_bytes(face_png(pixels if image is None else image, record | changes))
    return other


@pytest.fixture
def drawn(saved_model: Path, ask: Any, tmp_path: Path) -> Path:
    """The third face of a batch of four, drawn under settings of all kinds."""
    settings = Settings(
        str(saved_model), steps=4, scheduler="heun", windows={"mask": (0.2, 1.0)},
        interval=(0.1, 0.9), rescale=0.5, reuse=2,
    )  # fmt: skip
    artist = Artist(settings, "cpu")
    batch = [
        ask(f"{i}", seed=i, guidance={"mask": 2.0 + i, "Smiling": 1.5, "attributes": 0.5})
        for i in range(4)
    ]
    list(artist.write(batch, tmp_path))
    return tmp_path / "2.png"


def test_bit_for_bit_without_its_neighbours(drawn: Path) -> None:
    found = reproduce(drawn, None, no_reference)
    assert found.identical and found.within and not found.other
    assert found.record["feature_reuse"] == 2
    assert np.array_equal(found.image, np.asarray(Image.open(drawn)))
    assert found.record == read_face(drawn)[1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_network_draws_the_same_and_says_so(
    saved_model: Path, ask: Any, tmp_path: Path
) -> None:
    settings = Settings(str(saved_model), steps=4, reuse=2, compile=True)
    artist = Artist(settings, "cpu")
    list(artist.write([ask("0", seed=0), ask("1", seed=1)], tmp_path))
    compiled, record = read_face(tmp_path / "1.png")
    assert record["compiled"] is True
    torch.compiler.reset()
    assert reproduce(tmp_path / "1.png", None, no_reference).identical
    eager = reproduce(rewritten(tmp_path / "1.png", compiled=False), None, no_reference)
    assert "compiled" not in eager.record
    assert np.abs(eager.image.astype(int) - compiled).max() <= 4  # of bfloat16


def test_another_batch_is_within_tolerance_and_named(drawn: Path) -> None:
    found = reproduce(drawn, None, no_reference, batch_size=1)
    assert found.within and found.other == ("batch 1, not 4",)


def test_other_pixels_differ(drawn: Path) -> None:
    pixels = np.asarray(Image.open(drawn)).copy()
    pixels[0, 0, 0] ^= 1
    found = reproduce(rewritten(drawn, pixels), None, no_reference)
    assert not found.within and found.largest == 1


def test_versions_are_compared(drawn: Path) -> None:
    record = read_face(drawn)[1]
    other = rewritten(drawn, versions=record["versions"] | {"torch": "1.0"})
    found = reproduce(other, None, no_reference)
    assert found.identical and any("torch" in word for word in found.other)


def test_another_model_is_named_by_its_weights(
    drawn: Path, saved_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"another model \(weights 000000000000\)"):
        reproduce(rewritten(drawn, model_hash="0" * 64), None, no_reference)
    with pytest.raises(UserError, match=r"its model is not at .*--model DIR"):
        reproduce(rewritten(drawn, model=str(tmp_path / "gone")), None, no_reference)
    moved = rewritten(drawn, model=str(tmp_path / "gone"))
    assert reproduce(moved, str(saved_model), no_reference).identical


def test_a_damaged_record_is_one_clear_error(drawn: Path) -> None:
    pixels, record = read_face(drawn)
    del record["attribute_values"]
    info = PngInfo()
    info.add_text("facecond", json.dumps(record))
    Image.fromarray(pixels).save(drawn, pnginfo=info)
    with pytest.raises(UserError, match=r"record is damaged.*'attribute_values' is missing"):
        reproduce(drawn, None, no_reference)


def test_rounding_on_another_processor_is_named_and_allowed(drawn: Path) -> None:
    pixels, record = read_face(drawn)
    assert record["machine"]["instructions"] and record["machine"]["processor"]
    rounded = pixels.copy()
    rounded[0, 0, 0] ^= 1
    other = record["machine"] | {"instructions": "AVX"}
    found = reproduce(rewritten(drawn, rounded, machine=other), None, no_reference)
    assert found.within and not found.identical
    assert len(found.other) == 1 and found.other[0].endswith(", not AVX")


def test_a_file_of_before_does_not_tell_its_processor(drawn: Path) -> None:
    pixels, record = read_face(drawn)
    rounded = pixels.copy()
    rounded[0, 0, 0] ^= 1
    before = {name: value for name, value in record.items() if name not in ("machine", "file")}
    drawn.write_bytes(face_png(rounded, before))
    found = reproduce(drawn, None, no_reference)
    assert found.within and all("does not tell" in word for word in found.other)
    assert found.record["file"] == drawn.name


def test_the_model_in_the_box(
    drawn: Path, saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(saved_model, tmp_path / "box" / "model")
    monkeypatch.setattr(boxed, "__file__", str(tmp_path / "box" / "__init__.py"))
    assert reproduce(rewritten(drawn, model=boxed.NAME), None, no_reference).identical
    shutil.rmtree(tmp_path / "box")
    with pytest.raises(UserError, match=r"its model is not at boxed.*--model DIR"):
        reproduce(rewritten(drawn, model=boxed.NAME), None, no_reference)


def test_a_weaker_model_that_moved(saved_model: Path, ask: Any, tmp_path: Path) -> None:
    weaker = tmp_path / "weaker"
    shutil.copytree(saved_model, weaker)
    artist = Artist(Settings(str(saved_model), weaker=str(weaker)), "cpu")
    list(artist.write([ask("a", guidance={"mask": 2.0, "weaker": 1.5})], tmp_path))
    path = tmp_path / "a.png"
    weaker.rename(tmp_path / "moved")
    with pytest.raises(UserError, match=r"its weaker model is not at .*--weaker DIR"):
        reproduce(path, None, no_reference)
    found = reproduce(path, None, no_reference, weaker=str(tmp_path / "moved"))
    assert found.identical and found.record["weaker"] == str(tmp_path / "moved")
    another = rewritten(path, weaker_hash="0" * 64)
    with pytest.raises(UserError, match=r"another weaker model .*--weaker DIR"):
        reproduce(another, None, no_reference, weaker=str(tmp_path / "moved"))
    with pytest.raises(UserError, match=r"another model .*--model DIR"):
        reproduce(rewritten(path, model_hash="0" * 64), None, no_reference,
                  weaker=str(tmp_path / "moved"))  # fmt: skip


def test_a_weaker_model_that_was_not_there(drawn: Path) -> None:
    with pytest.raises(UserError, match=r"without a weaker model.*Leave --weaker out"):
        reproduce(drawn, None, no_reference, weaker="x")


def test_drawn_on_the_recorded_kind_of_device(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    class Seen(Artist):
        def __init__(self, settings: Settings, device: str | None = None) -> None:
            asked.append(device)
            super().__init__(settings, "cpu")

    monkeypatch.setattr(reproducing, "Artist", Seen)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert reproduce(drawn, None, no_reference).identical
    reproduce(rewritten(drawn, device="cuda"), None, no_reference)
    assert asked == ["cpu", "cuda"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for kind in ("cuda", "tpu"):
        found = reproduce(rewritten(drawn, device=kind), None, no_reference)
        assert f"device cpu, not {kind}" in found.other
    assert asked[2:] == [None, None]
