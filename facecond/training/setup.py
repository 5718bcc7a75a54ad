"""From a resolved config to the parts of a training: data, first stage, latent cache, denoiser."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from facecond.config import FirstStageRunConfig, RunConfig
from facecond.data.augmentation import FaceAugmentation
from facecond.data.fit_images import FitImages
from facecond.data.latents import LatentCache, build_latent_cache
from facecond.data.prepared import PreparedFolder
from facecond.devices import has_fast_bf16
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import log_snr_of
from facecond.diffusion.perceptual import LatentPerceptualLoss
from facecond.errors import UserError
from facecond.models import first_stage as first_stages
from facecond.models.denoiser import Denoiser, build_denoiser
from facecond.models.first_stage import FirstStage
from facecond.models.pixels import to_network
from facecond.models.routing import (
    KNOWN,
    Layer,
    RankChoice,
    Routing,
    load_routing,
    parse_rules,
    preset,
)
from facecond.storage import atomic_folder, hash_of, make_folder, read_json, sha256, write_json
from facecond.training.references import References


def check_length(config: RunConfig | FirstStageRunConfig) -> None:
    """Raise `UserError` unless the run has a length."""
    if config.train.steps <= 0 and config.train.minutes <= 0:
        raise UserError("no length is given", "train", "Set train.steps or train.minutes.")


def check_patches(config: RunConfig, image_size: int) -> None:
    """Raise `UserError` unless the linear patch code fits the pictures."""
    patch, channels = config.first_stage.patch_size, config.first_stage.latent_channels
    if image_size % patch or not 0 < channels <= 3 * patch**2:
        raise UserError(
            f"patch_size {patch} and latent_channels {channels} do not fit "
            f"{image_size} px pictures",
            "first_stage",
            "The patch divides the picture; at most 3 patch_size^2 channels.",
        )


def uses_bf16(config: RunConfig | FirstStageRunConfig, device: str) -> bool:
    """Whether to multiply in bfloat16: as told, or where the kind of device does it fast."""
    if config.train.precision != "auto":
        return config.train.precision == "bf16"
    return has_fast_bf16(device)


def open_data(config: RunConfig | FirstStageRunConfig) -> PreparedFolder:
    """The prepared folder that the config names, with the labels that it asks for."""
    if not config.data.root:
        raise UserError("no data folder is named", "data.root", "Add --set data.root=DIR.")
    labels = config.data.labels if isinstance(config, RunConfig) else "true"
    return PreparedFolder.open(config.data.root, labels)


def names_of(folder: PreparedFolder, positions: Sequence[torch.Tensor]) -> list[str]:
    """Names of the faces at these positions, [B] each, of the training split."""
    rows = folder.indices("generator")
    return [folder.names[rows[place]] for part in positions for place in part.tolist()]


def check_sampling(config: RunConfig, stochastic: bool) -> None:
    """Raise `UserError` when latents are to be drawn but the first stage has no distribution."""
    if config.data.sample_latents and not stochastic:
        what = "the first stage is deterministic: there is nothing to sample"
        raise UserError(what, "data.sample_latents", "Set it to false.")


def check_sizes(config: RunConfig, image_size: int) -> None:
    """Raise `UserError` where the config's own first stage does not fit pictures of this size."""
    if config.first_stage.autoencoder == "linear":
        check_patches(config, image_size)
        check_sampling(config, stochastic=False)


def latent_shape(config: RunConfig, folder: PreparedFolder) -> tuple[int, int, int]:
    """Channels, height and width of the latents that the config asks for."""
    side = folder.image_size // config.first_stage.patch_size
    return config.first_stage.latent_channels, side, side


def first_stage_for(
    config: RunConfig,
    folder: PreparedFolder,
    out: Path,
    given: Path | None = None,
    given_hash: str | None = None,
) -> FirstStage:
    """Fit or load the first stage, measure its scale on the data, keep it in `out`.

    What is kept in `out` is used again only if the data and the settings are the same.

    Nothing is written before it is found to fit the config.

    Args:
        config, folder: of the run.
        out: where it is kept.
        given: a first stage to use with its scale, in place of an own one.
        given_hash: its hash; `given` may be left out where `out` keeps it already.
    """
    settings = dataclasses.asdict(config.first_stage)
    identity = {"data_hash": folder.data_hash, "settings": settings}
    if given_hash is not None:
        identity["given"] = given_hash
    if (out / "identity.json").is_file() and read_json(out / "identity.json") == identity:
        return first_stages.load(out)
    if given_hash is not None and given is None:
        raise UserError(
            "the first stage that the run began with is gone", out, "Give --init again."
        )
    if given is not None:
        stage = first_stages.load(given)
    elif config.first_stage.autoencoder == "linear":
        check_patches(config, folder.image_size)
        options = {key: settings[key] for key in ("patch_size", "latent_channels")}
        stage = first_stages.fit_linear(FitImages(folder), **options)
    else:
        stage = first_stages.load_autoencoder(config.first_stage.autoencoder)
    if given is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        stage.to(device)
        stage.measure(batch.to(device) for batch in FitImages(folder))
    stage.requires_grad_(False).eval().cpu()
    (picture,) = FitImages(folder, limit=1)
    found, expected = tuple(stage.encode(picture).shape[1:]), latent_shape(config, folder)
    if found != expected:
        raise UserError(
            f"its latents are {found} where {expected} is expected",
            config.first_stage.autoencoder,
            "Correct first_stage.latent_channels and first_stage.patch_size.",
        )
    check_sampling(config, stage.is_stochastic)
    make_folder(out.parent)
    with atomic_folder(out) as temporary:
        stage.save_pretrained(temporary)
        write_json(temporary / "identity.json", identity)
    return stage


def first_stage_hash(path: Path) -> str:
    """Hash of a saved first stage: its weights and its scale."""
    config = {k: v for k, v in read_json(path / "config.json").items() if k[0] != "_"}
    weights = [sha256(file) for file in sorted(path.glob("*.safetensors"))]
    return hash_of([config, weights])


def latent_cache_for(
    config: RunConfig, folder: PreparedFolder, stage: FirstStage, stage_path: Path, out: Path
) -> LatentCache:
    """The cache of the generator's split, built where it is missing or stale."""
    check_sampling(config, stage.is_stochastic)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stage.to(device)

    @torch.no_grad()
    def encode(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        return stage.encode_moments(to_network(pixels.to(device)))

    data = config.data
    augmentation = None
    if data.variants > 1:
        # A flip alone is not left to chance: the second variant is the mirror of the first.
        chance = 0.5 if data.affine or data.jitter else 1.0
        augmentation = FaceAugmentation(data.flip * chance, data.affine, data.jitter)
    cache = build_latent_cache(
        folder,
        "generator",
        encode,
        out,
        first_stage_hash=first_stage_hash(stage_path),
        latent_shape=latent_shape(config, folder),
        variants=data.variants,
        augmentation=augmentation,
        seed=config.train.seed,
    )
    return cache.sampling(config.train.seed) if data.sample_latents else cache


def perceptual_loss_for(
    config: RunConfig, objective: Objective, stage: FirstStage
) -> LatentPerceptualLoss | None:
    """The latent perceptual loss on the first stage's decoder; None where its weight is 0."""
    if config.perceptual.weight == 0:
        return None
    features = partial(stage.decoder_features, recompute=config.train.gradient_checkpointing)
    return LatentPerceptualLoss(features, objective, **dataclasses.asdict(config.perceptual))


def denoiser_for(
    config: RunConfig,
    image_size: int,
    latent_shape: tuple[int, int, int],
    references: References | None = None,
) -> Denoiser:
    """A new denoiser for latents [C, h, w] of pictures of `image_size`.

    Args:
        references: what its reference is read with; None loads that anew where it is needed.
    """
    references = references or References(config, image_size, latent_shape)
    return build_denoiser(
        image_size=image_size,
        latent_size=latent_shape[1],
        latent_channels=latent_shape[0],
        **dataclasses.asdict(config.denoiser),
        reference=references.arguments,
        guidance_ranges=config.few_step.guidance if config.few_step.teacher else None,
        route=partial(route, config),
        seed=config.train.seed,
    )


def route(config: RunConfig, layers: Sequence[Layer]) -> Routing:
    """The routing that the config asks for, over these layers.

    Raises:
        UserError: more than one of preset's sources, rules and a file decides, or a routing that
            does not fit the layers.
    """
    wanted, schedule = config.routing, config.objective.schedule
    of_tau = partial(log_snr_of, schedule)
    sources = wanted.sources
    if wanted.file and wanted.rules:
        raise UserError("both rules and a file are given", "routing", "Keep one of them.")
    if wanted.file and sources is not None:
        raise UserError(
            "the file says which sources it routes", "routing.sources", "Leave it out, or the file."
        )
    if wanted.file:
        return load_routing(wanted.file, layers, of_tau, wanted.combine)
    if wanted.rules:
        rules = parse_rules(wanted.rules, layers, "routing.rules", of_tau)
        if sources is None:
            named = {rule.source for rule in rules}
            sources = [source for source in KNOWN if source in named]
        return Routing("custom", tuple(layers), rules, tuple(sources), wanted.combine)
    rank = RankChoice(wanted.sensitivity, wanted.fraction, wanted.seed)
    return preset(wanted.preset, layers, sources, wanted.combine, of_tau, rank)
