"""A study that is real and tiny: 64 px rendered faces, a denoiser of two levels, five steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.training.judges import train_judge

BASE = """
first_stage: {autoencoder: linear, patch_size: 8, latent_channels: 6}
denoiser:
  block_out_channels: [8, 16]
  layers_per_block: 1
  attention_head_dim: 8
  norm_num_groups: 4
  condition_dim: 8
  mask_grid: 4
train: {steps: 5, batch_size: 4, sample_every: 0, log_every: 1, precision: fp32}
sampling: {steps: 2}
"""

STUDY = """
purpose: Does it matter which layers see what?
expect: Not after five steps.
base: base.yaml
data: {root: DATA}
judges: {folders: [JUDGES]}
evaluate: {n: 8, turned: 4, swapped: 4, pictures: 3, batch_size: 8, probes: [adherence, fidelity]}
seeds: [0, 1]
variants:
  all: {}
  split: {routing.preset: coarse_fine}
"""


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folder of 90 rendered faces, 30 of them to test on."""
    root = tmp_path_factory.mktemp("ablation_faces") / "data"
    render_prepared(root, 90, 64, 0, True, 0.4, 0.3, 1)
    return root


@pytest.fixture(scope="session")
def judged(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of judges of a few steps."""
    root = tmp_path_factory.mktemp("ablation_judges")
    folder = PreparedFolder.open(faces)
    for kind in ("parser", "attributes"):
        train_judge(kind, folder, root / kind, steps=12, batch_size=8, width=8, progress=False)
    return root


@pytest.fixture
def study_file(tmp_path: Path, faces: Path, judged: Path) -> Callable[..., Path]:
    """Write a study beside its base: `study_file({"split": "other"})` replaces words."""

    def write(changes: dict[str, str] | None = None, base: str = BASE) -> Path:
        text = STUDY.replace("DATA", str(faces)).replace("JUDGES", str(judged))
        for old, new in (changes or {}).items():
            assert old in text, old
            text = text.replace(old, new)
        (tmp_path / "base.yaml").write_text(base)
        path = tmp_path / "tiny.yaml"
        path.write_text(text)
        return path

    return write
