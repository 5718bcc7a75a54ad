"""Evidence: what a frozen picture encoder sees of a reference face, as tokens.

| spec | tokens |
|---|---|
| `latents` | the first stage's latents, in cells of a grid: the default, it needs no weights |
| `classifier:PATH` | feature map of an attribute classifier, stride 8 |
| `timm:NAME:PATH` | patch tokens or feature map of a timm model (DINOv2, CLIP, ...) |
| `timm:NAME` | the same, weights from the hub |

Maps that are finer than the grid are averaged to it: DINOv2's 37 x 37 patches, kept for 30,000
faces, would take 32 GB, and 1.5 GB as 8 x 8.

The encoder is saved with the model, so the licence of its weights holds for the model (DINOv2's is
Apache-2.0; a classifier's is that of its data). It must not be the classifier that scores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import isqrt
from typing import Any

import numpy as np
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from facecond.errors import UserError, nearest, reason
from facecond.models.judges import AttributeClassifier, load_classifier, weights_file
from facecond.models.weights_hash import weights_hash
from facecond.storage import sha256

KINDS = ("latents", "classifier", "timm")
MARGIN = 1.1
"""On the distance that a thousandth of the training's faces exceed."""

_BATCH = 64


class EvidenceEncoder(ModelMixin, ConfigMixin):
    """Reference picture -> evidence tokens; frozen.

    Args:
        kind: one of `KINDS`.
        grid: side of the grid of cells that latents are cut into.
        network: arguments of the classifier, or `{"name", "size"}` of a timm model.
        weights: SHA-256 of the file that the weights came from, or of the hub's weights; empty for
            latents.
        tokens: number and width of the tokens, N and E.
        pooled: side of the grid that a finer map is averaged to; 0 keeps it as it is.

    Attributes:
        mean, std: of the evidence of the training's faces, [N, E].
        limit: distance from them (`distance`) beyond which nearly none of those faces lies;
            infinite before `measure`.
    """

    @register_to_config
    def __init__(
        self,
        kind: str = "latents",
        grid: int = 8,
        network: dict[str, Any] | None = None,
        weights: str = "",
        tokens: tuple[int, int] = (1, 1),
        pooled: int = 0,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(*tokens))
        self.register_buffer("std", torch.ones(*tokens))
        self.register_buffer("limit", torch.tensor(torch.inf))
        if kind == "classifier":
            self.model: Any = AttributeClassifier.from_config(dict(network or {}))
        elif kind == "timm":
            self.model = _timm_model(dict(network or {})["name"])
            options = _timm_options(self.model)
            self.register_buffer("pixel_mean", torch.tensor(options["mean"]).view(3, 1, 1))
            self.register_buffer("pixel_std", torch.tensor(options["std"]).view(3, 1, 1))
        elif kind != "latents":
            raise UserError(
                f"unknown evidence '{kind}'", "reference.evidence", nearest(kind, KINDS)
            )

    @torch.no_grad()
    def forward(self, pictures: Tensor, latents: Tensor) -> Tensor:
        """Evidence tokens float32 [B, N, E].

        Args:
            pictures: [B, 3, H, W] in [-1, 1].
            latents: of the pictures, [B, C, h, w], standardised.
        """
        if self.config.kind == "latents":
            cell = latents.shape[-1] // self.config.grid
            return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=cell, q=cell).float()
        tokens = (
            self._classified(pictures) if self.config.kind == "classifier" else self._timm(pictures)
        )
        tokens = _averaged(tokens.float(), self.config.pooled)  # [B, N, E]
        return functional.layer_norm(tokens, tokens.shape[-1:])  # [B, N, E]

    def measure(self, evidence: np.ndarray) -> None:
        """Learn what the evidence of faces [n, N, E] is like, a batch of them at a time.

        One face tells nothing of others: then no picture counts as strange.
        """
        count = len(evidence)
        if count < 2:
            return

        def batches() -> Iterator[Tensor]:
            for start in range(0, count, _BATCH):
                part = np.asarray(evidence[start : start + _BATCH], np.float32)
                yield torch.from_numpy(part).to(self.device)  # [B, N, E]

        mean = torch.zeros_like(self.mean, dtype=torch.double)  # [N, E]
        squares = mean.clone()
        for part in batches():
            mean += part.sum(0, dtype=torch.double) / count
        for part in batches():
            squares += (part - mean).square().sum(0)
        self.mean.copy_(mean)
        self.std.copy_((squares / (count - 1)).sqrt().clamp(min=1e-3))
        distances = torch.cat([self.distance(part) for part in batches()])
        self.limit.copy_(MARGIN * torch.quantile(distances, 0.999))

    def distance(self, evidence: Tensor) -> Tensor:
        """How far evidence [B, N, E] is from that of the training's faces, [B]; for those about 1.

        Root mean square of the standardised evidence, or its inverse where that is below 1: a blank
        picture is too near the mean to be a face.
        """
        spread = ((evidence - self.mean) / self.std).square().mean((1, 2)).sqrt()  # [B]
        return torch.maximum(spread, 1 / spread.clamp(min=1e-6))

    def _classified(self, pictures: Tensor) -> Tensor:
        size = self.model.config.image_size
        resized = _resized(pictures, size).to(self.model.dtype)
        features = self.model.trunk(resized)  # [B, W, size / 8, size / 8]
        return rearrange(features, "b c h w -> b (h w) c")  # [B, N, E]

    def _timm(self, pictures: Tensor) -> Tensor:
        pictures = _resized(pictures, dict(self.config.network)["size"])
        normalised = (pictures / 2 + 0.5 - self.pixel_mean) / self.pixel_std
        dtype = next(self.model.parameters()).dtype
        features = self.model.forward_features(normalised.to(dtype))
        if features.ndim == 4:  # a convolutional network
            return rearrange(features, "b c h w -> b (h w) c")  # [B, N, E]
        return features[:, getattr(self.model, "num_prefix_tokens", 0) :]  # [B, N, E]


def load_evidence(
    spec: str, image_size: int, latent_shape: tuple[int, int, int], grid: int = 8
) -> EvidenceEncoder:
    """An encoder from its spec (see the table above), for pictures of one size.

    Args:
        latent_shape: channels, height, width of their latents.
        grid: side of the grid of tokens. Of latents a divisor of their side, or it is that side; a
            map of features that is finer is averaged to it.

    Raises:
        UserError: an unknown spec, a grid that does not fit, weights that cannot be read.
    """
    kind, _, rest = spec.partition(":")
    settings: dict[str, Any] = {"kind": kind}
    weights = None
    if kind == "latents" and not rest:
        settings["grid"] = _fitting(grid, latent_shape[1])
    elif kind == "classifier" and rest:
        classifier = load_classifier(rest)
        settings["network"] = {k: v for k, v in classifier.config.items() if k[0] != "_"}
        settings["weights"], settings["pooled"] = _hash_of_weights(rest), grid
        weights = classifier.state_dict()
    elif kind == "timm" and rest:
        name, _, path = rest.partition(":")
        network = _trained_timm(name, path)
        side = int(_timm_options(network)["input_size"][-1])
        settings["network"] = {"name": name, "size": side}
        settings["weights"] = sha256(path) if path else weights_hash(network)
        settings["pooled"] = grid
        weights = network.state_dict()
    else:
        words = "latents, classifier:PATH, timm:NAME:PATH or timm:NAME"
        advice = nearest(kind, KINDS) if kind not in KINDS else f"Write {words}."
        raise UserError(f"unknown evidence '{spec}'", "reference.evidence", advice)
    probe = EvidenceEncoder(**settings)
    pictures = torch.zeros(1, 3, image_size, image_size, device=probe.device)
    tokens = probe.eval()(pictures, torch.zeros(1, *latent_shape, device=probe.device))
    encoder = EvidenceEncoder(**settings, tokens=tuple(tokens.shape[1:]))
    if weights is not None:
        encoder.model.load_state_dict(weights)
    return encoder.requires_grad_(False).eval()


def _fitting(grid: int, side: int) -> int:
    grid = min(grid, side)
    if side % grid:
        what = f"grid {grid} does not divide the latents' side {side}"
        raise UserError(what, "reference.grid", "Use a divisor.")
    return grid


def _hash_of_weights(folder: str) -> str:
    file = weights_file(folder)
    assert file is not None  # it was just read
    return sha256(file)


def _trained_timm(name: str, path: str) -> nn.Module:
    import timm

    options: dict[str, Any] = {"pretrained": True, "num_classes": 0}
    if path:
        if not os.path.isfile(path):
            raise UserError("there is no such file", path, f"Give timm's weights of {name}.")
        options["pretrained_cfg_overlay"] = {"file": path}
    _timm_model(name)  # an unknown name is told apart from unreadable weights
    try:
        return timm.create_model(name, **options)
    except Exception as error:  # timm, torch, safetensors and the hub raise many kinds
        what = f"its weights cannot be read ({reason(error)})"
        raise UserError(what, path or f"timm:{name}", f"Give timm's weights of {name}.") from None


def _timm_model(name: str) -> nn.Module:
    try:
        import timm
    except ImportError:
        fix = "Run: pip install 'facecond[metrics]'"
        raise UserError("timm is not installed", f"timm:{name}", fix) from None
    if not timm.is_model(name):
        close = nearest(name, timm.list_models())
        advice = close if close.startswith("Did") else "timm.list_models() names them."
        raise UserError(f"timm has no model '{name}'", "reference.evidence", advice)
    return timm.create_model(name, pretrained=False, num_classes=0)


def _timm_options(network: nn.Module) -> dict[str, Any]:
    import timm

    return timm.data.resolve_model_data_config(network)


def _averaged(tokens: Tensor, grid: int) -> Tensor:
    """Tokens [B, N, E] of a square map, averaged to a grid that is coarser; 0 is none."""
    side = isqrt(tokens.shape[1])
    if not 0 < grid < side or side**2 != tokens.shape[1]:
        return tokens
    cells = rearrange(tokens, "b (h w) c -> b c h w", h=side)
    return rearrange(functional.adaptive_avg_pool2d(cells, grid), "b c h w -> b (h w) c")


def _resized(pictures: Tensor, size: int) -> Tensor:
    if pictures.shape[-1] == size:
        return pictures
    return functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True)
