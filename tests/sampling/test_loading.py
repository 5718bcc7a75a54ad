"""What is compared with checksums, by whom, and which models must have some: the one in the box,
whose files come with facecond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facecond import boxed
from facecond.errors import UserError
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.sampling import checksums
from facecond.sampling.checksums import FILE


def test_the_box_without_checksums_is_refused(
    make_pipeline: Callable[..., FacePipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxed, "__file__", str(tmp_path / "__init__.py"))
    make_pipeline().save_pretrained(tmp_path / "model")
    load_pipeline(boxed.NAME)
    (tmp_path / "model" / FILE).unlink()
    with pytest.raises(UserError, match="the checksums are missing"):
        load_pipeline(boxed.NAME)
    load_pipeline(tmp_path / "model")  # by its path it is one like any other


def test_a_flipped_bit_is_found_in_python_too(
    make_pipeline: Callable[..., FacePipeline], tmp_path: Path
) -> None:
    made = make_pipeline()
    made.save_pretrained(tmp_path)
    (file,) = (tmp_path / "unet").glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    for folder in (tmp_path, str(tmp_path)):
        with pytest.raises(UserError, match="the weights are not those that were saved"):
            FacePipeline.from_pretrained(folder)
    with pytest.raises(UserError, match="the weights are not those that were saved"):
        FacePipeline.from_pretrained(pretrained_model_name_or_path=tmp_path)
    assert FacePipeline.from_pretrained(tmp_path, unet=made.unet).unet is made.unet
    (tmp_path / FILE).unlink()  # a folder of before has none
    FacePipeline.from_pretrained(tmp_path)


def test_weights_are_compared_once(
    make_pipeline: Callable[..., FacePipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxed, "__file__", str(tmp_path / "__init__.py"))
    make_pipeline().save_pretrained(tmp_path / "model")
    read: list[Path] = []
    real = checksums.sha256
    monkeypatch.setattr(checksums, "sha256", lambda file: (read.append(file), real(file))[1])
    for name in (tmp_path / "model", boxed.NAME):
        read.clear()
        load_pipeline(name)
        assert len(read) == len(set(read)) == len(list((tmp_path / "model").rglob("*.safetens*")))


def test_what_is_no_folder_is_left_to_diffusers() -> None:
    with pytest.raises(OSError):  # nothing is fetched here: the hub is out of reach
        FacePipeline.from_pretrained("somebody/some-model", local_files_only=True)
