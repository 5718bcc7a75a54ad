"""Who a face shows, as a unit vector: MobileFaceNet (Chen et al. 2018, arXiv 1804.07573).

Written anew after github.com/xuexingyu24/MobileFaceNet_Tutorial_Pytorch, with the names of its
modules, so that state dicts of that network load.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facecond.errors import UserError, nearest
from facecond.models.judges import AttributeClassifier
from facecond.models.pixels import to_network
from facecond.models.weights_file import load_exactly
from facecond.models.weights_hash import weights_hash
from facecond.storage import hash_of, sha256

KINDS = ("mobilefacenet", "judge")
WIDTH, HEIGHT = 96, 112
"""Of MobileFaceNet's input, in pixels."""

_BATCH = 32
_FIX = "Give the state dict of a MobileFaceNet with 128 features."

# (expansion, channels, blocks, stride of the first block), table 1 of the paper
_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))


class ConvBlock(nn.Module):
    """Convolution, batch norm and, unless linear, PReLU."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        groups = channels_in if depthwise else 1
        self.conv = nn.Conv2d(
            channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels_out)
        self.prelu = nn.Identity() if linear else nn.PReLU(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.prelu(self.bn(self.conv(x)))  # [B, C, H', W']


class Bottleneck(nn.Module):
    """Inverted residual: widen, filter each channel, narrow."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = channels_in * expansion
        self.is_residual = stride == 1 and channels_in == channels_out
        self.conv = nn.Sequential(
            nn.Conv2d(channels_in, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            nn.Conv2d(width, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)  # [B, C, H', W']


class MobileFaceNet(nn.Module):
    """Aligned faces [B, 3, 112, 96], RGB in [-1, 1] -> embeddings [B, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvBlock(3, 64, 3, 2, 1)
        self.dw_conv1 = ConvBlock(64, 64, 3, 1, 1, depthwise=True)
        blocks, channels = [], 64
        for expansion, wide, count, stride in _STAGES:
            for index in range(count):
                first = stride if index == 0 else 1
                blocks.append(Bottleneck(channels, wide, first, expansion))
                channels = wide
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = ConvBlock(channels, 512, 1)
        self.linear7 = ConvBlock(512, 512, (7, 6), depthwise=True, linear=True)
        self.linear1 = ConvBlock(512, 128, 1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dw_conv1(self.conv1(x))  # [B, 64, 56, 48]
        x = self.conv2(self.blocks(x))  # [B, 512, 7, 6]
        return self.linear1(self.linear7(x)).flatten(1)  # [B, 128]


@dataclass(frozen=True)
class FaceBox:
    """Where the face lies that the network sees, in shares of a square picture's side.

    The network wants the eyes 0.37 of the box's width apart and 0.46 of its height from the top.
    """

    width: float
    top: float
    centre: float = 0.5


CELEBA_HQ = FaceBox(0.67, 0.117)
"""Pictures framed as CelebA-HQ's, which `facecond` aligns photos to: from where their eyes are."""

CELEBA = FaceBox(0.58, 0.20)
"""The central squares of CelebA's aligned pictures."""


@dataclass(frozen=True)
class FaceEmbedder:
    """Pictures -> unit vectors.

    Attributes:
        name: of the embedding.
        hash: of its weights and of the box; names it in caches.
        network: uint8 [B, 3, H, W] on `device` -> [B, D].
    """

    name: str
    hash: str
    network: Callable[[Tensor], Tensor]
    device: torch.device

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, 3], square -> float32 [B, D] of length 1, at the memory of 32."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"pictures are uint8 [B, H, W, 3], not {images.dtype} {images.shape}")
        found = []
        for start in range(0, len(images), _BATCH):
            part = np.ascontiguousarray(images[start : start + _BATCH])
            pixels = torch.from_numpy(part).to(self.device).permute(0, 3, 1, 2)
            vectors = self.network(pixels).flatten(1).float()
            found.append(functional.normalize(vectors, dim=1).cpu())
        return torch.cat(found).numpy()


def load_face_embedder(
    spec: str,
    classifier: AttributeClassifier | None = None,
    device: str | torch.device = "cpu",
    box: FaceBox = CELEBA_HQ,
) -> FaceEmbedder:
    """Read a face embedding.

    Args:
        spec: `mobilefacenet:PATH`: MobileFaceNet's state dict; `judge`: the features of the
            attribute classifier, which tell looks more than persons: where there is nothing else.
        classifier: the attribute judge; for `judge` alone, whose device is used.
        device: of MobileFaceNet.
        box: where the face lies in the pictures; the judge sees all of them.

    Raises:
        UserError: unknown words, no classifier, or a file that is not that network's state dict.
    """
    kind, _, path = spec.partition(":")
    if kind == "judge" and not path:
        if classifier is None:
            raise UserError("needs an attribute classifier", "judge", "Name one.")
        judge = classifier

        def features(pixels: Tensor) -> Tensor:
            return judge.features(to_network(pixels))  # [B, D]

        return FaceEmbedder("judge", weights_hash(judge), features, judge.device)
    if kind == "mobilefacenet" and path:
        network = _mobilefacenet(Path(path)).to(device)

        def embedding(pixels: Tensor) -> Tensor:
            return network(boxed(pixels, box))  # [B, 128]

        made_of = hash_of([sha256(path), asdict(box)])
        return FaceEmbedder("mobilefacenet", made_of, embedding, torch.device(device))
    if kind == "mobilefacenet":
        raise UserError("needs a file", "mobilefacenet", "Write mobilefacenet:PATH.")
    fix = nearest(kind, KINDS) if kind not in KINDS else "Write 'judge' alone."
    raise UserError(f"unknown face embedding '{spec}'", "embedder", fix)


def boxed(pixels: Tensor, box: FaceBox) -> Tensor:
    """Pictures uint8 [B, 3, S, S] -> the face in them, float32 [B, 3, 112, 96] in [-1, 1].

    What lies outside the picture repeats its border.
    """
    height = box.width * HEIGHT / WIDTH
    middle = box.top + height / 2
    place = [[box.width, 0, 2 * box.centre - 1], [0, height, 2 * middle - 1]]
    move = torch.tensor(place, device=pixels.device).expand(len(pixels), 2, 3)
    grid = functional.affine_grid(move, [len(pixels), 3, HEIGHT, WIDTH], align_corners=False)
    x = pixels.float()
    if (smaller := box.width * x.shape[-1] / WIDTH) > 1:  # bilinear sampling alone would alias
        side = max(round(x.shape[-1] / smaller), 1)
        x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
    face = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return (face - 127.5) / 128  # [B, 3, 112, 96]


def _mobilefacenet(path: Path) -> MobileFaceNet:
    with torch.random.fork_rng(devices=[]):
        network = MobileFaceNet()
    load_exactly(network, path, "MobileFaceNet", _FIX)
    return network.eval().requires_grad_(False)
