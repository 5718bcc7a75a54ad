"""Beginning the training of a denoiser from a saved model, and whose latents are then used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from facecond.boxed import model_folder
from facecond.config import RunConfig
from facecond.errors import UserError, reason
from facecond.models import first_stage as first_stages
from facecond.storage import hash_of, read_json, sha256
from facecond.training.setup import first_stage_hash
from facecond.training.transfer import check_origin, take_over

PARTS = ("unet", "condition_encoder")
PROJECTIONS = ("proj_in.weight", "proj_out.weight")
"""Matrices around a transformer, [out, in]; in older models 1 x 1 convolutions."""


@dataclass(frozen=True)
class Source:
    """A saved model to begin with: its folder and the hash of its weights."""

    path: Path
    hash: str

    @classmethod
    def open(cls, path: str | Path) -> Source:
        """A model folder, the run folder that holds one, or `boxed`.

        Raises:
            UserError: neither.
        """
        for folder in (model_folder(path), Path(path) / "model"):
            if (folder / "model_index.json").is_file():
                files = [f for part in PARTS for f in sorted((folder / part).glob("*.safetensors"))]
                named = [[file.relative_to(folder).as_posix(), sha256(file)] for file in files]
                return cls(folder, hash_of([named, first_stage_hash(folder / "first_stage")]))
        fix = "Name a model folder, or the run folder of a finished training."
        raise UserError("there is no model (no model_index.json)", path, fix)

    @property
    def first_stage(self) -> Path:
        """Folder of the model's first stage."""
        return self.path / "first_stage"

    def weights(self) -> dict[str, Tensor]:
        """Weights of the denoiser, by their names in `Denoiser`.

        Raises:
            UserError: a file is missing or damaged, or holds NaN.
        """
        weights: dict[str, Tensor] = {}
        for part in PARTS:
            files = sorted((self.path / part).glob("*.safetensors"))
            if not files:
                raise UserError("its weights are missing", self.path / part, "Copy it anew.")
            for file in files:
                try:
                    loaded = load_file(file)
                except Exception as error:  # safetensors raises many kinds
                    what = f"cannot be read ({reason(error)})"
                    raise UserError(what, file, "Copy it anew.") from None
                for name, tensor in loaded.items():
                    if not torch.isfinite(tensor).all():
                        raise UserError(f"{name} holds NaN or infinity", file, "Train it anew.")
                    if name.endswith(PROJECTIONS):
                        tensor = tensor.flatten(1)
                    weights[f"{part}.{name}"] = tensor
        return weights

    def has_first_stage_of(self, config: RunConfig) -> bool:
        """Whether the model's latents are those that the config asks for.

        A linear code is the same when its patches and channels are: it is not fitted anew. Of a
        pretrained autoencoder the weights must be the same.
        """
        stage = first_stages.load(self.first_stage)
        wanted = config.first_stage
        if wanted.autoencoder == "linear":
            sizes = {"patch_size": wanted.patch_size, "latent_channels": wanted.latent_channels}
            is_linear = stage.config.autoencoder_class == "LinearPatchCode"
            return is_linear and sizes.items() <= dict(stage.autoencoder.config).items()
        named = first_stages.load_autoencoder(wanted.autoencoder).autoencoder
        if type(named) is not type(stage.autoencoder):
            return False
        theirs, ours = stage.autoencoder.state_dict(), named.state_dict()
        return theirs.keys() == ours.keys() and all(
            theirs[n].shape == ours[n].shape and torch.equal(theirs[n], ours[n]) for n in ours
        )

    def warnings(self, config: RunConfig, same_latents: bool) -> list[str]:
        """What makes the weights mean something else in this run."""
        found = []
        if not same_latents:
            found.append(
                "its latents are those of another first stage than first_stage names: the layers "
                "next to them begin with the wrong meaning"
            )
        trained = read_json(self.path / "model_index.json")
        for name in ("schedule", "prediction"):
            wanted = getattr(config.objective, name)
            if trained.get(name) != wanted:
                found.append(f"it was trained with {name} {trained.get(name)}, not {wanted}")
        ranges = read_json(self.path / "unet" / "config.json").get("guidance_ranges")
        if ranges is not None and ranges != (config.few_step.guidance or None):
            found.append(f"it was distilled, for other steps than these (guidance {ranges})")
        return found


@dataclass(frozen=True)
class Beginning:
    """What a run begins with.

    Attributes:
        source: the saved model, where it was named.
        record: what `run.json` says about it: path, hash, hash of the first stage where the run
            uses the model's, and the counts of the transfer. None: the run begins from nothing.
        warnings: what to tell the user.
    """

    source: Source | None = None
    record: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def first_stage_hash(self) -> str | None:
        """Hash of the model's first stage, where the run uses it."""
        return self.record["first_stage"] if self.record else None

    @property
    def first_stage_path(self) -> Path | None:
        """Folder of the model's first stage, where the run uses it and the model is named."""
        used = self.source is not None and self.first_stage_hash is not None
        return self.source.first_stage if self.source is not None and used else None

    def fill(self, module: nn.Module) -> str:
        """Put the model's weights into a new denoiser and record it; returns the report."""
        assert self.source is not None and self.record is not None
        transfer = take_over(module, self.source.weights(), self.source.path)
        self.record["tensors"] = transfer.counts
        lines = [transfer.report(self.source.path), *(f"  warning: {w}" for w in self.warnings)]
        return "\n".join(lines)


def beginning(
    init: str | Path | None,
    config: RunConfig,
    out: Path,
    before: dict[str, Any] | None,
    has_state: bool,
) -> Beginning:
    """What a run begins with, also when it goes on: then its own record says so.

    Args:
        init: model folder or run folder that the user names; None for none.
        config: of the run.
        out: run folder.
        before: what `run.json` or the checkpoint says of a run that goes on; None for a new one.
        has_state: whether it goes on from a checkpoint, so that weights need no source.

    Raises:
        UserError: no model there; the run was begun otherwise; it has no checkpoint and its source
            is not named.
    """
    source = Source.open(init) if init else None
    recorded = check_origin(before, source.hash if source else None, out, has_state)
    if recorded is not None:
        return Beginning(source, recorded)
    if source is None:
        return Beginning()
    same = source.has_first_stage_of(config)
    record = {
        "path": str(source.path),
        "hash": source.hash,
        "first_stage": first_stage_hash(source.first_stage) if same else None,
    }
    return Beginning(source, record, tuple(source.warnings(config, same)))
