"""How much a first stage loses: test pictures beside their reconstructions, as saved (uint8).

The first stage bounds everything after it. A figure of a judge therefore stands beside its
*ceiling*: the same judge on the test pictures themselves.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from facecond import metrics
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.conditions import images_of, masks_of
from facecond.evaluation.configs import check_sizes
from facecond.evaluation.diversity import pair_distances
from facecond.evaluation.reconstruction_rows import (
    attribute_row,
    frechet_row,
    mask_row,
    picture_row,
)
from facecond.evaluation.stage_report import StageReport
from facecond.evaluation.survey import reference_rows
from facecond.evaluation.verdicts import JUDGE_BATCH, judge_attributes, judge_features, parse
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.metrics.pictures import psnr, ssim
from facecond.models.first_stage import FirstStage
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.lpips_distance import SMALLEST, LpipsDistance
from facecond.models.pixels import pictures_to_network
from facecond.pipeline import to_uint8
from facecond.provenance import commit, versions
from facecond.seeding import numpy_generator

HIGHEST_PSNR = 100.0
"""dB that an exact reconstruction counts for in the mean."""
Arrays = dict[str, np.ndarray]


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
            keep(distance=pair_distances(distance, *pair))
        if parser is not None:
            keep(**_mask_counts(parser, masks_of(folder, rows[part]), *pair))
        if classifier is not None:
            keep(**_attribute_counts(classifier, folder.attributes[rows[part]], *pair))

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
    rows = [picture_row(name, found[key], seed) for key, name in names.items() if key in found]
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


def _mask_counts(
    parser: FaceParser, truth: np.ndarray, originals: np.ndarray, rebuilt: np.ndarray
) -> Arrays:
    """`mask_counts` of the pictures that have a mask."""
    known = (truth != ANYTHING).any((1, 2))
    own, other = (metrics.mask_counts(truth, parse(parser, s)) for s in (originals, rebuilt))
    return {"masks_original": own[known], "masks": other[known]}


def _attribute_counts(
    classifier: AttributeClassifier, truth: np.ndarray, originals: np.ndarray, rebuilt: np.ndarray
) -> Arrays:
    """`attribute_counts` of the pictures that have attributes, and features of all of them."""
    judged = np.isin(ATTRIBUTES, classifier.config["attributes"])
    truth = np.where(judged, truth, np.int8(UNSPECIFIED))
    known, found = (truth != UNSPECIFIED).any(1), {}
    for suffix, side in (("_original", originals), ("", rebuilt)):
        present, features = judge_attributes(classifier, side)
        found[f"attributes{suffix}"] = metrics.attribute_counts(truth, present)[known]
        found[f"features{suffix}"] = features
    return found


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
            yield images_of(folder, rows[part]), part
            bar.update(len(rows[part]))


@torch.inference_mode()
def _reconstruct(stage: FirstStage, images: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Pictures -> latents float64 [B, C, h, w], reconstructions uint8."""
    latents = stage.encode(pictures_to_network(images, stage.device))
    return latents.cpu().double(), to_uint8(stage.decode(latents))


def _side_by_side(stage: FirstStage, folder: PreparedFolder, rows: np.ndarray) -> np.ndarray:
    """uint8 [k, 2, S, S, 3]."""
    originals = images_of(folder, rows)
    return np.stack([originals, _reconstruct(stage, originals)[1]], 1)


def _reference(
    classifier: AttributeClassifier, folder: PreparedFolder, seed: int, progress: bool
) -> np.ndarray:
    """Features of real pictures of the generator's split, which no test picture belongs to."""
    batches = _pictures(folder, reference_rows(folder, seed), JUDGE_BATCH, "reference", progress)
    return np.concatenate([judge_features(classifier, images) for images, _ in batches])


def _check_sizes(
    folder: PreparedFolder,
    parser: FaceParser | None,
    classifier: AttributeClassifier | None,
    distance: LpipsDistance | None,
) -> None:
    judges = {"the parser": parser, "the attribute classifier": classifier}
    given = {name: judge for name, judge in judges.items() if judge is not None}
    check_sizes(folder, {name: judge.config["image_size"] for name, judge in given.items()})
    if distance is not None and folder.image_size < SMALLEST:
        raise UserError(
            f"a perceptual distance takes pictures of {SMALLEST} px at least, not "
            f"{folder.image_size}",
            folder.root,
            "Leave --trunk out.",
        )
