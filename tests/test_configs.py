"""Every shipped config loads, says what it is for, and its sections fit what they feed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
import yaml

from facecond import config
from facecond.analysis.ablation.preview import measure
from facecond.analysis.ablation.work import PROBES
from facecond.config import FirstStageRunConfig, JudgeConfig, RunConfig, Study, load, load_study
from facecond.data.augmentation import FaceAugmentation
from facecond.data.pairs import PairRules
from facecond.diffusion import objective, paths, schedulers
from facecond.diffusion.perceptual import LatentPerceptualLoss
from facecond.models import lpips_distance, positions, routing
from facecond.models.attention import MultiSourceAttention
from facecond.models.condition_dropout import ConditionDropout
from facecond.models.denoiser import build_denoiser
from facecond.models.discriminator import PatchDiscriminator
from facecond.models.first_stage import LinearPatchCode
from facecond.models.judges import BACKBONES, SMALL
from facecond.models.kl_autoencoder import build_kl_autoencoder
from facecond.models.qformer import QFormer
from facecond.models.reference_tasks import ReferenceTasks
from facecond.models.routing import COMBINES, PRESETS, RankChoice
from facecond.training.first_stage_loss import AutoencoderLoss
from facecond.training.judge_fit import Recipe
from facecond.training.judges import train_judge
from facecond.training.optim import build_optimizers
from facecond.training.setup import denoiser_for

FOLDER = Path(__file__).resolve().parent.parent / "configs"
FILES = sorted(FOLDER.rglob("*.yaml"))


def names(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}


def keywords(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def default_values(kind: Any, function: Callable[..., Any], only: Iterable[str]) -> None:
    """Where both sides have a default, it is the same one."""
    section = kind()
    for name in only:
        default = inspect.signature(function).parameters[name].default
        if default is not inspect.Parameter.empty:
            assert getattr(section, name) == default, name


def sections(path: Path) -> set[str]:
    """Top-level keys of a file and of its base."""
    loaded = yaml.safe_load(path.read_text()) or {}
    found = set(loaded)
    if "base" in found:
        found |= set(yaml.safe_load((path.parent / loaded["base"]).read_text()))
    return found - {"base"}


def load_file(path: Path) -> RunConfig | JudgeConfig | FirstStageRunConfig | Study:
    if path.parent.name == "ablations":
        return load_study(path)
    found = sections(path)
    if "autoencoder" in found:
        return load(FirstStageRunConfig, path)
    return load(JudgeConfig, path) if "judge" in found else load(RunConfig, path)


def test_there_are_configs() -> None:
    assert FOLDER / "rendered_64.yaml" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_config_loads_and_its_header_says_purpose_and_command(path: Path) -> None:
    loaded = load_file(path)
    header = []
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        header.append(line.lstrip("# "))
    text = "\n".join(header)
    assert len(text.split()) >= 5, "no purpose"
    commands = re.findall(r"facecond ([a-z][\w-]*)", text)
    assert commands, "no command"
    if isinstance(loaded, Study):
        for key in ("Time:", "runs of about"):
            assert key in text
        assert loaded.config.purpose and loaded.config.expect
        assert f"facecond ablate {loaded.name}" in text
        count = len(loaded.variants) * len(loaded.config.seeds)
        assert f"{count} runs" in text
    if isinstance(loaded, RunConfig):
        objective.Objective(**asdict(loaded.objective))
        ConditionDropout(**asdict(loaded.dropout))
        schedulers.scheduler(
            loaded.sampling.scheduler, loaded.objective.schedule, loaded.objective.prediction
        )
        assert set(loaded.sampling.guidance) <= {*routing.SOURCES, "reference"}
        assert loaded.train.steps > 0 or loaded.train.minutes > 0
        assert loaded.train.keep_checkpoints >= 2


STUDIES = [load_study(path) for path in sorted((FOLDER / "ablations").glob("*.yaml"))]


@pytest.mark.parametrize(
    ("study", "name"),
    [(study, variant.name) for study in STUDIES for variant in study.variants],
    ids=lambda value: value.name if isinstance(value, Study) else value,
)
def test_variants_of_the_shipped_studies_can_be_built(study: Study, name: str) -> None:
    assert set(study.config.evaluate.probes) <= set(PROBES)
    variant = study.variant(name).config
    objective.Objective(**asdict(variant.objective))
    schedulers.scheduler(
        variant.sampling.scheduler, variant.objective.schedule, variant.objective.prediction
    )
    if variant.routing.sensitivity:  # measured in the study's own folder, on a run of it
        assert variant.routing.sensitivity == "OUT/sensitivity/sensitivity.json"
        variant = study.base
    assert measure(variant, study.config.data.size, timed=False).parameters > 2e6


def test_the_model_of_the_studies_tells_coarse_from_fine() -> None:
    for study in STUDIES:
        with torch.device("meta"):
            layers = denoiser_for(study.base, 64, (12, 16, 16)).unet.trained_routing.layers
        assert len(layers) >= 9 and len({layer.resolution for layer in layers}) >= 3
        assert study.base.train.steps > 0 and len(study.config.seeds) >= 3


def test_dropout_section_is_condition_dropout() -> None:
    assert names(config.DropoutConfig) == keywords(ConditionDropout.__init__)
    default_values(config.DropoutConfig, ConditionDropout, names(config.DropoutConfig))


def test_objective_section_is_objective() -> None:
    assert names(config.ObjectiveConfig) == keywords(objective.Objective.__init__)
    default_values(config.ObjectiveConfig, objective.Objective, names(config.ObjectiveConfig))


def test_perceptual_section_is_the_loss() -> None:
    given = {"features", "objective"}
    assert names(config.PerceptualConfig) == keywords(LatentPerceptualLoss.__init__) - given
    own = names(config.PerceptualConfig)
    default_values(config.PerceptualConfig, LatentPerceptualLoss, own)
    assert config.PerceptualConfig().weight == 0  # P2 alone, unless it is asked for


@pytest.mark.parametrize("per", ["channel", "pixel"])
def test_every_normalisation_is_one_of_its_own(per: str) -> None:
    assert per in choices(config.PerceptualConfig, "per")
    pair = torch.randn(2, 1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    found = {
        normalise: float(
            LatentPerceptualLoss(lambda *_: [], objective.Objective(), normalise=normalise, per=per)
            .distance(*pair)
            .sum()
        )
        for normalise in choices(config.PerceptualConfig, "normalise")
    }
    assert len(set(found.values())) == 3


def test_optim_section_is_the_optimisers_and_the_loops_own() -> None:
    own = {"warmup_steps", "decay_share", "clip_norm", "ema_decay"}
    built = keywords(build_optimizers) - {"module"}
    assert names(config.OptimConfig) == built | own
    default_values(config.OptimConfig, build_optimizers, built)


def test_denoiser_and_routing_sections_are_build_denoiser() -> None:
    from_data = {"image_size", "latent_size", "latent_channels"}
    rest = keywords(build_denoiser) - from_data - {"reference", "guidance_ranges", "route", "seed"}
    assert names(config.DenoiserConfig) == rest
    assert tuple(choices(config.RoutingConfig, "combine")) == COMBINES
    assert config.RoutingConfig().preset in PRESETS
    choice = config.RoutingConfig()
    named = (choice.sensitivity, choice.fraction, choice.seed)
    assert RankChoice(*named) == RankChoice()


def test_reference_and_pairs_sections_are_what_they_feed() -> None:
    qformer = {"dim", "queries", "depth", "heads", "trunks"}
    assert qformer == keywords(QFormer.__init__) - {"evidence_shape", "out_dim"}
    default_values(config.ReferenceConfig, QFormer.__init__, qformer - {"dim"})
    default_values(config.ReferenceConfig, ReferenceTasks.__init__, {"dropout", "keep"})
    assert names(config.ReferenceConfig) - qformer - {"dropout", "keep"} == {
        "embedder", "evidence", "freeze", "grid", "mix", "pairs", "same_picture",
    }  # fmt: skip
    assert names(config.PairsConfig) == names(PairRules)
    rules = PairRules(**asdict(config.PairsConfig()))
    assert {k: tuple(v) if isinstance(v, list) else v for k, v in asdict(rules).items()} == asdict(
        PairRules()
    )


def test_first_stage_section_is_the_patch_code() -> None:
    own = keywords(LinearPatchCode.__init__)
    assert names(config.FirstStageConfig) - {"autoencoder"} == own
    default_values(config.FirstStageConfig, LinearPatchCode, own)


def test_sections_of_a_first_stage_are_what_they_feed() -> None:
    given = {"image_size", "seed"}
    assert names(config.AutoencoderConfig) == keywords(build_kl_autoencoder) - given
    shape = names(config.AutoencoderConfig) - {"block_out_channels"}
    default_values(config.AutoencoderConfig, build_kl_autoencoder, shape)
    widths = inspect.signature(build_kl_autoencoder).parameters["block_out_channels"].default
    assert tuple(config.AutoencoderConfig().block_out_channels) == widths
    assert names(config.AutoencoderLossConfig) == keywords(AutoencoderLoss.__init__)
    default_values(
        config.AutoencoderLossConfig, AutoencoderLoss, names(config.AutoencoderLossConfig)
    )
    built = names(config.DiscriminatorConfig) - {"learning_rate"}
    assert built == keywords(PatchDiscriminator.__init__)
    default_values(config.DiscriminatorConfig, PatchDiscriminator, built)
    assert choices(config.AutoencoderLossConfig, "perceptual_net") == lpips_distance.NETS


def test_the_loops_share_the_meaning_of_their_knobs() -> None:
    """What both trainings have has one name, type and, but for the batch, one default."""
    first, main = config.FirstStageTrainConfig(), config.TrainConfig()
    shared = names(config.FirstStageTrainConfig)
    assert shared <= names(config.TrainConfig)
    same = shared - {"batch_size"}
    assert [getattr(first, n) for n in sorted(same)] == [getattr(main, n) for n in sorted(same)]


def test_data_section_is_the_augmentation() -> None:
    own = {"root", "labels", "variants", "sample_latents"}
    assert names(config.DataConfig) - own == keywords(FaceAugmentation.__init__)


def test_judge_section_is_the_recipe() -> None:
    assert names(config.JudgeSection) == {field.name for field in fields(Recipe)}
    default_values(config.JudgeSection, Recipe, names(config.JudgeSection))
    assert keywords(train_judge) >= names(config.JudgeDataConfig) - {"root"}
    default_values(config.JudgeDataConfig, train_judge, ["part", "split"])


def choices(kind: Any, name: str) -> tuple[str, ...]:
    return get_args(get_type_hints(kind)[name])


def test_choices_are_those_of_the_code() -> None:
    assert choices(config.ObjectiveConfig, "schedule") == paths.SCHEDULES
    assert choices(config.ObjectiveConfig, "prediction") == objective.PREDICTIONS
    assert choices(config.ObjectiveConfig, "weighting") == objective.WEIGHTINGS
    assert set(paths.SCHEDULES[1:]) == set(schedulers.BETAS)
    assert set(objective.PREDICTIONS) == {*schedulers.PREDICTION_TYPES, "flow"}
    assert config.RoutingConfig().preset in routing.PRESETS
    assert choices(config.JudgeSection, "backbone") == (SMALL, *BACKBONES)


@pytest.mark.parametrize("scheme", choices(config.DenoiserConfig, "positions"))
def test_every_scheme_of_positions_is_one_of_its_own(scheme: str) -> None:
    """`place` does something else for each of the names that a config may give."""
    torch.manual_seed(0)
    layer = MultiSourceAttention(
        dim=16,
        heads=2,
        condition_dim=8,
        sources=("mask",),
        present=("mask",),
        grids={"mask": 2},
        positions=scheme,
        layer_index=0,
        side=2,
    )
    query = torch.randn(1, 2, 4, 8)
    placed = layer.place(query, "mask")
    assert (scheme == "none") == (placed is query)
    if scheme in ("none", "locality"):
        assert torch.equal(placed[..., :8], query)
    assert placed.shape[-1] == 8 + positions.EXTRA_CHANNELS * (scheme == "locality")
    if scheme == "sincos":
        assert torch.allclose(placed, query + positions.sincos_features(2, 8) / 8**0.5)
    if scheme == "rotary":
        assert torch.allclose(placed, positions.rotate(query, 2))
