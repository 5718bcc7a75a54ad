"""Features of pictures for distances between sets: of the judge, of Inception, of timm models.

A distance is named after its features. Only those of clean-fid's Inception, on pictures resized as
clean-fid does, give an FID and a KID.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facecond.errors import UserError, nearest, reason
from facecond.models.judges import AttributeClassifier
from facecond.models.pixels import pictures_to_network
from facecond.storage import sha256

KINDS = ("judge", "inception:PATH", "timm:NAME:PATH")
INCEPTION_FILE = "inception-2015-12-05.pt"
_INCEPTION_BYTES = 80_000_000
"""The 21.8 million weights of Inception v3 take more than this as float32; another file is none."""
_BATCH = 32


@dataclass(frozen=True)
class Extractor:
    """Pictures -> features.

    Attributes:
        name: of the features.
        frechet: what the Fréchet distance of these features is called.
        kernel: what their kernel distance is called.
        weights: SHA-256 of the file with the weights; empty for the judge, which has its own hash.
        prepare: uint8 [B, H, W, 3] -> the network's input, on its device.
        network: its input -> features [B, D].
    """

    name: str
    frechet: str
    kernel: str
    weights: str
    prepare: Callable[[np.ndarray], Tensor]
    network: Callable[[Tensor], Tensor]

    @torch.inference_mode()
    def features(self, images: np.ndarray) -> np.ndarray:
        """Pictures uint8 [B, H, W, 3] -> features float32 [B, D], for any B at the memory of 32."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"pictures are uint8 [B, H, W, 3], not {images.dtype} {images.shape}")
        parts = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
        found = [self.network(self.prepare(part)).flatten(1).float().cpu() for part in parts]
        return torch.cat(found).numpy()


def load_extractor(spec: str, classifier: AttributeClassifier) -> Extractor:
    """Read an extractor onto the classifier's device.

    Args:
        spec: `judge`: the classifier's own features (distances `frechet_judge`, `kernel_judge`);
            `inception:PATH`: clean-fid's Inception from `inception-2015-12-05.pt` (or its folder);
            without a PATH clean-fid downloads it to its usual place (`fid`, `kid`);
            `timm:NAME:PATH`: a timm model with weights from a .safetensors, .pth or .bin file;
            NAME may end in `@SIZE`, the side in pixels that it is to see (`fd_NAME`, `kd_NAME`).
            `vit_large_patch14_dinov2@224` is the network and size of FD-DINOv2 (Stein et al.
            2023, arXiv 2306.04675); its authors' resizing may differ.
        classifier: the attribute judge.

    Raises:
        UserError: unknown words, a missing or unfit file, timm is not installed, nothing could be
            downloaded.
    """
    kind, _, rest = spec.partition(":")
    if kind == "judge" and not rest:
        return Extractor(
            "judge", "frechet_judge", "kernel_judge", "",
            lambda images: pictures_to_network(images, classifier.device),
            classifier.features,
        )  # fmt: skip
    if kind == "inception":
        return _inception(rest, classifier.device)
    if kind == "timm":
        name, _, path = rest.partition(":")
        if name and path:
            return _timm(name, path, classifier.device)
        raise UserError("'timm' needs a model and its file", spec, "Write timm:NAME:PATH.")
    words = [word.partition(":")[0] for word in KINDS]
    advice = nearest(kind, words) if kind not in words else "Write 'judge' alone."
    raise UserError(f"unknown features '{spec}'", "features", advice)


def _inception(place: str, device: torch.device) -> Extractor:
    from cleanfid.inception_torchscript import InceptionV3W
    from cleanfid.resize import build_resizer

    fix = f"Give {INCEPTION_FILE} (about 95 MB, from NVIDIA's stylegan2-ada-pytorch)."
    path = Path(place or tempfile.gettempdir())  # the latter is where clean-fid keeps it
    if path.is_dir():
        path = path / INCEPTION_FILE
    if not place and not path.is_file():
        _download(path, fix)
    if not path.is_file():
        raise UserError("there is no such file", path, fix)
    if path.name != INCEPTION_FILE or path.stat().st_size < _INCEPTION_BYTES:
        raise UserError("this is not clean-fid's Inception", path, fix)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.load is deprecated
            network = InceptionV3W(str(path.parent), download=False).to(device).eval()
    except Exception as error:  # TorchScript raises many kinds for a damaged file
        raise _unreadable(path, error, fix) from None
    resize = build_resizer("clean")

    def prepare(images: np.ndarray) -> Tensor:
        resized = np.stack([resize(image) for image in images])  # [B, 299, 299, 3] in [0, 255]
        return torch.from_numpy(resized).to(device).permute(0, 3, 1, 2)  # [B, 3, 299, 299]

    return Extractor("inception", "fid", "kid", sha256(path), prepare, network)


def _download(path: Path, fix: str) -> None:
    """By clean-fid, but aside: an interrupted download must not be taken for the file."""
    from cleanfid.downloads_helper import check_download_inception

    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as aside:
            Path(check_download_inception(aside)).replace(path)
    except OSError as error:  # urllib's errors are OSErrors
        what = f"clean-fid's Inception could not be downloaded ({error})"
        raise UserError(what, "inception:", fix) from None


def _timm(name: str, place: str, device: torch.device) -> Extractor:
    try:
        import timm
    except ImportError:
        what, fix = "timm is not installed", "Run: pip install 'facecond[metrics]'"
        raise UserError(what, f"timm:{name}", fix) from None

    name, _, side = name.partition("@")
    if not timm.is_model(name):
        close = nearest(name, timm.list_models())
        advice = close if close.startswith("Did") else "timm.list_models() names them."
        raise UserError(f"timm has no model '{name}'", f"timm:{name}", advice)
    if side and not (side.isdecimal() and int(side) > 0):
        raise UserError(f"'{side}' is no side in pixels", f"timm:{name}", "Write NAME@224.")
    path = Path(place)
    fix = f"Give a file with timm's weights of {name}, its head included."
    if not path.is_file():
        raise UserError("there is no such file", path, fix)
    settings: dict[str, Any] = {"pretrained_cfg_overlay": {"file": str(path)}}
    if side and getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False):
        settings["img_size"] = int(side)  # its positions are resampled; other models take any size
    try:
        # All weights must be in the file: with another number of classes timm would not insist.
        model = timm.create_model(name, pretrained=True, **settings)
    except Exception as error:  # timm, torch and safetensors raise many kinds
        raise _unreadable(path, error, fix) from None
    model = model.to(device).eval().requires_grad_(False)
    config = timm.data.resolve_model_data_config(model)
    size = (int(side),) * 2 if side else tuple(config["input_size"][-2:])
    mean, std = (
        torch.tensor(config[key], device=device).view(1, 3, 1, 1) * 255 for key in ("mean", "std")
    )

    def prepare(images: np.ndarray) -> Tensor:
        pixels = _pixels(images, device)  # [B, 3, H, W]
        if pixels.shape[-2:] != size:
            pixels = functional.interpolate(pixels, size, mode="bicubic", antialias=True)
        return (pixels.clamp(0, 255) - mean) / std  # [B, 3, size, size]

    def network(pixels: Tensor) -> Tensor:
        return model.forward_head(model.forward_features(pixels), pre_logits=True)  # [B, D]

    label = f"{name}_{side}" if side else name
    return Extractor(label, f"fd_{label}", f"kd_{label}", sha256(path), prepare, network)


def _pixels(images: np.ndarray, device: torch.device) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [0, 255]."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return pixels.permute(0, 3, 1, 2).float()


def _unreadable(path: Path, error: Exception, fix: str) -> UserError:
    return UserError(f"its weights cannot be read ({reason(error)})", path, fix)
