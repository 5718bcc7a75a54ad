"""Beginning from a saved model: what is taken over, what is told, what a run remembers of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from facecond.config import RunConfig, load
from facecond.data.dataset import IndexKeyedSampler
from facecond.data.render_set import render_prepared
from facecond.diffusion.objective import Objective
from facecond.errors import UserError
from facecond.models.condition_dropout import ConditionDropout
from facecond.models.denoiser import Denoiser
from facecond.models.first_stage import FirstStage, load_autoencoder
from facecond.pipeline import load_pipeline
from facecond.seeding import torch_generator
from facecond.storage import read_json, read_json_lines, write_json
from facecond.training import checkpoint, setup
from facecond.training.initialise import Source
from facecond.training.loop import train
from facecond.training.session import Interrupted
from facecond.training.transfer import compare, take_over

TINY = [
    "first_stage.latent_channels=6",
    "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16",
    "train.batch_size=8",
    "train.log_every=1",
    "train.sample_every=0",
    "train.checkpoint_every_s=1000",
    "train.precision=fp32",
    "optim.warmup_steps=2",
]
STILL = ["optim.learning_rate=1e-30", "optim.adam_learning_rate=1e-30"]


def config(root: Path, *overrides: str) -> RunConfig:
    return load(RunConfig, "rendered_debug", [f"data.root={root}", *TINY, *overrides])


@pytest.fixture(scope="module")
def source(rendered_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run folder of a short training."""
    out = tmp_path_factory.mktemp("source") / "run"
    train(config(rendered_root, "train.steps=30"), out)
    return out


def weights(model: Path) -> dict[str, torch.Tensor]:
    return Source.open(model).weights()


class Small(nn.Module):
    def __init__(self, width: int, extra: str) -> None:
        super().__init__()
        self.same = nn.Linear(3, 2)
        self.wide = nn.Linear(3, width, bias=False)
        self.add_module(extra, nn.Linear(2, 2, bias=False))


def test_planted_differences_are_told_and_the_rest_is_copied() -> None:
    theirs, ours = Small(4, "theirs"), Small(5, "ours")
    kept = {name: value.clone() for name, value in ours.state_dict().items()}
    transfer = take_over(ours, theirs.state_dict(), "some/model")
    assert transfer.taken == ("same.weight", "same.bias")
    assert transfer.new == ("ours.weight",) and transfer.left_out == ("theirs.weight",)
    assert transfer.reshaped == {"wide.weight": ((4, 3), (5, 3))}
    assert transfer.counts == {"taken": 2, "new": 1, "left_out": 1, "reshaped": 1}
    assert transfer.report("some/model").splitlines() == [
        "some/model: 2 tensors taken over",
        "  1 new, not in it: ours.weight",
        "  1 left out, not in this model: theirs.weight",
        "  1 left out, of another shape: wide.weight [4, 3] -> [5, 3]",
    ]
    for name, value in ours.state_dict().items():
        expected = theirs.state_dict()[name] if name.startswith("same") else kept[name]
        assert torch.equal(value, expected)
    with pytest.raises(UserError, match="none of its weights fits"):
        take_over(nn.Conv2d(1, 1, 1), theirs.state_dict(), "some/model")


def test_absent_cells_are_new_and_other_latents_leave_the_ends_out(rendered_root: Path) -> None:
    def built(*overrides: str, channels: int = 6) -> Denoiser:
        with torch.device("meta"):
            return setup.denoiser_for(config(rendered_root, *overrides), 64, (channels, 16, 16))

    routed = built("routing.preset=coarse_fine")
    plain = built()
    grown = compare(plain, routed.state_dict())
    assert grown.new and all(".to_kv." in n or ".locality." in n for n in grown.new)
    assert not grown.left_out and not grown.reshaped
    assert compare(routed, plain.state_dict()).left_out == grown.new
    assert len(grown.taken) + len(grown.new) == len(plain.state_dict())
    other = compare(built(channels=8), plain.state_dict())
    ends = {"unet.conv_in.weight", "unet.conv_out.weight", "unet.conv_out.bias"}
    assert set(other.reshaped) == ends and not other.new and not other.left_out


def test_convolutions_of_one_pixel_are_taken_over_as_matrices(
    source: Path, with_convolutions: Callable[[Path], Path]
) -> None:
    other = with_convolutions(source / "model")
    saved = load_file(other / "unet" / "diffusion_pytorch_model.safetensors")
    assert any(name.endswith("proj_in.weight") and t.ndim == 4 for name, t in saved.items())
    expected, found = weights(source), weights(other)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    faces = [
        load_pipeline(model)(seeds=[1, 2], num_inference_steps=2, output_type="latent").images
        for model in (source / "model", other)
    ]
    torch.testing.assert_close(*faces, rtol=1e-2, atol=1e-2)  # it may multiply in bfloat16


def test_a_run_that_cannot_learn_ends_where_its_source_does(
    rendered_root: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = config(rendered_root, "train.steps=3", "train.seed=1", *STILL)
    model = train(made, tmp_path / "run", init=source)
    before, after = weights(source), weights(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)  # the average's too
    assert f"{len(before)} tensors taken over" in capsys.readouterr().out
    run = read_json(tmp_path / "run" / "run.json")
    counts = {"taken": len(before), "new": 0, "left_out": 0, "reshaped": 0}
    stage = setup.first_stage_hash(source / "model" / "first_stage")
    opened = Source.open(source)
    recorded = {"path": str(source / "model"), "hash": opened.hash, "first_stage": stage}
    assert run["init"] == recorded | {"tensors": counts}
    assert run["first_stage_hash"] == stage
    assert read_json(model / "provenance.json")["init"] == run["init"]
    assert "init" not in read_json(source / "run.json")


def test_the_first_loss_is_the_sources(rendered_root: Path, source: Path, tmp_path: Path) -> None:
    made = config(rendered_root, "train.steps=1")
    train(made, tmp_path / "run", init=source / "model")
    train(made, tmp_path / "scratch")
    tuned, scratch = (
        read_json_lines(tmp_path / run / "metrics.jsonl")[0]["loss"] for run in ("run", "scratch")
    )
    # By hand: the source's network on the first batch of the run.
    pipeline = load_pipeline(source / "model")
    network = Denoiser(pipeline.condition_encoder, pipeline.unet)
    folder = setup.open_data(made)
    places = tmp_path / "run" / "first_stage", tmp_path / "run" / "latents"
    cache = setup.latent_cache_for(made, folder, pipeline.first_stage, *places)
    (keys,) = islice(iter(IndexKeyedSampler(len(cache), 8, seed=0)), 1)
    items = cache.__getitems__(keys)
    x_0, mask, values = (
        torch.stack([item[name] for item in items]) for name in ("latents", "mask", "attributes")
    )
    objective = Objective(**vars(made.objective))
    randomness = torch_generator(0, "step", 0, 0, 0)
    t = objective.sample_t(8, randomness)
    noise = torch.randn(x_0.shape, generator=randomness)
    values, mask = ConditionDropout(**vars(made.dropout))(values, mask, randomness)
    with torch.no_grad():
        x_t = objective.add_noise(x_0, noise, t)
        prediction = network(x_t, objective.timestep(t), values, mask)
    expected = float(objective.loss(prediction, x_0, noise, t).mean())
    assert tuned == pytest.approx(expected, rel=1e-4)
    assert tuned < 0.9 * scratch


@pytest.mark.parametrize("again", ["named again", "gone"])
def test_a_run_goes_on_from_its_checkpoint_and_not_from_its_source(
    rendered_root: Path,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_at: Callable[[int], None],
    again: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Other data than the source's, so that an own first stage would be another one.
    render_prepared(str(tmp_path / "other"), 24, 64, 5, True, 0.2, 0.2, 1)
    made = config(tmp_path / "other", "train.steps=6")
    place = shutil.copytree(source / "model", tmp_path / "model")
    whole = train(made, tmp_path / "whole", init=place)
    stop_at(3)
    with pytest.raises(Interrupted):
        train(made, tmp_path / "broken", init=place)
    monkeypatch.undo()
    capsys.readouterr()
    if again == "gone":
        shutil.rmtree(place)
    resumed = train(made, tmp_path / "broken", init=None if again == "gone" else place)
    assert "taken over" not in capsys.readouterr().out
    a, b = weights(whole), weights(resumed)
    assert all(torch.equal(a[name], b[name]) for name in a)
    for model in (whole, resumed):
        stage = setup.first_stage_hash(model / "first_stage")
        assert stage == setup.first_stage_hash(source / "model" / "first_stage")
    runs = [read_json(tmp_path / name / "run.json") for name in ("whole", "broken")]
    assert runs[0]["init"] == runs[1]["init"]


def test_a_run_that_was_begun_otherwise_is_refused(
    rendered_root: Path, source: Path, tmp_path: Path
) -> None:
    made = config(rendered_root, "train.steps=2")
    train(made, tmp_path / "scratch")
    with pytest.raises(UserError, match="begun without --init"):
        train(made, tmp_path / "scratch", init=source)
    train(made, tmp_path / "tuned", init=source)
    with pytest.raises(UserError, match="begun from another model"):
        train(made, tmp_path / "tuned", init=tmp_path / "scratch")
    shutil.rmtree(tmp_path / "tuned" / "checkpoints")
    with pytest.raises(UserError, match="has no checkpoint yet"):
        train(made, tmp_path / "tuned")
    train(made, tmp_path / "tuned", init=source)
    assert checkpoint.steps(tmp_path / "tuned" / "checkpoints")
    shutil.rmtree(tmp_path / "tuned" / "first_stage")
    with pytest.raises(UserError, match="first stage that the run began with is gone"):
        train(made, tmp_path / "tuned")


def test_other_latents_are_warned_of(
    rendered_root: Path, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = config(rendered_root, "train.steps=1", "first_stage.latent_channels=8")
    train(made, tmp_path / "run", init=source)
    printed = capsys.readouterr().out
    assert "warning: its latents are those of another first stage" in printed
    assert "3 left out, of another shape" in printed and "[16, 6, 3, 3] -> [16, 8, 3, 3]" in printed
    run = read_json(tmp_path / "run" / "run.json")
    assert run["init"]["first_stage"] is None and run["init"]["tensors"]["reshaped"] == 3


def folder_with(stage: FirstStage, out: Path) -> Source:
    """A model folder of which only the first stage, the index and the UNet's settings are there."""
    (out / "unet").mkdir(parents=True)
    write_json(out / "unet" / "config.json", {})
    stage.save_pretrained(out / "first_stage")
    write_json(out / "model_index.json", {"schedule": "flow", "prediction": "flow"})
    return Source.open(out)


def test_a_pretrained_first_stage_is_the_same_when_its_weights_are(
    rendered_root: Path, kl_autoencoder: Path, tmp_path: Path
) -> None:
    stage = load_autoencoder(str(kl_autoencoder))
    stage.measure([torch.rand(2, 3, 64, 64) * 2 - 1])
    opened = folder_with(stage, tmp_path / "model")
    named = ["first_stage.latent_channels=4", f"first_stage.autoencoder={kl_autoencoder}"]
    assert opened.has_first_stage_of(config(rendered_root, *named))
    assert not opened.has_first_stage_of(config(rendered_root))
    changed = stage.autoencoder
    with torch.no_grad():
        next(changed.parameters())[0] += 0.01
    changed.save_pretrained(tmp_path / "retrained")
    retrained = f"first_stage.autoencoder={tmp_path / 'retrained'}"
    assert not opened.has_first_stage_of(config(rendered_root, named[0], retrained))


def test_another_objective_is_warned_of(
    rendered_root: Path, kl_autoencoder: Path, tmp_path: Path
) -> None:
    opened = folder_with(load_autoencoder(str(kl_autoencoder)), tmp_path / "model")
    assert opened.warnings(config(rendered_root), same_latents=True) == []
    made = config(rendered_root, "objective.schedule=cosine", "objective.prediction=v")
    assert opened.warnings(made, same_latents=True) == [
        "it was trained with schedule flow, not cosine",
        "it was trained with prediction flow, not v",
    ]


def test_places_that_hold_no_whole_model(source: Path, tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=r"there is no model \(no model_index\.json\)"):
            Source.open(place)
    place = shutil.copytree(source / "model", tmp_path / "model")
    whole = Source.open(place)
    assert whole.hash == Source.open(source).hash
    (file,) = (place / "unet").glob("*.safetensors")
    tensors = load_file(file)
    tensors["conv_in.weight"][0, 0, 0, 0] += 1
    save_file(tensors, file)
    assert Source.open(place).hash != whole.hash
    tensors["conv_in.weight"][0] = torch.nan
    save_file(tensors, file)
    with pytest.raises(UserError, match=r"conv_in\.weight holds NaN"):
        Source.open(place).weights()
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(UserError, match="cannot be read"):
        Source.open(place).weights()
    file.unlink()
    with pytest.raises(UserError, match="weights are missing"):
        Source.open(place).weights()
