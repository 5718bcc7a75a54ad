"""How much a first stage loses: test pictures beside their reconstructions, as saved (uint8).

The first stage bounds everything after it. A figure of a judge therefore stands beside its
*ceiling*: the same judge on the test pictures themselves.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from facecond import metrics
from facecond.data.fit_images import FitImages
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.reconstruction_rows import (
    attribute_row,
    frechet_row,
    mask_row,
    mean_row,
)
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.metrics.pictures import psnr, ssim
from facecond.models import first_stage as first_stages
from facecond.models.first_stage import FirstStage
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.lpips_distance import SMALLEST, LpipsDistance
from facecond.pipeline import to_uint8
from facecond.provenance import commit, versions
from facecond.seeding import numpy_generator

REFERENCE_LIMIT = 4096
"""Most pictures of the generator's split that the Fréchet reference takes."""
ANY_SIZE = 0
"""What a judge that takes pictures of any size says of its own."""
HIGHEST_PSNR = 100.0
"""dB that an exact reconstruction counts for in the mean."""


@dataclass
class StageReport:
    """What was found; `rows` as in `reconstruction_rows`."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """Latent shape, compression, parameters, time per picture."""
    latents: list[dict[str, float]] = field(default_factory=list)
    """By channel: stored mean and std, and mean and std of the normalised test latents."""
    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""
    first: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 1, 1, 3), np.uint8))
    """Originals and reconstructions, uint8 [k, 2, S, S, 3]."""
    worst: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 1, 1, 3), np.uint8))
    """The same, of lowest PSNR, the lowest first."""
    provenance: dict[str, Any] = field(default_factory=dict)


def open_stage(
    source: str, folder: PreparedFolder, patch_size: int = 4, latent_channels: int = 12
) -> FirstStage:
    """The first stage to look at, with a measured scale.

    Args:
        source: `linear` (fitted to the generator's split), or what `load_autoencoder` reads.
        patch_size, latent_channels: of the linear code.

    Raises:
        UserError: there is none, or it does not give back pictures of this size.
    """
    if source == "linear":
        stage = first_stages.fit_linear(FitImages(folder), patch_size, latent_channels)
    else:
        stage = first_stages.load_autoencoder(source)
    stage.to("cuda" if torch.cuda.is_available() else "cpu")
    size = folder.image_size
    if not _gives_back(stage, size):
        raise UserError(
            f"it cannot take {size} px pictures", source, "Prepare the faces at a size it divides."
        )
    if stage.config.latents_mean is None:
        stage.measure(part.to(stage.device) for part in FitImages(folder))
    return stage


@torch.inference_mode()
def _gives_back(stage: FirstStage, size: int) -> bool:
    """Whether pictures of a size come back at that size."""
    probe = torch.zeros(1, 3, size, size, device=stage.device)
    try:
        decoded = stage.autoencoder.decode(stage.raw_latents(probe))
    except (RuntimeError, ValueError):
        return False
    return getattr(decoded, "sample", decoded).shape == probe.shape


def assess_stage(
    stage: FirstStage,
    folder: PreparedFolder,
    *,
    parser: FaceParser | None = None,
    classifier: AttributeClassifier | None = None,
    distance: LpipsDistance | None = None,
    n: int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    show: int = 8,
    progress: bool = True,
) -> StageReport:
    """Reconstruct `n` pictures of the test split (None: all) and compare.

    Args:
        parser, classifier: judges for mask mIoU, and for attributes and the Fréchet distance; rows
            of a judge that is None are left out, and `notes` says so.
        distance: perceptual distance; its name becomes the name of its row.
        show: how many pictures to return, and as many of the worst.

    Raises:
        UserError: too few test pictures, or judges for another size.
    """
    _check_sizes(folder, parser, classifier, distance)
    rows = _test_rows(folder, n, seed)
    found: dict[str, list[np.ndarray]] = {}

    def keep(**values: np.ndarray) -> None:
        for name, value in values.items():
            found.setdefault(name, []).append(value)

    channels = len(stage.config.latents_mean)
    sums, squares, count = torch.zeros(channels), torch.zeros(channels), 0
    seconds, timed = 0.0, 0
    batches = _pictures(folder, rows, batch_size, "reconstruct", progress)
    for index, (originals, part) in enumerate(batches):
        began = time.perf_counter()
        latents, rebuilt = _reconstruct(stage, originals)
        if index or len(rows) <= batch_size:  # the first batch warms up
            seconds, timed = seconds + time.perf_counter() - began, timed + len(originals)
        sums, squares = sums + latents.sum((0, 2, 3)), squares + latents.square().sum((0, 2, 3))
        count += latents[:, 0].numel()
        pair = (originals, rebuilt)
        keep(psnr=psnr(*pair).clip(max=HIGHEST_PSNR), ssim=ssim(*pair))
        if distance is not None:
            keep(distance=_distances(distance, *pair))
        if parser is not None:
            truth = np.stack([folder.mask(int(row)) for row in rows[part]])
            own, other = (metrics.mask_counts(truth, _parsed(parser, side)) for side in pair)
            known = (truth != ANYTHING).any((1, 2))
            keep(masks_original=own[known], masks=other[known])
        if classifier is not None:
            judged = set(classifier.config["attributes"])
            wanted = np.array([name in judged for name in ATTRIBUTES])
            truth = np.where(wanted, folder.attributes[rows[part]], np.int8(UNSPECIFIED))
            known = (truth != UNSPECIFIED).any(1)
            for suffix, side in zip(("_original", ""), pair, strict=True):
                present, features = _judged(classifier, side)
                counts = metrics.attribute_counts(truth, present)[known]
                keep(**{f"attributes{suffix}": counts, f"features{suffix}": features})

    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    report = _scored(whole, "" if distance is None else distance.name, seed)
    if distance is not None and not distance.trained:
        report.notes.append(f"{distance.name} has an untrained trunk: it is not LPIPS.")
    if classifier is not None:
        reference = _reference(classifier, folder, seed, progress)
        sides = (whole["features"], whole["features_original"])
        report.rows.append(frechet_row(*sides, reference, seed))
    worst = rows[np.argsort(whole["psnr"], kind="stable")[:show]]
    report.first, report.worst = (_side_by_side(stage, folder, r) for r in (rows[:show], worst))
    report.latents = _latent_table(stage, sums / count, squares / count)
    size, shape = folder.image_size, list(latents.shape[1:])
    report.facts = {
        "autoencoder": stage.config.autoencoder_class,
        "latent_shape": shape,
        "reduction": size / shape[1],
        "compression": 3 * size**2 / float(np.prod(shape)),
        "parameters": sum(p.numel() for p in stage.parameters()),
        "ms_per_image": 1000 * seconds / timed,
        "batch_size": batch_size,
        "device": stage.device.type,
        "threads": torch.get_num_threads(),
    }
    report.provenance = {
        "n": len(rows),
        "seed": seed,
        "split": "test",
        "image_size": size,
        "data": folder.data_hash,
        "weights": hashlib.sha256(save(stage.state_dict())).hexdigest(),
        "commit": commit(),
        "versions": versions(),
    }
    return report


def _latent_table(stage: FirstStage, mean: Tensor, square: Tensor) -> list[dict[str, float]]:
    """The stored scale by channel, beside mean and std of latents [C] that it normalised."""
    std = (square - mean.square()).clamp_min(0).sqrt()
    columns = (stage.config.latents_mean, stage.config.latents_std, mean.tolist(), std.tolist())
    names = ("stored_mean", "stored_std", "mean", "std")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _scored(found: dict[str, np.ndarray], distance: str, seed: int) -> StageReport:
    """Rows of what was found, and notes on what was not."""
    names = {"psnr": "psnr", "ssim": "ssim", "distance": distance}
    rows = [mean_row(name, found[key], seed) for key, name in names.items() if key in found]
    notes = []
    if "distance" not in found:
        notes.append("No perceptual distance: no trunk was given (--trunk).")
    if "masks" not in found:
        notes.append("No mask mIoU: no parser was given (--judges).")
    elif not len(found["masks"]):
        notes.append("No mask mIoU: no test picture has a mask.")
    else:
        rows.append(mask_row(found["masks"], found["masks_original"], seed))
    if "attributes" not in found:
        notes.append("No attribute accuracy, no Fréchet distance: no attribute judge (--judges).")
    else:
        row = attribute_row(found["attributes"], found["attributes_original"], seed)
        rows += [row] if row is not None else []
        if row is None:
            least = metrics.MINIMUM_CASES
            notes.append(f"No attribute accuracy: none has {least} faces with and {least} without.")
    return StageReport(rows=rows, notes=notes)


def _test_rows(folder: PreparedFolder, n: int | None, seed: int) -> np.ndarray:
    """Rows of the test split in an order drawn by `seed`, the first `n` of them."""
    indices: np.ndarray = folder.indices("test")
    wanted = n or 2
    if len(indices) < wanted:
        raise UserError(
            f"{wanted} test pictures are wanted, {len(indices)} are there",
            folder.root,
            f"Use --n {len(indices)}." if len(indices) > 1 else "Prepare more test faces.",
        )
    order = numpy_generator(seed, "reconstruction", "rows").permutation(len(indices))
    return indices[order][:n]


def _pictures(
    folder: PreparedFolder, rows: np.ndarray, batch_size: int, title: str, progress: bool
) -> Iterator[tuple[np.ndarray, slice]]:
    """Batches uint8 [B, S, S, 3] of the rows, and where in `rows` each lies."""
    with tqdm(total=len(rows), desc=title, unit="img", disable=not progress) as bar:
        for start in range(0, len(rows), batch_size):
            part = slice(start, start + batch_size)
            yield np.stack([folder.image(int(row)) for row in rows[part]]), part
            bar.update(len(rows[part]))


def _to_network(images: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.inference_mode()
def _reconstruct(stage: FirstStage, images: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Pictures -> latents float64 [B, C, h, w], reconstructions uint8."""
    latents = stage.encode(_to_network(images).to(stage.device))
    return latents.cpu().double(), to_uint8(stage.decode(latents))


def _side_by_side(stage: FirstStage, folder: PreparedFolder, rows: np.ndarray) -> np.ndarray:
    """uint8 [k, 2, S, S, 3]."""
    originals = np.stack([folder.image(int(row)) for row in rows])
    return np.stack([originals, _reconstruct(stage, originals)[1]], 1)


@torch.inference_mode()
def _distances(distance: LpipsDistance, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    device = next(distance.parameters()).device
    pair = (_to_network(part).to(device) for part in (first, second))
    return distance(*pair).double().cpu().numpy()


@torch.inference_mode()
def _parsed(parser: FaceParser, images: np.ndarray) -> np.ndarray:
    return parser(_to_network(images).to(parser.device)).argmax(1).to(torch.uint8).cpu().numpy()


@torch.inference_mode()
def _judged(classifier: AttributeClassifier, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    present, features = classifier.judge(_to_network(images).to(classifier.device))
    return present.cpu().numpy(), features.float().cpu().numpy()


def _reference(
    classifier: AttributeClassifier, folder: PreparedFolder, seed: int, progress: bool
) -> np.ndarray:
    """Features of real pictures of the generator's split, which no test picture belongs to."""
    rows = folder.indices("generator")
    order = numpy_generator(seed, "reconstruction", "reference").permutation(len(rows))
    rows = np.sort(rows[order[:REFERENCE_LIMIT]])
    batches = _pictures(folder, rows, 64, "reference", progress)
    return np.concatenate([_judged(classifier, images)[1] for images, _ in batches])


def _check_sizes(
    folder: PreparedFolder,
    parser: FaceParser | None,
    classifier: AttributeClassifier | None,
    distance: LpipsDistance | None,
) -> None:
    size = folder.image_size
    for name, judge in (("parser", parser), ("attribute classifier", classifier)):
        if judge is not None and judge.config["image_size"] not in (ANY_SIZE, size):
            raise UserError(
                f"the {name} is for {judge.config['image_size']} px, these faces have {size} px",
                folder.root,
                "Prepare the faces at that size, or give judges of this size.",
            )
    if distance is not None and size < SMALLEST:
        raise UserError(
            f"a perceptual distance takes pictures of {SMALLEST} px at least, not {size}",
            folder.root,
            "Leave --trunk out.",
        )
