"""Checksums of weights: what is damaged, gone or never had any."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.errors import UserError
from facecond.sampling.checksums import FILE, check_weights, require_checksums, write_checksums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("unet/a.safetensors", "unet/b.safetensors", "first_stage/a.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / "unet" / "config.json").write_text("{}")
    write_checksums(tmp_path)
    return tmp_path


def test_what_was_saved_passes(folder: Path) -> None:
    check_weights(folder)
    (folder / "unet" / "config.json").write_text('{"changed": 1}')  # no weights
    check_weights(folder)


def test_a_changed_file_and_a_missing_one_are_named(folder: Path) -> None:
    (folder / "unet" / "b.safetensors").write_bytes(b"unet/b.safetensorT")
    with pytest.raises(UserError, match=r"b\.safetensors: the weights are not those"):
        check_weights(folder)
    (folder / "unet" / "b.safetensors").unlink()
    with pytest.raises(UserError, match=r"b\.safetensors: the weights are missing"):
        check_weights(folder)
    write_checksums(folder)
    check_weights(folder)


def test_a_model_of_before_has_none(folder: Path) -> None:
    (folder / FILE).unlink()
    (folder / "unet" / "a.safetensors").write_bytes(b"")
    check_weights(folder)


def test_the_model_in_the_box_must_have_them(folder: Path) -> None:
    require_checksums(folder)
    (folder / "unet" / "c.safetensors").write_bytes(b"new")
    with pytest.raises(UserError, match=r"c\.safetensors: the weights have no checksum"):
        require_checksums(folder)
    (folder / FILE).unlink()
    with pytest.raises(UserError, match=r"checksums\.json: the checksums are missing"):
        require_checksums(folder)


def test_checksums_that_are_damaged(folder: Path) -> None:
    (folder / FILE).write_text("[]")
    for check in (check_weights, require_checksums):
        with pytest.raises(UserError, match="the checksums are damaged"):
            check(folder)


def test_a_part_that_is_not_read_is_not_compared(folder: Path) -> None:
    (folder / "unet" / "b.safetensors").unlink()
    check_weights(folder, without=("unet",))
    (folder / "first_stage" / "a.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"first_stage/a\.safetensors"):
        check_weights(folder, without=("unet",))
