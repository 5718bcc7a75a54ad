"""Condition encoders on planted masks, with and without a reference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from facecond.labels import ANYTHING, MASK_CLASSES, UNSPECIFIED
from facecond.models.conditions import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    AttributeEncoder,
    ConditionEncoder,
    MaskEncoder,
    class_shares,
)
from facecond.models.qformer import INSTRUCTIONS

SIZE, GRID, DIM = 32, 8, 16
CLASSES = len(MASK_CLASSES)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def masks() -> MaskEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MaskEncoder(DIM, SIZE, GRID).requires_grad_(False)


def halves() -> Tensor:
    """Hair (13) above, skin (1) below."""
    mask = torch.full((1, SIZE, SIZE), 13, dtype=torch.uint8)
    mask[:, SIZE // 2 :] = 1
    return mask


def test_an_attribute_changes_its_own_token_alone() -> None:
    encoder = AttributeEncoder(DIM)
    values = torch.randint(-1, 2, (3, 40), generator=generator(), dtype=torch.int8)
    tokens = encoder(values)
    assert tokens.shape == (3, 40, DIM)
    for row in (0, 17, 39):
        found = []
        for value in (1, 0, UNSPECIFIED):
            changed = values.clone()
            changed[1, row] = value
            other = encoder(changed)
            different = (other != tokens).any(-1)
            expected = torch.zeros(3, 40, dtype=torch.bool)
            expected[1, row] = value != values[1, row]
            assert torch.equal(different, expected)
            found.append(other[1, row])
        assert len({tuple(token.tolist()) for token in found}) == 3


def test_attribute_token_is_name_plus_value() -> None:
    encoder = AttributeEncoder(DIM)
    values = torch.tensor([1, 0, -1] + [0] * 37, dtype=torch.int8)[None]
    tokens = encoder(values)[0]
    for row, value in enumerate((1, 0, 2)):  # unspecified is the third embedding
        assert torch.equal(tokens[row], encoder.name[row] + encoder.value[row, value])


@pytest.mark.parametrize("size", [16, 32, 20])
def test_class_shares_equal_a_brute_force_count(size: int) -> None:
    labels = torch.randint(0, CLASSES + 1, (2, size, size), generator=generator())
    counted = torch.zeros(2, CLASSES + 1, 64, dtype=torch.float64)
    for b in range(2):
        for y in range(size):
            for x in range(size):
                counted[b, labels[b, y, x], (y * 8 // size) * 8 + x * 8 // size] += 64 / size**2
    shares = class_shares(labels)
    assert torch.allclose(shares.double(), counted, atol=1e-6)
    if size % 8 == 0:
        assert torch.allclose(shares.sum(1), torch.ones(2, 64), atol=1e-6)
    assert torch.allclose(shares.sum((1, 2)), torch.full((2,), 64.0), atol=1e-4)


def states_of(encoder: MaskEncoder, mask: Tensor) -> list[int]:
    """State of each class token, read back from the tokens themselves."""
    labels = torch.where(mask == ANYTHING, CLASSES, mask.long())
    tokens = encoder(mask)[0, GRID**2 :]
    rest = tokens - encoder.name - encoder.occupancy(class_shares(labels)[0, :CLASSES])
    distances = (rest[:, None] - encoder.state).abs().amax(-1)  # [19, 3]
    assert distances.min(1).values.max() < 1e-4
    return distances.argmin(1).tolist()


def test_class_tokens_of_a_closed_mask_are_present_or_absent(masks: MaskEncoder) -> None:
    mask = halves()
    mask[0, 5, 7] = 14  # one pixel of hat
    states = states_of(masks, mask)
    assert [i for i, s in enumerate(states) if s == PRESENT] == [1, 13, 14]
    assert states.count(ABSENT) == CLASSES - 3


@pytest.mark.parametrize("open_pixels", [1, SIZE * SIZE // 4])
def test_unseen_classes_are_unknown_while_any_pixel_is_open(
    masks: MaskEncoder, open_pixels: int
) -> None:
    mask = halves()
    mask.view(-1)[:open_pixels] = ANYTHING
    states = states_of(masks, mask)
    assert [i for i, s in enumerate(states) if s == PRESENT] == [1, 13]
    assert states.count(UNKNOWN) == CLASSES - 2


def test_null_mask_leaves_every_class_unknown(masks: MaskEncoder) -> None:
    null = torch.full((1, SIZE, SIZE), ANYTHING, dtype=torch.uint8)
    assert set(states_of(masks, null)) == {UNKNOWN}


def test_one_pixel_reaches_its_cell_and_its_class(masks: MaskEncoder) -> None:
    """A class one pixel thin survives: the token of its cell, and its class token, change."""
    before = masks(halves())
    for y, x in ((0, 0), (9, 22), (31, 31), (16, 15)):
        mask = halves()
        mask[0, y, x] = 15  # an earring of one pixel
        changed = (masks(mask) != before).any(-1)[0]
        cell = SIZE // GRID
        assert changed[(y // cell) * GRID + x // cell]
        rows = changed[GRID**2 :].nonzero().flatten().tolist()
        assert rows == sorted({15, int(halves()[0, y, x])})
        # Two 3 x 3 convolutions see two cells further, no more.
        reach = changed[: GRID**2].view(GRID, GRID).nonzero() - torch.tensor([y // cell, x // cell])
        assert reach.abs().max() <= 2


def test_pixels_of_a_cell_are_told_apart(masks: MaskEncoder) -> None:
    tokens = []
    for y, x in ((8, 8), (8, 9), (9, 8), (11, 11)):
        mask = halves()
        mask[0, y, x] = 15
        tokens.append(tuple(masks(mask)[0, 2 * GRID + 2].tolist()))
    assert len(set(tokens)) == 4


def test_condition_encoder_shapes_and_null_forms() -> None:
    encoder = ConditionEncoder(DIM, SIZE, GRID)
    attributes = torch.randint(-1, 2, (2, 40), generator=generator(), dtype=torch.int8)
    mask = torch.randint(0, 19, (2, SIZE, SIZE), generator=generator(), dtype=torch.uint8)
    tokens = encoder(attributes, mask)
    assert {source: value.shape for source, value in tokens.items()} == {
        "attributes": (2, 40, DIM),
        "mask": (2, GRID**2 + 19, DIM),
    }
    hidden = encoder(torch.full_like(attributes, -1), torch.full_like(mask, ANYTHING))
    for value in hidden.values():  # the null form says nothing about the sample
        assert torch.allclose(value[0], value[1], atol=1e-6)


def test_grid_must_divide_the_picture() -> None:
    with pytest.raises(ValueError, match="does not divide"):
        ConditionEncoder(DIM, 30, 8)


REFERENCE = {"evidence_shape": (4, 6), "dim": 8, "queries": 3, "depth": 1, "heads": 2}
PARTS = ("reference:appearance", "reference:geometry")


def test_tokens_of_a_reference_follow_the_instruction_and_may_be_missing() -> None:
    sources = ("attributes", *PARTS)
    torch.manual_seed(0)
    encoder = ConditionEncoder(DIM, 8, 4, sources, reference=REFERENCE)
    attributes = torch.zeros(2, 40, dtype=torch.int8)
    mask = torch.zeros(2, 8, 8, dtype=torch.uint8)
    evidence = torch.randn(2, 4, 6, generator=generator())
    asked = torch.tensor([[INSTRUCTIONS.index("appearance"), INSTRUCTIONS.index("geometry")]] * 2)
    tokens = encoder(attributes, mask, evidence, asked)
    assert [tuple(tokens[part].shape) for part in PARTS] == [(2, 3, DIM)] * 2
    assert tuple(encoder(attributes, mask)) == ("attributes",)
    other = asked.clone()
    other[1, 0] = INSTRUCTIONS.index("Blond_Hair")
    again = encoder(attributes, mask, evidence, other)[PARTS[0]]
    assert torch.equal(again[0], tokens[PARTS[0]][0])
    assert not torch.allclose(again[1], tokens[PARTS[0]][1], atol=1e-2)
    with pytest.raises(TypeError, match="evidence_shape"):
        ConditionEncoder(DIM, 8, 4, sources)
