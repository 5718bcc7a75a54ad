"""A judge on the faces of a prepared folder: read in batches, at the size that the judge knows.

What it says is checked on true labels first: rows of the test split decide nothing there, and rows
that the judge learned from prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from facecond.data.prepared import PreparedFolder
from facecond.labels import ATTRIBUTES
from facecond.models.judges import FaceParser
from facecond.models.weights_hash import weights_hash
from facecond.storage import read_json

BATCH = 64
FEW_ROWS = 256


@dataclass(frozen=True)
class Witness:
    """A judge, where it lies, and what the scores.json beside it says ({} when there is none)."""

    model: Any
    path: Path
    scores: dict[str, Any] = field(default_factory=dict)

    @property
    def image_size(self) -> int:
        """Side of the pictures that the judge reads; 0 when it takes any."""
        return int(self.model.config["image_size"])

    def described(self) -> dict[str, Any]:
        """Path, hash of the weights and own scores, as JSON values."""
        return {
            "judge": str(self.path),
            "weights": weights_hash(self.model),
            "scores": self.scores,
        }


def own_scores(path: str | Path) -> dict[str, Any]:
    """The content of scores.json beside a judge; {} when there is none."""
    file = Path(path) / "scores.json"
    return read_json(file) if file.is_file() else {}


def check_rows(folder: PreparedFolder, usable: np.ndarray, scores: Mapping[str, Any]) -> np.ndarray:
    """Rows, int64 [n], with a truth (`usable`, bool [N]) that the judge has not learned from.

    Those of the generator's split. Where they are fewer than `FEW_ROWS`, those of the judges' split
    join them, unless `scores`, the judge's own scores.json, says that it learned from this folder.
    None, where it says that it learned from the generator's split of this folder too.
    """
    found = np.empty(0, np.int64)
    own = scores.get("data_hash") in (folder.data_hash, folder.manifest["data_hash"])
    if own and scores.get("split") == "training":
        return found
    for split in ("generator",) if own else ("generator", "judges"):
        if len(found) < FEW_ROWS and (folder.splits == split).any():
            rows = folder.indices(split)
            found = np.concatenate([found, rows[usable[rows]]])
    return found


@torch.inference_mode()
def attribute_logits(
    folder: PreparedFolder, rows: np.ndarray, judge: Witness, title: str, progress: bool
) -> np.ndarray:
    """Logits of the classifier, float32 [n, 40]."""
    parts = [np.empty((0, len(ATTRIBUTES)), np.float32)]
    for _, images in _batches(folder, rows, judge, title, progress):
        parts.append(judge.model(images).float().cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def parsed(
    folder: PreparedFolder, rows: np.ndarray, judge: Witness, title: str, progress: bool
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows and the parser's logits, float [B, 19, S, S] at the size of the folder."""
    model: FaceParser = judge.model
    for part, images in _batches(folder, rows, judge, title, progress):
        yield part, resized(model(images).float(), folder.image_size)


def resized(maps: Tensor, size: int) -> Tensor:
    """[B, C, H, W] -> [B, C, size, size], bilinear, averaging where it shrinks."""
    if maps.shape[-2:] == (size, size):
        return maps
    return functional.interpolate(maps, (size, size), mode="bilinear", antialias=True)


def _batches(
    folder: PreparedFolder, rows: np.ndarray, judge: Witness, title: str, progress: bool
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows and their pictures float [B, 3, S, S] in [-1, 1], S being the size of the judge."""
    size = judge.image_size or folder.image_size
    with tqdm(total=len(rows), desc=title, unit="img", disable=not progress) as bar:
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            pixels = np.stack([folder.image(int(row)) for row in part])
            images = torch.from_numpy(pixels).to(judge.model.device).permute(0, 3, 1, 2)
            yield part, resized(images.float() / 127.5 - 1, size)
            bar.update(len(part))
