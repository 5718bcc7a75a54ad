"""`facecond pack`: half the size, nearly the same faces, nothing forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from facecond import boxed
from facecond.cli import main
from facecond.pipeline import load_pipeline
from facecond.sampling.checksums import write_checksums
from facecond.storage import read_json


def weights(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_the_size_and_nearly_the_same_faces(
    model: Path, tmp_path: Path, dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "packed"
    assert main(["pack", str(model), "--out", str(out), "--dtype", dtype]) == 0
    assert f"of {dtype} weights in place of" in capsys.readouterr().out
    assert weights(out) < 0.6 * weights(model)
    assert read_json(out / "provenance.json")["weights"] == dtype
    assert (out / "README.md").read_text() == (model / "README.md").read_text()
    packed = load_pipeline(out)
    assert packed.unet.dtype == torch.float32  # stored small, computed in full
    faces = [load_pipeline(path)(seeds=[0, 1]).images.astype(int) for path in (model, out)]
    assert np.abs(faces[0] - faces[1]).mean() < 4


def test_what_cannot_be_packed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pack", str(model), "--out", str(model)]) == 2
    assert "would replace the model" in capsys.readouterr().err
    large = shutil.copytree(model, tmp_path / "large")
    (file,) = (large / "unet").glob("*.safetensors")
    held = load_file(file)
    held["conv_in.bias"][0] = 1e6
    save_file(held, file)
    write_checksums(large)
    assert main(["pack", str(large), "--out", str(tmp_path / "packed")]) == 2
    assert "unet.conv_in.bias: a weight is too large" in capsys.readouterr().err
    assert not (tmp_path / "packed").exists()


def test_the_model_in_the_box(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(model, tmp_path / "box" / "model")
    monkeypatch.setattr(boxed, "__file__", str(tmp_path / "box" / "__init__.py"))
    out = tmp_path / "packed"
    assert main(["pack", boxed.NAME, "--out", str(out)]) == 0
    assert read_json(out / "provenance.json")["weights"] == "float16"
    assert (out / "README.md").read_text() == (model / "README.md").read_text()
    assert weights(out) < 0.6 * weights(model)
