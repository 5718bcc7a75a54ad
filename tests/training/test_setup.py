"""First stage and latent cache of a run: fitted once, used again, rebuilt when the data change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.config import RunConfig
from facecond.data.predicted import write_predicted
from facecond.data.prepared import PreparedFolder, PreparedWriter
from facecond.data.render_set import render_prepared
from facecond.errors import UserError
from facecond.labels import UNSPECIFIED
from facecond.training import setup


def config(root: Path) -> RunConfig:
    made = RunConfig()
    made.data.root = str(root)
    made.first_stage.latent_channels = 8
    return made


def test_latents_are_standardised_and_kept(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root)
    folder = setup.open_data(made)
    stage = setup.first_stage_for(made, folder, tmp_path / "stage")
    before = setup.first_stage_hash(tmp_path / "stage")
    cache = setup.latent_cache_for(made, folder, stage, tmp_path / "stage", tmp_path / "latents")
    latents = torch.stack([cache[0, i]["latents"] for i in range(len(cache))])
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros(8), atol=2e-3, rtol=0)  # half precision
    torch.testing.assert_close(std, torch.ones(8), atol=5e-3, rtol=0)
    again = setup.first_stage_for(made, folder, tmp_path / "stage")
    assert setup.first_stage_hash(tmp_path / "stage") == before
    for a, b in zip(stage.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_other_data_give_another_first_stage(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root)
    setup.first_stage_for(made, setup.open_data(made), tmp_path / "stage")
    before = setup.first_stage_hash(tmp_path / "stage")
    render_prepared(str(tmp_path / "other"), 24, 64, 5, True, 0.2, 0.2, 1)
    made.data.root = str(tmp_path / "other")
    setup.first_stage_for(made, setup.open_data(made), tmp_path / "stage")
    assert setup.first_stage_hash(tmp_path / "stage") != before


def test_labels_of_judges_are_read_unless_the_truth_alone_is_asked_for(tmp_path: Path) -> None:
    with PreparedWriter(tmp_path / "data", 16, "folder") as writer:
        for name in ("a", "b"):
            nothing = np.full(40, UNSPECIFIED, np.int8)
            writer.add(name, np.zeros((16, 16, 3), np.uint8), None, nothing, "generator")
    true = PreparedFolder.open(tmp_path / "data")
    with write_predicted(true) as predicted:
        predicted.set_attributes(np.ones((2, 40), np.int8), np.full((2, 40), 0.9, np.float32))
    made = config(tmp_path / "data")
    full = setup.open_data(made)
    assert (full.attributes == 1).all() and full.data_hash != true.data_hash
    made.data.labels = "true"
    plain = setup.open_data(made)
    assert (plain.attributes == UNSPECIFIED).all() and plain.data_hash == true.data_hash


def test_sizes_that_do_not_fit_are_user_errors(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root)
    made.first_stage.patch_size = 7
    with pytest.raises(UserError, match="patch_size 7"):
        setup.first_stage_for(made, setup.open_data(made), tmp_path / "stage")
    made = config(rendered_root)
    made.first_stage.autoencoder = str(tmp_path / "nothing")
    with pytest.raises(UserError, match="no autoencoder"):
        setup.first_stage_for(made, setup.open_data(made), tmp_path / "stage")
