"""Evidence: what a frozen picture encoder sees of a reference face, as tokens.

| spec | tokens |
|---|---|
| `latents` | the first stage's latents, in cells of a grid: the default, it needs no weights |
| `classifier:PATH` | feature map of an attribute classifier, stride 8 |
| `timm:NAME:PATH` | patch tokens or feature map of a timm model (DINOv2, CLIP, ...) |
| `timm:NAME` | the same, weights from the hub |

The encoder is saved with the model, so the licence of its weights holds for the model (DINOv2's is
Apache-2.0; a classifier's is that of its data). It must not be the classifier that scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from facecond.errors import UserError, nearest, reason
from facecond.models.judges import AttributeClassifier, load_classifier, weights_file
from facecond.storage import sha256

KINDS = ("latents", "classifier", "timm")


class EvidenceEncoder(ModelMixin, ConfigMixin):
    """Reference picture -> evidence tokens; frozen.

    Args:
        kind: one of `KINDS`.
        grid: side of the grid of cells that latents are cut into.
        network: arguments of the classifier, or `{"name", "size"}` of a timm model.
        weights: SHA-256 of the file that the weights came from; empty for latents.
    """

    @register_to_config
    def __init__(
        self,
        kind: str = "latents",
        grid: int = 8,
        network: dict[str, Any] | None = None,
        weights: str = "",
    ) -> None:
        super().__init__()
        if kind == "classifier":
            self.network: Any = AttributeClassifier.from_config(dict(network or {}))
        elif kind == "timm":
            self.network = _timm_model(dict(network or {})["name"])
            options = _timm_options(self.network)
            self.register_buffer("mean", torch.tensor(options["mean"]).view(3, 1, 1))
            self.register_buffer("std", torch.tensor(options["std"]).view(3, 1, 1))
        elif kind == "latents":  # a module without tensors could not be saved
            self.register_buffer("nothing", torch.zeros(1))
        else:
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
        return functional.layer_norm(tokens.float(), tokens.shape[-1:])  # [B, N, E]

    def shape(self, image_size: int, latent_shape: tuple[int, int, int]) -> tuple[int, int]:
        """Number and width of the tokens of a picture of this size."""
        like = torch.zeros(1, 3, image_size, image_size, device=self.device)
        latents = torch.zeros(1, *latent_shape, device=self.device)
        tokens = self(like, latents)
        return tokens.shape[1], tokens.shape[2]

    def _classified(self, pictures: Tensor) -> Tensor:
        size = self.network.config.image_size
        features = self.network.trunk(_resized(pictures, size))  # [B, W, size / 8, size / 8]
        return rearrange(features, "b c h w -> b (h w) c")  # [B, N, E]

    def _timm(self, pictures: Tensor) -> Tensor:
        pictures = _resized(pictures, dict(self.config.network)["size"])
        features = self.network.forward_features((pictures / 2 + 0.5 - self.mean) / self.std)
        if features.ndim == 4:  # a convolutional network
            return rearrange(features, "b c h w -> b (h w) c")  # [B, N, E]
        return features[:, getattr(self.network, "num_prefix_tokens", 0) :]  # [B, N, E]


def load_evidence(spec: str, latent_size: int, grid: int = 8) -> EvidenceEncoder:
    """An encoder from its spec (see the table above).

    Args:
        latent_size: side of the latents, a multiple of the grid.
        grid: see `EvidenceEncoder`; at most `latent_size`.

    Raises:
        UserError: an unknown spec, a grid that does not fit, weights that cannot be read.
    """
    kind, _, rest = spec.partition(":")
    if kind == "latents" and not rest:
        grid = min(grid, latent_size)
        if latent_size % grid:
            raise UserError(
                f"grid {grid} does not divide the latents' side {latent_size}",
                "reference.grid",
                "Use a divisor.",
            )
        return EvidenceEncoder("latents", grid).requires_grad_(False).eval()
    if kind == "classifier" and rest:
        classifier = load_classifier(rest)
        settings = {k: v for k, v in classifier.config.items() if not k.startswith("_")}
        encoder = EvidenceEncoder("classifier", 0, settings, _hash_of_weights(rest))
        encoder.network.load_state_dict(classifier.state_dict())
        return encoder.requires_grad_(False).eval()
    if kind == "timm" and rest:
        name, _, path = rest.partition(":")
        return _load_timm(name, path).requires_grad_(False).eval()
    words = "latents, classifier:PATH, timm:NAME:PATH or timm:NAME"
    advice = nearest(kind, KINDS) if kind not in KINDS else f"Write {words}."
    raise UserError(f"unknown evidence '{spec}'", "reference.evidence", advice)


def _hash_of_weights(folder: str) -> str:
    file = weights_file(folder)
    assert file is not None  # it was just read
    return sha256(file)


def _load_timm(name: str, path: str) -> EvidenceEncoder:
    import timm

    options: dict[str, Any] = {"pretrained": True, "num_classes": 0}
    if path:
        if not Path(path).is_file():
            raise UserError("there is no such file", path, f"Give timm's weights of {name}.")
        options["pretrained_cfg_overlay"] = {"file": path}
    _timm_model(name)  # an unknown name is told apart from unreadable weights
    try:
        network = timm.create_model(name, **options)
    except Exception as error:  # timm, torch, safetensors and the hub raise many kinds
        what = f"its weights cannot be read ({reason(error)})"
        raise UserError(what, path or f"timm:{name}", f"Give timm's weights of {name}.") from None
    size = int(_timm_options(network)["input_size"][-1])
    settings = {"name": name, "size": size}
    encoder = EvidenceEncoder("timm", 0, settings, sha256(Path(path)) if path else "")
    encoder.network.load_state_dict(network.state_dict())
    return encoder


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


def _resized(pictures: Tensor, size: int) -> Tensor:
    if pictures.shape[-1] == size:
        return pictures
    return functional.interpolate(pictures, (size, size), mode="bilinear", antialias=True)
