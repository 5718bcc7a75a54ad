"""Which of the 40 attributes the mask alone tells: geometry; the others are appearance.

A small classifier sees nothing but the mask, and is cross-fitted: each face with true attributes
is scored by a network that did not see it. An attribute whose balanced accuracy is above 0.75 is
geometry. The same with labels dealt out to other faces is the control, one half by right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from facecond.attribute_split import SCHEMA
from facecond.data.prepared import PreparedFolder
from facecond.data.splits import folds
from facecond.errors import UserError
from facecond.labels import ABSENT, ATTRIBUTES, MASK_CLASSES, PRESENT, UNSPECIFIED
from facecond.metrics import (
    MINIMUM_CASES,
    attribute_accuracy,
    attribute_counts,
    bootstrap_interval,
    mean_of_known,
)
from facecond.models.judges import AttributeClassifier
from facecond.provenance import versions
from facecond.seeding import key_of, numpy_generator
from facecond.training.judge_faces import Faces, FaceSource, read_rows
from facecond.training.judge_fit import Recipe, fit
from facecond.training.judge_losses import positive_weights
from facecond.training.judge_scores import answers, best_threshold

THRESHOLD = 0.75
"""Balanced accuracy above which an attribute is geometry."""
SIDE = 32
"""Pixels of the grid on which the classifier sees the share of each class."""
FEWEST = 30
"""With fewer faces than this of a kind, present or absent, an attribute is `uncertain`."""
RECIPE = Recipe(steps=300, batch_size=32, width=16)


@dataclass(frozen=True)
class Figure:
    """One attribute on one data set: balanced accuracy with its 95 % interval, and the counts.

    All but the counts are None with fewer than `MINIMUM_CASES` faces of a kind, present or absent;
    such an attribute is appearance, as nothing shows that the mask tells it. `same_sex` is the mean
    of the scores among men and among women (by `Male`, and only where both kinds have `FEWEST`
    faces): what the mask tells beside the sex, which it tells well.
    """

    score: float | None
    low: float | None
    high: float | None
    control: float | None
    same_sex: float | None
    present: int
    absent: int

    @property
    def is_geometry(self) -> bool:
        """Whether the mask tells it."""
        return self.score is not None and self.score > THRESHOLD

    @property
    def is_uncertain(self) -> bool:
        """Whether another sample of faces might well say otherwise."""
        if self.score is None or self.low is None or self.high is None:
            return True
        return min(self.present, self.absent) < FEWEST or self.low <= THRESHOLD <= self.high


def measure(
    folder: PreparedFolder,
    name: str,
    recipe: Recipe = RECIPE,
    count: int = 5,
    progress: bool = True,
) -> tuple[dict[str, Any], list[Figure]]:
    """What the masks of a folder tell about each attribute.

    Args:
        folder: prepared faces with masks. With `labels="all"`, faces that have predicted
            attributes only are learned from and never scored.
        name: of the folder, for the record.
        recipe: of each network.
        count: folds.

    Returns:
        A record of the data and of the method, and the figure of each attribute.

    Raises:
        UserError: fewer faces with a mask and true attributes than two per fold.
    """
    if folder.image_size % SIDE:
        fix = f"Prepare the faces at a multiple of {SIDE} px."
        raise UserError(f"the faces have {folder.image_size} px", folder.root, fix)
    true = np.where(folder.attribute_predicted, UNSPECIFIED, folder.attributes)
    kept = folder.has_mask & ~np.isin(folder.names, list(folder.excluded))
    kept &= (folder.attributes != UNSPECIFIED).any(1)
    rows = np.flatnonzero(kept)
    faces = read_rows(folder, rows, "parser", progress)
    tested = np.flatnonzero((true[rows] != UNSPECIFIED).any(1))
    if len(tested) < 2 * count:
        what = f"{len(tested)} faces have a mask and true attributes; {2 * count} are needed"
        raise UserError(what, folder.root, "Prepare a folder with more labelled faces.")
    fold = np.full(len(rows), -1)  # of the faces that are scored; the others are in every training
    names = [faces.names[place] for place in tested]
    fold[tested] = folds(names, folder.identities, count, recipe.seed)
    logits = cross_fit(faces, fold, recipe, progress)
    dealt = dealt_out(true[rows], faces.attributes.numpy(), tested, recipe.seed)
    control = cross_fit(faces.relabelled(dealt[1]), fold, recipe, progress)
    truths, fold = (true[rows][tested], dealt[0][tested]), fold[tested]
    figures = figures_of(truths[0], logits[tested], truths[1], control[tested], fold)
    record = {
        "name": name,
        "source": folder.source,
        "data_hash": folder.data_hash,
        "faces": len(folder),
        "with_true_attributes": len(tested),
        "with_predicted_attributes_only": len(rows) - len(tested),
        "excluded": len(folder.excluded),
        "image_size": folder.image_size,
        "mask_size": SIDE,
        "folds": count,
        "by_person": folder.identities is not None,
        "recipe": {k: v for k, v in asdict(recipe).items() if k in _TOLD},
    }
    return record, figures


def cross_fit(faces: FaceSource, fold: np.ndarray, recipe: Recipe, progress: bool) -> np.ndarray:
    """Logits float32 [N, 40] of every face by a network of the other folds.

    Args:
        faces: [N], whose attributes are learned.
        fold: int64 [N]; faces of fold -1 are in every training, and their logits 0.
    """
    logits = np.zeros((len(faces), len(ATTRIBUTES)), np.float32)
    for held in range(int(fold.max()) + 1):
        aside = np.flatnonzero(fold == held)
        model = _trained(faces.subset(np.flatnonzero(fold != held)), recipe, held, progress)
        told = [part for _, part in answers(model, faces.subset(aside), mask_shares)]
        logits[aside] = torch.cat(told).numpy()
    return logits


def hits(truth: np.ndarray, logits: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Hits and cases of each face at thresholds that are best on the other folds.

    Args:
        truth: int8 [n, 40].
        logits: float32 [n, 40].
        fold: int64 [n].

    Returns:
        int64 [n, 40, 4], see `attribute_counts`.
    """
    predicted = np.zeros(truth.shape, bool)
    for held in np.unique(fold):
        own, others = fold == held, fold != held
        for a in range(len(ATTRIBUTES)):
            cut = best_threshold(logits[others, a], truth[others, a])
            predicted[own, a] = logits[own, a] > cut
    return attribute_counts(truth, predicted)


def figures_of(
    truth: np.ndarray,
    logits: np.ndarray,
    dealt: np.ndarray,
    control: np.ndarray,
    fold: np.ndarray,
) -> list[Figure]:
    """The figure of each attribute.

    Args:
        truth, dealt: int8 [n, 40], the attributes and those of other faces.
        logits, control: float32 [n, 40], by networks that learned the one and the other.
        fold: int64 [n].
    """
    scored, chance = hits(truth, logits, fold), hits(dealt, control, fold)
    sex = truth[:, ATTRIBUTES.index("Male")]
    alike = [
        attribute_accuracy(hits(truth[own], logits[own], fold[own]).sum(0), FEWEST)
        for own in (sex == PRESENT, sex == ABSENT)
    ]
    same_sex = mean_of_known(np.stack(alike, -1))
    rows = zip(scored.swapaxes(0, 1), chance.swapaxes(0, 1), same_sex, strict=True)
    return [_figure(*row) for row in rows]


def mask_shares(faces: Faces) -> Tensor:
    """What the classifier sees: the share of each class in the cells of the mask, float
    [B, 19, SIDE, SIDE] in [0, 1]; what is left open counts as no class."""
    top, cell = len(MASK_CLASSES), faces.masks.shape[-1] // SIDE
    masks = faces.masks[:, None].clamp(max=top).long()  # [B, 1, H, W]
    cells = functional.pixel_unshuffle(masks, cell)  # [B, cell^2, SIDE, SIDE]
    shares = torch.zeros(len(masks), top + 1, SIDE, SIDE, device=masks.device)
    shares.scatter_add_(1, cells, torch.full(cells.shape, cell**-2.0, device=masks.device))
    return shares[:, :top].contiguous(memory_format=torch.channels_last)  # [B, 19, SIDE, SIDE]


def dealt_out(
    true: np.ndarray, learned: np.ndarray, tested: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Give the labels of each face to another one, whole rows, so that attributes keep going
    together; the tested faces trade among themselves, and so do the others.

    Args:
        true, learned: int8 [N, 40].
        tested: int64 [n], which of them are scored.
    """
    others = np.setdiff1d(np.arange(len(true)), tested)
    source = np.arange(len(true))
    for number, places in enumerate((tested, others)):
        source[places] = numpy_generator(seed, "control", number).permutation(places)
    return true[source], learned[source]


def split_record(
    measured: Sequence[tuple[dict[str, Any], list[Figure]]], command: str
) -> dict[str, Any]:
    """The content of the stored file: the first data set decides, the others stand beside it."""
    attributes = {
        name: {
            "kind": "geometry" if figures[0].is_geometry else "appearance",
            "uncertain": figures[0].is_uncertain,
            "measured": [asdict(figure) for figure in figures],
        }
        for name, *figures in zip(ATTRIBUTES, *(f for _, f in measured), strict=True)
    }
    return {
        "schema": SCHEMA,
        "rule": f"geometry: a classifier that sees only the mask has a balanced accuracy above"
        f" {THRESHOLD} on faces that it did not learn from; by the first data set",
        "threshold": THRESHOLD,
        "command": command,
        "versions": versions(),
        "data": [record for record, _ in measured],
        "attributes": attributes,
    }


_TOLD = ("steps", "batch_size", "optimizer", "learning_rate", "width", "seed")


def _trained(faces: FaceSource, recipe: Recipe, held: int, progress: bool) -> AttributeClassifier:
    how = replace(recipe, seed=key_of(recipe.seed, "attribute split", held) % 2**31)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(how.seed, "attribute split", "weights") >> 1)
        model = AttributeClassifier(how.width, SIDE, channels=len(MASK_CLASSES))
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    model.to(memory_format=torch.channels_last)
    known = faces.attributes
    both = (known == PRESENT).any(0) & (known == ABSENT).any(0)
    names = [name for name, ok in zip(ATTRIBUTES, both.tolist(), strict=True) if ok]
    weights = positive_weights(known, names)
    fit(model, "attributes", faces, weights, how, lambda _: 0.0, progress, mask_shares)
    return model


def _figure(scored: np.ndarray, control: np.ndarray, same_sex: float) -> Figure:
    """From hits and cases int64 [n, 4] of one attribute, and those of the control."""
    present, absent = (int(scored[:, column].sum()) for column in (1, 3))
    accuracy: Callable[[np.ndarray], np.ndarray] = attribute_accuracy
    if min(present, absent) < MINIMUM_CASES:
        return Figure(None, None, None, None, None, present, absent)
    interval = bootstrap_interval(scored, accuracy)
    return Figure(
        score=round(float(accuracy(scored.sum(0))), 4),
        low=round(interval.low, 4),
        high=round(interval.high, 4),
        control=round(float(accuracy(control.sum(0))), 4),
        same_sex=round(float(same_sex), 4) if np.isfinite(same_sex) else None,
        present=present,
        absent=absent,
    )
