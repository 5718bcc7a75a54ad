"""Training of the judges, never on a face of the test split."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.data.prepared import PreparedFolder
from facecond.data.splits import hold_out
from facecond.errors import UserError
from facecond.labels import ABSENT, ATTRIBUTES, PRESENT
from facecond.metrics import MINIMUM_CASES
from facecond.models.judges import (
    SMALL,
    AttributeClassifier,
    FaceParser,
    load_backbone,
    weights_file,
)
from facecond.provenance import commit, versions
from facecond.seeding import key_of, numpy_generator
from facecond.storage import (
    atomic_folder,
    check_folder_target,
    make_folder,
    sha256,
    write_json,
    write_text,
)
from facecond.training.judge_card import card
from facecond.training.judge_faces import FaceSource, Kind, Part, Split, read_faces, rows_of
from facecond.training.judge_fit import Recipe, fit
from facecond.training.judge_losses import class_weights, positive_weights
from facecond.training.judge_scores import calibrations, choose_thresholds, score_parser

VALIDATION_SHARE = 0.1
ASSUMED_SIZE = 64
"""Side of the faces that a description assumes where there are none."""
COUNTED = 4096
"""Faces whose pixels are counted, at most, for the weights of the classes."""


def train_judge(
    kind: Kind,
    folder: PreparedFolder,
    out: str | Path,
    *,
    part: Part = "all",
    split: Split = "judges",
    progress: bool = True,
    **recipe: Any,
) -> dict[str, Any]:
    """Train a judge and save it to `out` with its own scores.

    Args:
        kind: "parser" (mask classes) or "attributes".
        folder: prepared faces, of which a tenth is held out for validation and, for attributes,
            for choosing the thresholds; no person is on both sides, where persons are known.
        out: new folder, or one that holds an earlier judge, which is replaced.
        part: all of the split, or the half `a` or `b` of it: two judges of different halves have
            no picture in common, and no person where persons are known.
        split: `judges`, or `training` to learn from the generator's faces too, where few have the
            truth. Test faces are never read.
        recipe: fields of `Recipe`.

    Returns:
        The content of `scores.json`.

    Raises:
        UserError: too few rows with the truth that this kind learns from, weights that do not fit
            the backbone, or `out` holds something else.
    """
    started = time.perf_counter()
    how = Recipe(**recipe)
    check(kind, how)
    check_size(folder)
    out = Path(out)
    _check_target(out)
    faces = read_faces(folder, kind, progress, part, split)
    draw = numpy_generator(how.seed, "judge", kind, "validation")
    aside, rest = hold_out(faces.names, folder.identities, VALIDATION_SHARE, draw)
    valid, train = faces.subset(aside), faces.subset(rest)

    names = _learnable(train.attributes, folder.root) if kind == "attributes" else []
    model = _build(kind, folder.image_size, how, names)
    if kind == "parser":
        weights = class_weights(_pixel_counts(train))
    else:
        weights = positive_weights(train.attributes, names)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    model.to(memory_format=torch.channels_last)
    validate: Callable[[Any, FaceSource], dict[str, Any]]
    validate, headline = score_parser, "mask_miou"
    if kind == "attributes":
        validate, headline = choose_thresholds, "attribute_bacc"
    fit(
        model,
        kind,
        train,
        weights,
        how,
        lambda candidate: validate(candidate, valid)[headline] or 0.0,
        progress,
    )

    scores: dict[str, Any] = {"kind": kind} | validate(model, valid)
    if isinstance(model, AttributeClassifier):
        scores["calibration"] = calibrations(model, valid)
    scores |= {
        "images": {"train": len(train), "validation": len(valid)},
        **asdict(how),
        "split": split,
        "part": part,
        "image_size": folder.image_size,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.perf_counter() - started, 1),
        "data_hash": folder.data_hash,
        "source": folder.source,
        "commit": commit(),
        "versions": versions(),
    }
    make_folder(out.parent)
    with atomic_folder(out) as temporary:
        model.eval().cpu().save_pretrained(temporary)
        saved = weights_file(temporary)
        assert saved is not None
        scores["weights_sha256"] = sha256(saved)
        write_json(temporary / "scores.json", scores)
        write_text(temporary / "card.md", card(scores))
    return scores


def describe(
    kind: Kind, folder: PreparedFolder | None, part: Part, split: Split = "judges", **recipe: Any
) -> str:
    """One line on what `train_judge` would do; raises `UserError` as it would for the recipe.

    Args:
        folder: None where no data are named yet; the size of the faces is then assumed.
    """
    how = Recipe(**recipe)
    check(kind, how)
    size = ASSUMED_SIZE
    faces = f"faces of {size} px (assumed: data.root is not set)"
    if folder is not None:
        check_size(folder)
        size = folder.image_size
        faces = f"{len(rows_of(folder, split, part))} faces of {size} px"
    parameters = sum(p.numel() for p in _build(kind, size, how, []).parameters())
    return (
        f"{kind} on {how.backbone}: {parameters:,} parameters, {how.steps} steps of "
        f"{how.batch_size} from {faces}"
    )


def check_size(folder: PreparedFolder) -> None:
    """Raise `UserError` unless the networks, which halve their grid three times, can take the
    faces."""
    if folder.image_size % 8:
        raise UserError(
            f"the judges cannot take {folder.image_size} px, which is no multiple of 8",
            folder.root,
            "Prepare the faces at such a size.",
        )


def check(kind: Kind, how: Recipe) -> None:
    """Raise `UserError` unless every choice of the recipe means something for this kind."""
    if how.weights and how.backbone == SMALL:
        fix = "Name a torchvision backbone (judge.backbone), or leave judge.weights empty."
        raise UserError("the small network has no weights of others", "judge.weights", fix)
    if how.dice and kind != "parser":
        raise UserError("only a parser has a dice loss", "judge.dice", "Leave it 0.")


def _build(
    kind: Kind, image_size: int, how: Recipe, names: list[str]
) -> FaceParser | AttributeClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(how.seed, "judge", kind, "weights") >> 1)
        model: FaceParser | AttributeClassifier
        if kind == "parser":
            model = FaceParser(how.width, image_size, backbone=how.backbone)
            pyramid: Any = getattr(model.network, "pyramid", None)
        else:
            model = AttributeClassifier(
                how.width, image_size, attributes=names, backbone=how.backbone
            )
            pyramid = model.trunk
    if how.weights:
        load_backbone(pyramid, how.backbone, how.weights)
    return model


def _pixel_counts(faces: FaceSource) -> Tensor:
    """Pixels of each value in the masks of up to `COUNTED` faces, evenly spread, int64 [256]."""
    positions = np.unique(np.linspace(0, len(faces) - 1, min(len(faces), COUNTED)).round())
    counts = torch.zeros(256, dtype=torch.int64)
    for part in np.array_split(positions.astype(np.int64), -(-len(positions) // 64)):
        counts += torch.bincount(faces[part].masks.flatten().long(), minlength=256)
    return counts


def _learnable(attributes: Tensor, where: Path) -> list[str]:
    present, absent = (attributes == PRESENT).sum(0), (attributes == ABSENT).sum(0)
    enough = (present >= MINIMUM_CASES) & (absent >= MINIMUM_CASES)
    names = [name for name, ok in zip(ATTRIBUTES, enough.tolist(), strict=True) if ok]
    if not names:
        raise UserError(
            f"no attribute has {MINIMUM_CASES} faces with it and {MINIMUM_CASES} without",
            where,
            "Prepare a folder with more labelled faces.",
        )
    return names


def _check_target(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError("this is a file, not a folder", out, "Choose another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / "scores.json").is_file():
        raise UserError("the folder holds something else than a judge", out, "Choose a new --out.")
    check_folder_target(out)  # now, and not after the training
