"""The losses of the judges against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from facecond.labels import ANYTHING, MASK_CLASSES
from facecond.training.judge_losses import (
    attribute_loss,
    class_weights,
    dice_loss,
    parser_loss,
    positive_weights,
)


def sure(target: torch.Tensor, classes: int) -> torch.Tensor:
    """Logits that say `target` with certainty."""
    return functional.one_hot(target, classes).movedim(-1, 1) * 60.0


def test_dice_by_hand() -> None:
    target = torch.tensor([[[0, 0, 1, 1]]])  # [1, 1, 4]
    assert dice_loss(sure(target, 3), target).item() == pytest.approx(0, abs=1e-6)
    guess = torch.tensor([[[0, 1, 1, 1]]])
    # class 0: 2 * 1 / (1 + 2), class 1: 2 * 2 / (3 + 2); class 2 is not shown
    expected = 1 - (2 / 3 + 4 / 5) / 2
    assert dice_loss(sure(guess, 3), target).item() == pytest.approx(expected, abs=1e-6)


def test_dice_counts_no_pixel_that_is_left_open() -> None:
    target = torch.tensor([[[0, 0, 1, ANYTHING]]])
    guess = torch.tensor([[[0, 0, 1, 2]]])
    assert dice_loss(sure(guess, 3), target).item() == pytest.approx(0, abs=1e-6)
    everything = torch.full((1, 1, 4), ANYTHING)
    assert dice_loss(sure(guess, 3), everything).item() == 1.0


def test_a_small_class_counts_as_much_as_a_large_one() -> None:
    target = torch.zeros(1, 10, 10, dtype=torch.long)
    target[0, 0, 0] = 1
    missed = torch.zeros_like(target)
    assert dice_loss(sure(missed, 2), target).item() == pytest.approx(0.5, abs=0.01)


def test_parser_loss_adds_dice_and_smooths() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 19, 4, 4, generator=generator)
    masks = torch.randint(0, 19, (2, 4, 4), generator=generator, dtype=torch.uint8)
    masks[0, 0] = ANYTHING
    weights = torch.rand(19, generator=generator) + 0.1
    plain = functional.cross_entropy(logits, masks.long(), weights, ignore_index=ANYTHING)
    assert torch.equal(parser_loss(logits, masks, weights, 0.0, 0.0), plain)
    both = parser_loss(logits, masks, weights, 0.0, 0.5)
    torch.testing.assert_close(both, plain + 0.5 * dice_loss(logits, masks.long()))
    assert parser_loss(logits, masks, weights, 0.1, 0.0) != plain


def test_attribute_loss_by_hand() -> None:
    attributes = torch.tensor([[1, 0, -1, 1]], dtype=torch.int8)
    weights = torch.tensor([2.0, 1.0, 1.0, 0.0])  # the last one is not learnable
    logits = torch.zeros(1, 4)
    expected = (2 * math.log(2) + math.log(2)) / 2
    assert attribute_loss(logits, attributes, weights, 0.0).item() == pytest.approx(expected)
    certain = torch.tensor([[50.0, -50.0, 0.0, 0.0]])
    assert attribute_loss(certain, attributes, weights, 0.0).item() == pytest.approx(0, abs=1e-6)
    assert attribute_loss(certain, attributes, weights, 0.1).item() > 1  # too sure


def test_weights_balance_what_is_rare() -> None:
    counts = torch.zeros(256, dtype=torch.int64)
    counts[0], counts[1], counts[ANYTHING] = 900, 100, 5000
    weights = class_weights(counts)
    assert weights.shape == (len(MASK_CLASSES),)
    assert weights[1] / weights[0] == pytest.approx(3.0)
    assert (weights[:2] * counts[:2]).sum() / 1000 == pytest.approx(1.0)
    assert not weights[2:].any()
    attributes = torch.full((10, 40), -1, dtype=torch.int8)
    attributes[:8, 0] = torch.tensor([1, 1, 0, 0, 0, 0, 0, 0], dtype=torch.int8)
    balance = positive_weights(attributes, ["5_o_Clock_Shadow"])
    assert balance[0] == 3.0 and not balance[1:].any()
