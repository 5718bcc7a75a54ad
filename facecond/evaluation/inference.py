"""Inference of a judge on faces of a prepared folder, at the size that the judge knows.

What it says is checked on true labels first: rows of the test split decide nothing there, and rows
that the judge learned from prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from facecond.data.prepared import SPLITS, PreparedFolder
from facecond.evaluation.judges import Judge
from facecond.labels import ATTRIBUTES
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.pixels import pictures_to_network

BATCH = 64
FEW_ROWS = 256


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


def rows_in_use(folder: PreparedFolder) -> np.ndarray:
    """All rows that are not excluded, int64 [n], in the order of the folder."""
    there = [folder.indices(split) for split in SPLITS if (folder.splits == split).any()]
    return np.sort(np.concatenate(there))


@torch.inference_mode()
def attribute_logits(
    folder: PreparedFolder,
    rows: np.ndarray,
    judge: Judge[AttributeClassifier],
    title: str,
    progress: bool,
) -> np.ndarray:
    """Logits of the classifier, float32 [n, 40]."""
    parts = [np.empty((0, len(ATTRIBUTES)), np.float32)]
    for _, images in _batches(folder, rows, judge, title, progress):
        parts.append(judge.model(images).float().cpu().numpy())
    return np.concatenate(parts)


@torch.inference_mode()
def parser_logits(
    folder: PreparedFolder, rows: np.ndarray, judge: Judge[FaceParser], title: str, progress: bool
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows and the parser's logits, float [B, 19, S, S] at the size of the folder."""
    for part, images in _batches(folder, rows, judge, title, progress):
        yield part, resized(judge.model(images).float(), folder.image_size)


def resized(maps: Tensor, size: int) -> Tensor:
    """[B, C, H, W] -> [B, C, size, size], bilinear, averaging where it shrinks."""
    if maps.shape[-2:] == (size, size):
        return maps
    return functional.interpolate(maps, (size, size), mode="bilinear", antialias=True)


def _batches(
    folder: PreparedFolder, rows: np.ndarray, judge: Judge[Any], title: str, progress: bool
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Rows and their pictures float [B, 3, S, S] in [-1, 1], S being the size of the judge."""
    size = judge.image_size or folder.image_size
    with tqdm(total=len(rows), desc=title, unit="img", disable=not progress) as bar:
        for start in range(0, len(rows), BATCH):
            part = rows[start : start + BATCH]
            pixels = np.stack([folder.image(int(row)) for row in part])
            yield part, resized(pictures_to_network(pixels, judge.model.device), size)
            bar.update(len(part))
