"""First stages and latents that runs share: when they are the same, and what sharing leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.analysis.ablation.sharing import first_stage_key, latents_key, link_folder, share_into
from facecond.config import RunConfig, load
from facecond.data.prepared import PreparedFolder
from facecond.storage import read_json
from facecond.training import setup


@pytest.fixture
def config(study_file: Callable[..., Path], faces: Path) -> RunConfig:
    return load(RunConfig, study_file().parent / "base.yaml", [f"data.root={faces}"])


def test_keys_change_with_what_the_latents_depend_on_and_nothing_else(config: RunConfig) -> None:
    keys = first_stage_key(config, "a"), latents_key(config, "a")
    config.train.seed, config.train.steps, config.routing.preset = 5, 9, "coarse_fine"
    config.objective.gamma = 0.5
    assert (first_stage_key(config, "a"), latents_key(config, "a")) == keys
    assert first_stage_key(config, "b") != keys[0] and latents_key(config, "b") != keys[1]
    config.data.variants, config.data.flip = 2, True
    assert first_stage_key(config, "a") == keys[0]
    varied = latents_key(config, "a")
    assert varied != keys[1]
    config.train.seed = 6  # draws the variants
    assert latents_key(config, "a") != varied
    config.first_stage.latent_channels = 5
    assert first_stage_key(config, "a") != keys[0]


def test_a_run_finds_what_it_would_have_made(
    config: RunConfig, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, store = PreparedFolder.open(faces), tmp_path / "store"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        share_into(tmp_path / name, config, folder, store)
    alone = tmp_path / "alone"
    stage = setup.first_stage_for(config, folder, alone)
    setup.latent_cache_for(config, folder, stage, alone, tmp_path / "latents")
    manifest = read_json(tmp_path / "latents" / "manifest.json")
    for name in ("one", "two"):
        assert read_json(tmp_path / name / "latents" / "manifest.json") == manifest
        assert setup.first_stage_hash(tmp_path / name / "first_stage") == setup.first_stage_hash(
            alone
        )
    shards = [tmp_path / n / "latents" / "latents-00000.npy" for n in ("one", "two")]
    assert shards[0].stat().st_ino == shards[1].stat().st_ino  # one file
    capsys.readouterr()
    setup.latent_cache_for(config, folder, stage, alone, tmp_path / "one" / "latents")
    assert "anew" not in capsys.readouterr().err  # taken as it is


def test_a_replaced_file_leaves_the_others_alone(tmp_path: Path) -> None:
    (tmp_path / "source" / "deep").mkdir(parents=True)
    (tmp_path / "source" / "deep" / "file").write_text("shared")
    link_folder(tmp_path / "source", tmp_path / "linked")
    (tmp_path / "linked" / "deep" / "file").unlink()
    (tmp_path / "linked" / "deep" / "file").write_text("own")
    assert (tmp_path / "source" / "deep" / "file").read_text() == "shared"
