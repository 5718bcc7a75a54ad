"""First stage: pixels <-> latents of mean 0 and standard deviation 1 per channel.

Three named states of a picture, as in EDM2: *images* in [-1, 1], *raw latents* (what the
autoencoder gives), *latents* = (raw - mean) / std. Mean and std are measured on the data and
stored here; nothing else knows them.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils.accelerate_utils import apply_forward_hook
from einops import rearrange
from torch import Tensor, nn

from facecond.errors import UserError, nearest
from facecond.models import decoder_features
from facecond.models.autoencoder_files import find_autoencoder, load_weights
from facecond.storage import read_json

AUTOENCODERS = ("AutoencoderKL", "VQModel", "AutoencoderTiny", "AutoencoderDC")


class LinearPatchCode(ModelMixin, ConfigMixin):
    """Principal components of p x p patches, decoded from 3 x 3 neighbourhoods; no training.

    The encoder is PCA of single patches. The decoder is the least-squares map from a latent and
    its eight neighbours to the patch: the overlap removes the seams between patches.

    With all 3 p^2 channels nothing is left out and nothing fitted: latents are the pixels of a
    patch, and decoding is exact. Patch size 1 with 3 channels is pixel space.

    Args:
        patch_size: side p of a patch in pixels.
        latent_channels: components kept, at most 3 p^2.
    """

    @register_to_config
    def __init__(self, patch_size: int = 4, latent_channels: int = 12) -> None:
        super().__init__()
        width = 3 * patch_size**2
        self.encoder = nn.Conv2d(3, latent_channels, patch_size, stride=patch_size)
        self.decoder = nn.Conv2d(latent_channels, width, 3, padding=1, padding_mode="replicate")

    def encode(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] in [-1, 1] -> raw latents [B, C, H / p, W / p]."""
        return self.encoder(images)

    def decode(self, raw: Tensor) -> Tensor:
        """Raw latents [B, C, h, w] -> [B, 3, h p, w p]."""
        return nn.functional.pixel_shuffle(self.decoder(raw), self.config.patch_size)

    @torch.no_grad()
    def fit(self, images: Tensor | Iterable[Tensor], ridge: float = 1e-3) -> None:
        """Closed-form fit to images float [B, 3, H, W] in [-1, 1].

        Only sums over the patches are kept, so the images may come in batches, of any sizes.

        Args:
            images: all of them, or batches that can be gone through twice.
            ridge: added to the diagonal of the decoder's inputs, as a share of its mean.
        """
        if self.config.latent_channels == 3 * self.config.patch_size**2:
            self._keep_pixels()
            return
        batches = [images] if isinstance(images, Tensor) else images
        split = (self._patches(part) for part in batches)
        mean, _, covariance, _ = _moments((x, x[:, :0]) for x in split)
        components = torch.linalg.eigh(covariance).eigenvectors.flip(1)  # largest first
        components = components[:, : self.config.latent_channels].T  # [C, 3 p^2]
        self.encoder.weight.copy_(components.view_as(self.encoder.weight))
        self.encoder.bias.copy_(-components @ mean)  # type: ignore[union-attr]
        pairs = ((self._neighbourhoods(part), self._patches(part)) for part in batches)
        centre, mean, gram, products = _moments(pairs)
        gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        solution = torch.linalg.solve(gram, products)  # [9 C, 3 p^2]
        self.decoder.weight.copy_(solution.T.reshape(self.decoder.weight.shape))
        self.decoder.bias.copy_(mean - centre @ solution)  # type: ignore[union-attr]

    def _patches(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> [N, 3 p^2], float64."""
        p = self.config.patch_size
        return rearrange(images, "b c (h p) (w q) -> (b h w) (c p q)", p=p, q=p).double()

    def _neighbourhoods(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> the decoder's inputs for each patch [N, 9 C], float64."""
        padded = nn.functional.pad(self.encode(images), (1, 1, 1, 1), mode="replicate")
        return nn.functional.unfold(padded, 3).transpose(1, 2).flatten(0, 1).double()

    def _keep_pixels(self) -> None:
        """Not the principal components: scaled to standard deviation 1 each, as latents are, they
        would count an error of colour many times one of brightness, and pixels would not."""
        for parameter in self.parameters():
            parameter.zero_()
        same = torch.eye(self.config.latent_channels)
        self.encoder.weight.copy_(same.view_as(self.encoder.weight))
        self.decoder.weight[:, :, 1, 1] = same


def _moments(rows: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means of x [N, P] and y [N, Q], covariances of x with x [P, P] and with y [P, Q].

    The rows come in parts. Sums are taken about the first part's means, so that nothing is lost
    where the spread is small beside the mean.
    """
    count, about = 0, None
    for x, y in rows:
        if about is None:
            about = x.mean(0), y.mean(0)
            sums = [torch.zeros_like(part) for part in about]
            products = [x.new_zeros(x.shape[1], part.shape[1]) for part in (x, y)]
        x, y = x - about[0], y - about[1]
        count += len(x)
        for total, product, part in zip(sums, products, (x, y), strict=True):
            total += part.sum(0)
            product += x.T @ part
    if about is None:
        raise ValueError("there are no images to fit to")
    shift_x, shift_y = (total / count for total in sums)
    xx = products[0] / count - torch.outer(shift_x, shift_x)
    xy = products[1] / count - torch.outer(shift_x, shift_y)
    return about[0] + shift_x, about[1] + shift_y, xx, xy


class FirstStage(ModelMixin, ConfigMixin):
    """An autoencoder with the mean and standard deviation of its latents.

    Args:
        autoencoder_class: `LinearPatchCode`, or one of diffusers' `AUTOENCODERS`.
        autoencoder_config: arguments of that class.
        latents_mean, latents_std: of the raw latents, per channel; measured by `measure`.
    """

    @register_to_config
    def __init__(
        self,
        autoencoder_class: str = "LinearPatchCode",
        autoencoder_config: dict[str, Any] | None = None,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__()
        if autoencoder_class == "LinearPatchCode":
            kind: Any = LinearPatchCode
        elif autoencoder_class in AUTOENCODERS:
            kind = getattr(diffusers, autoencoder_class)
        else:
            raise UserError(
                f"unknown autoencoder class '{autoencoder_class}'",
                "first_stage",
                nearest(autoencoder_class, AUTOENCODERS),
            )
        self.autoencoder = kind.from_config(dict(autoencoder_config or {}))

    @apply_forward_hook
    def encode(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] -> latents [B, C, h, w] of mean 0 and std 1."""
        mean, std = self._moments(images)
        return (self.raw_latents(images) - mean) / std

    @property
    def is_stochastic(self) -> bool:
        """Whether a picture has a distribution of latents (only AutoencoderKL's do)."""
        return self.config.autoencoder_class == "AutoencoderKL"

    def encode_moments(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean and log variance of a picture's latents, both [B, C, h, w].

        Images [B, 3, H, W] in [-1, 1]. The mean is what `encode` gives; a latent is drawn as
        mean + exp(logvar / 2) * noise. A deterministic autoencoder has no log variance (None).
        """
        mean, std = self._moments(images)
        raw, logvar = self._raw_moments(images)
        if logvar is not None:
            logvar = logvar - 2 * std.log()  # [B, C, h, w]
        return (raw - mean) / std, logvar

    @apply_forward_hook
    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, C, h, w] -> images [B, 3, H, W] clamped to [-1, 1]."""
        decoded = self.autoencoder.decode(self._to_raw(latents))
        return getattr(decoded, "sample", decoded).clamp(-1, 1)

    def decoder_features(
        self, latents: Tensor, count: int | None = None, recompute: bool = False
    ) -> list[Tensor]:
        """Feature maps [B, F, H', W'] of the decoder, from the latent side on.

        The patch code has one: the picture [B, 3, H, W] itself, not clamped. The others:
        `decoder_features.py`. Gradients reach the latents.

        Args:
            latents: [B, C, h, w].
            count: how many at most; the decoder runs no further than the last of them.
            recompute: spend time in place of memory in the backward pass.
        """
        raw = self._to_raw(latents)
        if isinstance(self.autoencoder, LinearPatchCode):
            return [self.autoencoder.decode(raw)][:count]
        return list(islice(decoder_features.stages(self.autoencoder, raw, recompute), count))

    def raw_latents(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] -> raw latents [B, C, h, w]; a distribution's mode."""
        return self._raw_moments(images)[0]

    def _raw_moments(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Raw latents and, of a distribution, their log variance, both [B, C, h, w]."""
        encoded = self.autoencoder.encode(images.to(self.dtype))
        if hasattr(encoded, "latent_dist"):  # AutoencoderKL
            return encoded.latent_dist.mode(), encoded.latent_dist.logvar
        for name in ("latents", "latent"):  # VQModel and AutoencoderTiny; AutoencoderDC
            encoded = getattr(encoded, name, encoded)
        return encoded, None

    def _to_raw(self, latents: Tensor) -> Tensor:
        mean, std = self._moments(latents)
        return (latents * std + mean).to(self.dtype)

    @torch.no_grad()
    def measure(self, batches: Iterable[Tensor]) -> None:
        """Measure the mean and std of the raw latents over batches of images and store them."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for images in batches:
            raw = rearrange(self.raw_latents(images), "b c h w -> c (b h w)").double()
            count += raw.shape[1]
            total = total + raw.sum(1)
            squares = squares + raw.square().sum(1)
        mean = total / count
        std = (squares / count - mean.square()).clamp_min(1e-12).sqrt()
        if not (torch.isfinite(mean).all() and torch.isfinite(std).all()):
            raise UserError(
                "the latents of some picture hold NaN or infinity",
                "first_stage",
                "Take other weights; half precision may overflow.",
            )
        self.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.latents_mean is None:
            raise RuntimeError("measure() comes before encode() and decode()")
        values = (self.config.latents_mean, self.config.latents_std)
        mean, std = (torch.tensor(v, device=like.device).view(1, -1, 1, 1) for v in values)
        return mean, std


def fit_linear(
    images: Tensor | Iterable[Tensor], patch_size: int = 4, latent_channels: int = 12
) -> FirstStage:
    """A linear patch code fitted to images (see `LinearPatchCode.fit`); its scale is unmeasured.

    Raises:
        UserError: patches or channels that do not fit the pictures.
    """
    shape = next(iter([images] if isinstance(images, Tensor) else images)).shape[-2:]
    if any(length % patch_size for length in shape) or not (
        0 < latent_channels <= 3 * patch_size**2
    ):
        raise UserError(
            f"patch_size {patch_size} and latent_channels {latent_channels} do not fit "
            f"{min(shape)} px pictures",
            "first_stage",
            "The patch divides the picture; at most 3 patch_size^2 channels.",
        )
    options = {"patch_size": patch_size, "latent_channels": latent_channels}
    stage = FirstStage("LinearPatchCode", options)
    stage.autoencoder.fit(images)
    return stage.requires_grad_(False).eval()


def load_autoencoder(path: str) -> FirstStage:
    """A pretrained autoencoder by local folder or hub id: one of diffusers' `AUTOENCODERS`, whose
    scale is then unmeasured, a saved `FirstStage`, or a pipeline that holds either.

    Raises:
        UserError: nothing there, a class that is not known, or weights that do not load.
    """
    folder = find_autoencoder(path)
    name = _class_in(folder, "_class_name", (FirstStage.__name__, *AUTOENCODERS))
    if name == FirstStage.__name__:
        return load(folder)
    kind = getattr(diffusers, name)
    autoencoder = load_weights(kind, folder, path)
    known = inspect.signature(kind.__init__).parameters
    arguments = {key: value for key, value in autoencoder.config.items() if key in known}
    stage = FirstStage(name, arguments)
    stage.autoencoder = autoencoder
    return stage.requires_grad_(False).eval()


def load(path: str | Path) -> FirstStage:
    """A first stage that `save_pretrained` wrote.

    Raises:
        UserError: its files are damaged or hold NaN, or its autoencoder's class is not known.
    """
    _class_in(Path(path), "autoencoder_class", (LinearPatchCode.__name__, *AUTOENCODERS))
    return load_weights(FirstStage, Path(path), path)


def _class_in(folder: Path, key: str, known: tuple[str, ...]) -> str:
    """The class that a folder's config names under `key`; `UserError` unless it is a known one."""
    place = folder / "config.json"
    config = read_json(place)
    if not isinstance(config, dict) or key not in config:
        raise UserError(f"has no '{key}'", place, f"Choose from: {', '.join(known)}.")
    name = str(config[key])
    if name not in known:
        raise UserError(f"'{key}' is an unknown '{name}'", place, nearest(name, known))
    return name
