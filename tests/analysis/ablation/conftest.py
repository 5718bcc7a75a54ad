"""A study that is real and tiny: 64 px rendered faces, a denoiser of two levels, five steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facecond.analysis.ablation.plan import (
    Run,
    data_root,
    evaluation_hash,
    judge_folders,
    judges_hash,
    plan_runs,
)
from facecond.config import RunConfig, Study, load, load_study
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.storage import make_folder, write_json
from facecond.training.judges import train_judge
from facecond.training.setup import denoiser_for

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


@cache
def routing_of(preset: str) -> dict[str, Any]:
    """The routing of a denoiser of two levels."""
    with torch.device("meta"):
        config = load(RunConfig, "rendered_64", [f"routing.preset={preset}"])
        return denoiser_for(config, 64, (12, 16, 16)).unet.trained_routing.to_dict()


class PlantedStudy:
    """Runs whose share of right pixels is `scores[variant][seed]`, up to a pixel per image.

    Attributes:
        study, out, runs: as a sweep has them.
        hashes: of data and evaluation settings.
    """

    def __init__(self, study: Study, out: Path, scores: dict[str, list[float]]) -> None:
        self.study, self.out = study, out
        self.hashes = {
            "data_hash": PreparedFolder.open(data_root(study, out)).data_hash,
            "evaluation_hash": evaluation_hash(study, judges_hash(judge_folders(study, out))),
        }
        self.runs = plan_runs(study, out, range(len(next(iter(scores.values())))))
        for run in self.runs:
            if run.variant in scores:
                self.write(run, scores[run.variant][run.seed])

    def write(self, run: Run, score: float, **changes: Any) -> None:
        """Write one finished run."""
        images, pixels = 60, 10_000
        hard = np.random.default_rng(0).normal(0, 0.05, images)  # the same images for all runs
        right = np.rint((score + hard - hard.mean()) * pixels).astype(np.int32)
        counts = {
            "rows": np.arange(images),
            "pixels": np.stack([right, np.full(images, pixels, np.int32)], 1),
        }
        out = make_folder(run.folder / "evaluation")
        np.savez(out / "counts.npz", **counts)  # type: ignore[arg-type]
        pictures = np.random.default_rng(run.seed).integers(0, 255, (2, 8, 8, 3), np.uint8)
        np.savez(
            out / "pictures.npz", samples=pictures, real=pictures, masks=pictures[..., 0] % 19,
            parsed=pictures[..., 0] % 19, words=np.array(["Smiling", "Young,Bald"]),
            rows=np.array([4, 7]),
        )  # fmt: skip
        common = {"floor": 0.1, "ceiling": 0.9, "low": score - 0.01, "high": score + 0.01}
        common |= {"warnings": ["both judges learned from the same faces"]}
        common |= {"n": images, "better": "higher", "probe": "adherence"}
        exact = float(right.sum() / (images * pixels))
        rows = [
            {"metric": "pixel_accuracy", "score": exact, **common},
            {"metric": "mask_miou", "score": score, **common},
            {"metric": "attribute_bacc", "score": 1 - score / 2, **common},
            {"metric": "frechet_judge", "score": 10 - score, **common, "better": "lower"},
            {"metric": "frechet_judge_real", "score": 1.0, **common},
            {"metric": "mask_miou", "score": 0.0, **common, "group": "men"},
            {"metric": "unknown", **dict.fromkeys(common), "score": None, "note": "too few"},
        ]
        (out / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        curve = [{"step": step, "loss": 1 / step} for step in (1, 2, 3)]
        (run.folder / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in curve))
        record = {
            "variant": run.variant, "seed": run.seed, "config_hash": run.config_hash,
            **self.hashes, "training_hash": "t" * 64,
            "trained_at": "c" * 40, "evaluated_at": "c" * 40 + "+", "model": "m" * 64,
            "parameters": 1000 if run.variant == "all" else 900, "steps": 5, "batch": 4,
            "seconds": {"train": 60.0, "evaluate": 30.0},
            "routing": routing_of(run.config.routing.preset),
        }  # fmt: skip
        write_json(run.folder / "done.json", record | changes)


@pytest.fixture
def planted(study_file: Callable[..., Path], tmp_path: Path) -> Callable[..., PlantedStudy]:
    """A study whose finished runs are written down, not made."""

    def plant(scores: dict[str, list[float]], changes: dict[str, str] | None = None) -> Any:
        return PlantedStudy(load_study(study_file(changes)), tmp_path / "out", scores)

    return plant
