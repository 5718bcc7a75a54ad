"""Distillation: what steps are to be, a student that learns them, runs that go on, bad input."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.config import RunConfig, load
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import ANYTHING, UNSPECIFIED
from facecond.models.denoiser import Denoiser
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.storage import read_json
from facecond.training import setup
from facecond.training.few_step import FewStep
from facecond.training.loop import train
from facecond.training.plan import describe
from facecond.training.session import Interrupted
from facecond.training.teacher import Teacher

TINY = (
    "first_stage.latent_channels=6",
    "denoiser.block_out_channels=[16,32]",
    "denoiser.condition_dim=16",
    "train.batch_size=8",
    "train.sample_every=0",
    "train.checkpoint_every_s=1000",
    "train.precision=fp32",
    "optim.warmup_steps=2",
)
EULER = ("sampling.scheduler=euler", "sampling.steps=4")


def config(root: Path, *overrides: str) -> RunConfig:
    return load(RunConfig, "rendered_debug", [f"data.root={root}", *TINY, *overrides])


@pytest.fixture(scope="module")
def teacher(rendered_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("teacher") / "run"
    return train(config(rendered_root, "train.steps=40"), out)


def of(teacher: Path, root: Path, *overrides: str) -> RunConfig:
    ranges = "few_step.guidance={attributes: [1, 3], mask: [1, 3]}"
    return config(root, *EULER, f"few_step.teacher={teacher}", ranges, *overrides)


@torch.no_grad()
def test_aims_are_guided_midpoints_and_two_steps_of_the_average(
    teacher: Path, rendered_root: Path
) -> None:
    made = of(teacher, rendered_root)
    folder = PreparedFolder.open(rendered_root)
    student = setup.denoiser_for(made, folder.image_size, (6, 16, 16)).eval()
    generator = torch.Generator().manual_seed(0)
    student.unet.time_embedding.cond_proj.weight.normal_(generator=generator)
    few = FewStep(Teacher(made), student, torch.autocast("cpu", enabled=False))
    x_0, noise = torch.randn(2, 24, 6, 16, 16, generator=generator)
    values = torch.from_numpy(folder.attributes[:24]).clone()
    masks = torch.from_numpy(np.stack([folder.mask(row) for row in range(24)]))
    aim = few.aim(x_0, noise, values, masks, generator)
    d, scales, t = aim.step[:, 0], aim.step[:, 1:], aim.t
    assert set(d.tolist()) == {1.0, 0.5, 0.25, 0.125}
    assert ((scales >= 1) & (scales <= 3)).all() and scales.std(0).min() > 0.3
    at = t[:, None, None, None]
    torch.testing.assert_close(aim.x_t, (1 - at) * x_0 + at * noise)
    saved = load_pipeline(teacher)
    guiding = Denoiser(saved.condition_encoder, saved.unet)
    nothing = torch.full_like(values, UNSPECIFIED), torch.full_like(masks, ANYTHING)
    half, w = d / 2, scales[:, :, None, None, None]

    def guided(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        full = guiding(x, 1000 * t, values, masks)
        blind, bare = (
            guiding(x, 1000 * t, *given) for given in ((values, nothing[1]), (nothing[0], masks))
        )
        return full + (w[:, 0] - 1) * (full - bare) + (w[:, 1] - 1) * (full - blind)

    def own(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        step = torch.cat([half[:, None], scales], 1)
        return student(x, 1000 * t, values, masks, step=step)

    def half_way(average: torch.Tensor) -> torch.Tensor:
        return aim.x_t - half[:, None, None, None] * average

    middle = guided(half_way(guided(aim.x_t, t)), t - half)
    first = own(aim.x_t, t)
    both = (first + own(half_way(first), t - half)) / 2
    expected = torch.where(d[:, None, None, None] == 0.125, middle, both)
    torch.testing.assert_close(aim.target, expected, rtol=1e-3, atol=1e-4)


def test_a_run_that_was_stopped_ends_as_an_unbroken_one(
    teacher: Path,
    rendered_root: Path,
    tmp_path: Path,
    stop_at: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    weights: Callable[[Path], dict[str, torch.Tensor]],
) -> None:
    more = ("train.accumulation=2", "train.sample_every=3")
    made = of(teacher, rendered_root, "train.steps=6", *more)
    whole = train(made, tmp_path / "whole")
    assert list((tmp_path / "whole" / "tensorboard").iterdir())
    stop_at(4)
    with pytest.raises(Interrupted):
        train(made, tmp_path / "broken")
    monkeypatch.undo()
    broken = weights(train(made, tmp_path / "broken"))
    for name, value in weights(whole).items():
        assert torch.equal(value, broken[name]), name
    told = read_json(whole / "provenance.json")
    assert told["teacher_hash"] == told["init"]["hash"]
    assert load_pipeline(whole).config["steps"] == 4


@pytest.mark.slow
def test_a_student_draws_in_one_pass_more_like_its_teacher_than_that_in_one_step(
    teacher: Path, rendered_root: Path, tmp_path: Path
) -> None:
    made = of(teacher, rendered_root, "train.steps=150", "optim.learning_rate=1e-2")
    student, taught = load_pipeline(train(made, tmp_path / "run")), load_pipeline(teacher)
    folder = PreparedFolder.open(rendered_root)
    rows = folder.indices("test")[:16]
    given = {
        "attributes": folder.attributes[rows],
        "mask": np.stack([folder.mask(int(row)) for row in rows]),
        "seeds": range(len(rows)),
        "guidance": {"attributes": 2.0, "mask": 2.0},
    }
    taught.use_scheduler("euler")

    def faces(pipeline: FacePipeline, steps: int) -> np.ndarray:
        return pipeline(**given, num_inference_steps=steps).images.astype(float)

    best = faces(taught, 100)
    for steps in (1, 2):
        off = [np.abs(faces(model, steps) - best).mean() for model in (student, taught)]
        assert off[0] < 0.8 * off[1], steps


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sampling.scheduler=unipc"], "sampling.scheduler: it takes whole steps"),
        (["sampling.steps=5"], "distilled for 1, 2, 4, 8 steps, not 5"),
        (["few_step.guidance={hair: [1, 2]}"], "unknown source 'hair'"),
        (["few_step.guidance={mask: [2, 1]}"], "no least and greatest scale of 'mask'"),
        (["few_step.guidance={mask: [1.5, 2]}"], "no least and greatest scale of 'mask'"),
        (["few_step.guidance={mask: [1]}"], "no least and greatest scale of 'mask'"),
        (["sampling.guidance={mask: 5}"], "sampling.guidance: 5 is no scale of 'mask'"),
        (["objective.schedule=cosine", "objective.prediction=v"], "only a flow model"),
        (["perceptual.weight=1"], "there is no perceptual loss"),
        (["denoiser.block_out_channels=[16,48]"], "its denoiser is another one"),
        (["routing.combine=joint"], "(routing differs)"),
        (["denoiser.norm_num_groups=4"], "(norm_num_groups differs)"),
        (["first_stage.patch_size=2"], "its denoiser is another one"),
        (["few_step.teacher=nowhere"], "there is no model"),
        (["few_step.teacher=''"], "no model to distill is named"),
    ],
)
def test_bad_input_is_refused(
    teacher: Path, rendered_root: Path, tmp_path: Path, overrides: list[str], message: str
) -> None:
    made = of(teacher, rendered_root, "train.steps=1", *overrides)
    for attempt in (lambda: train(made, tmp_path / "run"), lambda: describe(made)):
        with pytest.raises(UserError, match=re.escape(message)):
            attempt()
    assert not (tmp_path / "run").exists()


def test_a_student_is_no_teacher(
    teacher: Path, rendered_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = train(of(teacher, rendered_root, "train.steps=1"), tmp_path / "run")
    with pytest.raises(UserError, match="it is a distilled model itself"):
        Teacher(of(student, rendered_root))
    warned = train(config(rendered_root, "train.steps=1"), tmp_path / "plain", init=student)
    assert "it was distilled, for other steps" in capsys.readouterr().out
    assert load_pipeline(warned).unet.config.guidance_ranges is None


def test_a_model_without_masks_is_distilled_and_draws(rendered_root: Path, tmp_path: Path) -> None:
    without = ("routing.sources=[attributes]", "train.steps=1")
    blind = train(config(rendered_root, *without), tmp_path / "blind")
    ranges = "few_step.guidance={attributes: [1, 2]}"
    teacher = (f"few_step.teacher={blind}", ranges, *EULER)
    student = load_pipeline(train(config(rendered_root, *without, *teacher), tmp_path / "run"))
    assert student.unet.config.guidance_ranges == {"attributes": [1, 2]}
    assert student("Smiling", seeds=[0]).images.shape == (1, 64, 64, 3)


def test_a_windowed_routing_is_no_teacher(rendered_root: Path, tmp_path: Path) -> None:
    windowed = train(
        config(rendered_root, "train.steps=1", "routing.preset=early_late"), tmp_path / "windowed"
    )
    with pytest.raises(UserError, match="its routing depends on the noise level"):
        Teacher(of(windowed, rendered_root, "routing.preset=early_late"))


def test_how_a_teacher_projects_does_not_matter(
    teacher: Path, rendered_root: Path, with_convolutions: Callable[[Path], Path]
) -> None:
    made = of(with_convolutions(teacher), rendered_root)
    found = Teacher(made)
    student = setup.denoiser_for(made, 64, (6, 16, 16))
    assert not found.pipeline.unet.config.use_linear_projection
    assert student.unet.config.use_linear_projection
    found.check(student, setup.first_stage_hash(teacher / "first_stage"))
    other = of(teacher, rendered_root, "denoiser.positions=rotary")
    with pytest.raises(UserError, match="positions differs"):
        found.check(setup.denoiser_for(other, 64, (6, 16, 16)), None)


def test_the_plan_names_the_teacher(teacher: Path, rendered_root: Path) -> None:
    told = describe(of(teacher, rendered_root, "train.steps=1"))
    assert f"teacher     {teacher}, distilled for 1, 2, 4, 8 steps" in told
    assert "1 new, not in it: unet.time_embedding.cond_proj.weight" in told
    assert "share of the loss weight" not in told


def test_a_student_goes_on_with_what_it_began_with(
    teacher: Path, rendered_root: Path, tmp_path: Path, stop_at: Callable[[int], None]
) -> None:
    other = train(config(rendered_root, "train.steps=2"), tmp_path / "other")
    made = of(teacher, rendered_root, "train.steps=3")
    stop_at(2)
    with pytest.raises(Interrupted):
        train(made, tmp_path / "run", init=other)
    stop_at(0)
    told = read_json(train(made, tmp_path / "run") / "provenance.json")
    assert told["init"]["hash"] != told["teacher_hash"]
