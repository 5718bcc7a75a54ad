"""What a judge minimises, and how rare classes and attributes are weighted in it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from facecond.labels import ABSENT, ANYTHING, ATTRIBUTES, MASK_CLASSES, PRESENT, UNSPECIFIED


def parser_loss(
    logits: Tensor, masks: Tensor, weights: Tensor, label_smoothing: float, dice: float
) -> Tensor:
    """Weighted cross-entropy + `dice` x the dice loss, scalar.

    Args:
        logits: float [B, 19, H, W].
        masks: u8 [B, H, W]; pixels of 255 count nowhere.
        weights: float [19], of each class.
        label_smoothing: share of the target that is spread over all classes.
    """
    target = masks.long()  # [B, H, W]
    loss = functional.cross_entropy(
        logits, target, weights, ignore_index=ANYTHING, label_smoothing=label_smoothing
    )
    return loss + dice * dice_loss(logits, target) if dice else loss


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """1 - 2 |P T| / (|P| + |T|) of each class that the batch shows, averaged (Milletari et al.
    2016): a class of few pixels counts as much as one of many.

    Args:
        logits: float [B, C, H, W].
        target: int64 [B, H, W]; 255 counts nowhere.
    """
    classes = logits.shape[1]
    known = (target != ANYTHING)[:, None]  # [B, 1, H, W]
    guess = logits.softmax(1) * known  # [B, C, H, W]
    truth = functional.one_hot(target.clamp(max=classes), classes + 1)[..., :classes]
    truth = truth.permute(0, 3, 1, 2).to(guess.dtype)  # [B, C, H, W]
    shared, size = (guess * truth).sum((0, 2, 3)), truth.sum((0, 2, 3))  # [C]
    score = 2 * shared / (guess.sum((0, 2, 3)) + size).clamp(min=1e-6)  # [C]
    shown = (size > 0).to(score.dtype)  # [C]
    return 1 - (score * shown).sum() / shown.sum().clamp(min=1)


def attribute_loss(
    logits: Tensor, attributes: Tensor, weights: Tensor, label_smoothing: float
) -> Tensor:
    """Binary cross-entropy over the attributes that are known and learnable, scalar.

    Args:
        logits: float [B, 40].
        attributes: i8 [B, 40]; -1 counts nowhere.
        weights: float [40], of the present case; 0 where an attribute is not learnable.
        label_smoothing: how far targets of 0 and 1 move towards one half, as a share of the whole.
    """
    known = (attributes != UNSPECIFIED) & (weights > 0)
    target = (attributes == PRESENT).float() * (1 - label_smoothing) + label_smoothing / 2
    each = functional.binary_cross_entropy_with_logits(
        logits, target, pos_weight=weights, reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)


def class_weights(counts: Tensor) -> Tensor:
    """Pixels of each class, int64 [19] -> 1 / sqrt(frequency), float [19], 1 on the average pixel;
    0 of a class that was never seen."""
    pixels = counts[: len(MASK_CLASSES)].float()
    weights = torch.where(pixels > 0, pixels.clamp(min=1).rsqrt(), 0.0)
    return weights * pixels.sum() / (weights * pixels).sum()


def positive_weights(attributes: Tensor, names: list[str]) -> Tensor:
    """Absent / present of each attribute, so that both count the same; 0 where not learnable."""
    present, absent = (attributes == PRESENT).sum(0), (attributes == ABSENT).sum(0)
    weights = (absent / present.clamp(min=1)).clamp(0.05, 20.0)
    return torch.where(torch.tensor([name in names for name in ATTRIBUTES]), weights, 0.0)
