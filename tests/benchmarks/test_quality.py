"""The case of equal quality: what it asks for, and a peer in our own training loop."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from facecond.benchmarks import peers, quality
from facecond.benchmarks.settings import QualitySettings, Settings
from facecond.config import RunConfig, load
from facecond.data.render_set import render_prepared
from facecond.errors import UserError
from facecond.storage import read_json
from facecond.training.judges import train_judge
from facecond.training.loop import train

TINY = (
    "train.steps=2", "train.minutes=0", "train.batch_size=4", "train.sample_every=0",
    "train.precision=bf16", "first_stage.latent_channels=6", "sampling.steps=2",
    "denoiser.block_out_channels=[32,64]", "denoiser.condition_dim=16",
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "needs faces and judges"),
        ({"quality": QualitySettings(data="d", judges="j"), "peers": {}}, "nobody to compare with"),
        ({"quality": QualitySettings(data="d", judges="j")}, "the training is a time"),
    ],
)
def test_what_is_missing_is_said(changes: dict, message: str, quick: Settings) -> None:
    with pytest.raises(UserError, match=message):
        quality.entries(replace(quick, **changes), "equal-quality")


LDM = os.environ.get("FACECOND_LDM", "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["diffusers", pytest.param("ldm", marks=pytest.mark.skipif(not LDM, reason="no LDM"))]
)
def test_our_loop_trains_a_peer_on_the_same_faces(
    kind: str, quick: Settings, tmp_path: Path
) -> None:
    peers.register({"ldm": LDM} if LDM else {})
    root = tmp_path / "faces"
    render_prepared(root, 24, 64, workers=1)
    config = load(RunConfig, "rendered_debug", [f"data.root={root}", *TINY])
    own = train(config, tmp_path / "own")
    theirs = train(config, tmp_path / kind, build=partial(quality.build_peer, kind))
    told = [read_json(model / "provenance.json") for model in (own, theirs)]
    for name in quality.SHARED:
        assert told[0][name] == told[1][name]
    assert abs(told[1]["parameters"] / told[0]["parameters"] - 1) < 0.02


@pytest.mark.slow
def test_from_faces_to_contenders(quick: Settings, tmp_path: Path) -> None:
    split = {"judges_fraction": 0.4, "test_fraction": 0.4}
    faces = render_prepared(tmp_path / "faces", 300, 64, **split, workers=1)
    for kind in ("parser", "attributes"):
        train_judge(kind, faces, tmp_path / "judges" / kind, steps=2, width=8, progress=False)
    wanted = QualitySettings(
        data=str(tmp_path / "faces"), judges=str(tmp_path / "judges"), config="rendered_debug",
        overrides=TINY, conditions=100, steps=(1, 2), solvers=("euler", "ddim"),
        shipped=("euler", 2),
    )  # fmt: skip
    settings = replace(quick, quality=wanted)
    few = replace(settings, quality=replace(wanted, conditions=2))
    with pytest.raises(UserError, match="2 conditions are too few"):
        quality.entries(few, "equal-quality")
    entries = quality.entries(settings, "equal-quality")
    assert list(entries) == ["facecond", "diffusers as shipped", "diffusers at its best"]
    made = {name: make() for name, make in entries.items()}
    own, shipped, _ = made.values()
    for name in quality.SHARED:
        assert own.work[name] == shipped.work[name]
    assert (shipped.facts["solver"], shipped.facts["steps"]) == ("euler", 2)
    assert shipped.facts["precision"] == "float32" and "as_good_as_all" in own.facts
    out = torch.full((quality.FACES, 64, 64, 3), torch.nan)
    own.run(own.prepare(0), out)
    assert torch.isfinite(out).all()
    known = (tmp_path / "equal-quality" / "facecond.jsonl").read_text()
    quality.entries(settings, "equal-quality")  # trained and scored once
    assert (tmp_path / "equal-quality" / "facecond.jsonl").read_text() == known
