"""From the download to scores by the commands that a user types, on rendered faces in the raw
layout: every stage reads what the one before it wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main

TINY_AUTOENCODER = [
    "autoencoder.block_out_channels=[8,8,16]",
    "autoencoder.layers_per_block=1",
    "autoencoder.latent_channels=4",
    "autoencoder.norm_num_groups=4",
    "loss.perceptual_net=squeeze",
    "loss.perceptual_trunk=random",
    "loss.adversary_start=2",
    "discriminator.width=8",
    "discriminator.layers=1",
    "train.steps=4",
    "train.minutes=0",
    "train.batch_size=4",
]
TINY_DENOISER = [
    "first_stage.latent_channels=4",
    "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16",
    "train.steps=3",
    "train.minutes=0",
    "train.batch_size=4",
    "train.sample_every=0",
    "sampling.steps=2",
]


def run(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.mark.slow
def test_from_the_download_to_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("data", "render", "--layout", "celebamask", "--out", "raw", "--count", 90,
               "--size", 128, "--workers", 1) == 0  # fmt: skip
    assert run("data", "doctor", "raw", "--workers", 1) == 0
    prepare = ["data", "prepare", "celebamask", "--root", "raw", "--size", 64, "--workers", 1]
    prepare += ["--split", "random", "--judges-fraction", 0.4, "--test-fraction", 0.3]
    assert run(*prepare, "--out", "data") == 0

    # A mask of another face is found and left out, and the set is another one then.
    broken = Path("raw/CelebAMask-HQ-mask-anno/0")
    for part in broken.glob("00003_*.png"):
        part.unlink()
    for part in sorted(broken.glob("00004_*.png")):
        shutil.copy(part, broken / part.name.replace("00004", "00003"))
    Path("raw/CelebA-HQ-img/7.jpg").write_bytes(Path("raw/CelebA-HQ-img/7.jpg").read_bytes()[:900])
    assert run("data", "doctor", "raw", "--workers", 1, "--json", "found.json", "--fix") == 1
    excluded = Path("raw/excluded.txt").read_text()
    assert "\n00007\t" in excluded and "\n00003\t" in excluded
    assert run("data", "doctor", "raw", "--workers", 1) == 0
    assert run(*prepare, "--out", "mended") == 0
    names = Path("mended/attributes.csv").read_text()
    assert "\n00007," not in names and "\n00008," in names

    assert run("train", "judge", "parser", "judge_parser_64", "--out", "judges/parser", "--set",
               "data.root=data", "judge.steps=3", "judge.width=8") == 0  # fmt: skip
    assert run("train", "judge", "attributes", "judge_attributes_64", "--out", "judges/attributes",
               "--set", "data.root=data", "judge.steps=3", "judge.width=8") == 0  # fmt: skip

    first = ["train", "first-stage", "first_stage_f4_64", "--out", "stage", "--set"]
    assert run(*first, "data.root=data", *TINY_AUTOENCODER) == 0
    assert run("evaluate", "first-stage", "stage/model", "--data", "data", "--judges", "judges",
               "--n", 8, "--out", "rebuilt") == 0  # fmt: skip
    assert "psnr" in json.loads(Path("rebuilt/results.json").read_text())

    denoiser = ["train", "rendered_debug", "--out", "run", "--set", "data.root=data"]
    assert run(*denoiser, "first_stage.autoencoder=stage/model", *TINY_DENOISER) == 0
    tuned = ["train", "rendered_debug", "--out", "tuned", "--init", "run/model", "--set"]
    assert run(*tuned, "data.root=data", "first_stage.autoencoder=stage/model", *TINY_DENOISER) == 0
    assert run("sample", "tuned/model", "--attributes", "Smiling", "--n", 2, "--out", "faces") == 0
    assert np.asarray(Image.open("faces/grid.png")).ndim == 3
    assert run("evaluate", "run/model", "--data", "data", "--judges", "judges", "--n", 20,
               "--out", "scores") == 0  # fmt: skip
    results = json.loads(Path("scores/results.json").read_text())
    assert 0 <= results["mask_miou"] <= 1 and results["mask_miou_ceiling"] is not None
    assert Path("scores/report.html").stat().st_size > 10_000
