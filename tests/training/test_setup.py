"""First stage and latent cache of a run: fitted once, used again, rebuilt when the data change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.config import RunConfig
from facecond.data.predicted import write_predicted
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.data.writing import PreparedWriter
from facecond.diffusion.objective import Objective
from facecond.errors import UserError
from facecond.labels import UNSPECIFIED, mirror_mask
from facecond.models.first_stage import load_autoencoder
from facecond.models.routing import Layer
from facecond.pipeline import to_uint8
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


def test_pixel_space_is_a_patch_of_one_pixel(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root)
    made.first_stage.patch_size, made.first_stage.latent_channels = 1, 3
    folder = setup.open_data(made)
    stage = setup.first_stage_for(made, folder, tmp_path / "stage")
    cache = setup.latent_cache_for(made, folder, stage, tmp_path / "stage", tmp_path / "latents")
    kept = torch.stack([cache[0, i]["latents"] for i in range(8)])
    assert kept.shape == (8, 3, 64, 64)
    pictures = np.stack([folder.image(row) for row in folder.indices("generator")[:8]])
    np.testing.assert_array_equal(to_uint8(stage.decode(kept)), pictures)


def test_other_data_give_another_first_stage(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root)
    setup.first_stage_for(made, setup.open_data(made), tmp_path / "stage")
    before = setup.first_stage_hash(tmp_path / "stage")
    render_prepared(str(tmp_path / "other"), 24, 64, 5, True, 0.2, 0.2, 1)
    made.data.root = str(tmp_path / "other")
    setup.first_stage_for(made, setup.open_data(made), tmp_path / "stage")
    assert setup.first_stage_hash(tmp_path / "stage") != before


def test_a_flip_alone_gives_the_plain_picture_and_its_mirror(
    rendered_root: Path, tmp_path: Path
) -> None:
    made = config(rendered_root)
    made.data.variants, made.data.flip = 2, True
    folder = setup.open_data(made)
    stage = setup.first_stage_for(made, folder, tmp_path / "stage")
    cache = setup.latent_cache_for(made, folder, stage, tmp_path / "stage", tmp_path / "latents")
    latents = np.load(tmp_path / "latents" / "latents-00000.npy")
    masks = np.load(tmp_path / "latents" / "masks-00000.npy")
    assert len(cache) == len(latents)
    rows = folder.indices("generator")
    for position, row in enumerate(rows[:8]):
        pictures = np.stack([folder.image(row), folder.image(row)[:, ::-1]])
        images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = stage.encode(images).half().float()
        found = torch.from_numpy(latents[position]).float()
        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3)  # batches of other sizes
        np.testing.assert_array_equal(masks[position, 0], folder.mask(row))
        np.testing.assert_array_equal(masks[position, 1], mirror_mask(folder.mask(row)))


def test_with_other_augmentation_a_flip_stays_a_matter_of_chance(
    rendered_root: Path, tmp_path: Path
) -> None:
    made = config(rendered_root)
    made.data.variants, made.data.flip, made.data.affine = 2, True, 0.02
    folder = setup.open_data(made)
    stage = setup.first_stage_for(made, folder, tmp_path / "stage")
    cache = setup.latent_cache_for(made, folder, stage, tmp_path / "stage", tmp_path / "latents")
    assert cache.manifest["identity"]["augmentation"] == {
        "flip": 0.5,
        "affine": 0.02,
        "jitter": 0.0,
    }


def kl_config(root: Path, autoencoder: Path) -> RunConfig:
    made = config(root)
    made.first_stage.autoencoder, made.first_stage.latent_channels = str(autoencoder), 4
    return made


def test_latents_of_a_distribution_are_sampled_when_asked_for(
    rendered_root: Path, kl_autoencoder: Path, tmp_path: Path
) -> None:
    made = kl_config(rendered_root, kl_autoencoder)
    folder = setup.open_data(made)
    stage = setup.first_stage_for(made, folder, tmp_path / "stage")
    places = tmp_path / "stage", tmp_path / "latents"
    mode = setup.latent_cache_for(made, folder, stage, *places)
    assert torch.equal(mode[0, 3]["latents"], mode[1, 3]["latents"])
    made.data.sample_latents = True
    sampled = setup.latent_cache_for(made, folder, stage, *places)
    images = torch.from_numpy(folder.image(folder.indices("generator")[3]))
    moments = stage.encode_moments(images.permute(2, 0, 1)[None].float() / 127.5 - 1)
    mean, logvar = (m[0] for m in moments if m is not None)
    drawn = torch.stack([sampled[epoch, 3]["latents"] for epoch in range(400)])
    spread = ((drawn - mean) / (logvar / 2).exp()).square().mean((0, 2, 3))
    torch.testing.assert_close(spread, torch.ones(4), rtol=0.03, atol=0)


def test_nothing_can_be_sampled_of_the_patch_code(rendered_root: Path, tmp_path: Path) -> None:
    made = config(rendered_root)
    made.data.sample_latents = True
    folder, told = setup.open_data(made), r"data\.sample_latents: the first stage is deterministic"
    with pytest.raises(UserError, match=told):
        setup.check_sizes(made, folder.image_size)
    with pytest.raises(UserError, match=told):
        setup.first_stage_for(made, folder, tmp_path / "runs" / "stage")
    assert not list(tmp_path.iterdir())
    stage = setup.first_stage_for(config(rendered_root), folder, tmp_path / "stage")
    with pytest.raises(UserError, match=told):
        setup.latent_cache_for(made, folder, stage, tmp_path / "stage", tmp_path / "latents")
    assert not (tmp_path / "latents").exists()


def test_a_weight_of_zero_is_no_perceptual_loss(rendered_root: Path, kl_autoencoder: Path) -> None:
    made = kl_config(rendered_root, kl_autoencoder)
    stage = load_autoencoder(str(kl_autoencoder))
    objective = Objective()
    assert setup.perceptual_loss_for(made, objective, stage) is None
    made.perceptual.weight, made.perceptual.layers = 2.0, 3
    loss = setup.perceptual_loss_for(made, objective, stage)
    assert loss is not None and loss.weight == 2.0
    stage.measure([torch.rand(2, 3, 64, 64) * 2 - 1])
    sides = [f.shape[-1] for f in loss.features(torch.zeros(1, 4, 16, 16), loss.layers)]
    assert sides == [16, 32, 64]


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


LAYERS = (Layer("a", "down", 16), Layer("b", "mid", 8), Layer("c", "up", 16))


def test_a_preset_may_route_nothing() -> None:
    made = RunConfig()
    made.routing.sources = []
    table = setup.route(made, LAYERS)
    assert table.sources == () and table.rules == ()


@pytest.mark.parametrize(
    ("key", "value"), [("rules", [{"source": "mask", "layers": "*"}]), ("sources", ["mask"])]
)
def test_a_routing_file_stands_alone(key: str, value: list, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("rules: [{source: mask, layers: '*'}]")
    made = RunConfig()
    made.routing.file = str(file)
    assert setup.route(made, LAYERS).sources == ("mask",)
    setattr(made.routing, key, value)
    with pytest.raises(UserError, match="routing"):
        setup.route(made, LAYERS)
