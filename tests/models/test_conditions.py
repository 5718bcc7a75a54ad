"""Condition encoders on planted masks, and how often training hides what."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, MASK_CLASSES, UNSPECIFIED
from facecond.models.conditions import (
    ABSENT,
    PRESENT,
    UNKNOWN,
    AttributeEncoder,
    ConditionDropout,
    ConditionEncoder,
    MaskEncoder,
    class_shares,
)

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


# --- dropout ---------------------------------------------------------------------------------

BATCH = 4000


def conditions(batch: int = BATCH, size: int = 8) -> tuple[Tensor, Tensor]:
    """All attributes specified and no pixel open, so that what is hidden was hidden here."""
    attributes = torch.randint(0, 2, (batch, 40), generator=generator(), dtype=torch.int8)
    mask = torch.randint(0, 19, (batch, size, size), generator=generator(), dtype=torch.uint8)
    return attributes, mask


def hidden_by(dropout: ConditionDropout, seed: int = 3) -> tuple[Tensor, Tensor]:
    """Where a value was hidden: bool [B, 40], bool [B, H, W]; nothing else may change."""
    attributes, mask = conditions()
    values, labels = dropout(attributes, mask, generator(seed))
    hidden, opened = values == UNSPECIFIED, labels == ANYTHING
    assert torch.equal(values[~hidden], attributes[~hidden])
    assert torch.equal(labels[~opened], mask[~opened])
    assert values.dtype == torch.int8 and labels.dtype == torch.uint8
    return hidden, opened


def assert_rate(count: Tensor, chance: float) -> None:
    """Five standard deviations of a binomial around its mean."""
    bound = 5 * math.sqrt(BATCH * chance * (1 - chance))
    assert abs(int(count) - BATCH * chance) <= bound


def nothing(**chances: float) -> ConditionDropout:
    names = ("attributes", "mask", "both", "single_attributes", "mask_regions")
    return ConditionDropout(**(dict.fromkeys(names, 0.0) | chances))


def test_sources_are_dropped_at_their_rates_and_exclude_each_other() -> None:
    hidden, opened = hidden_by(nothing(attributes=0.2, mask=0.1, both=0.15))
    no_attributes, no_mask = hidden.all(1), opened.flatten(1).all(1)
    # Whole sources or nothing.
    assert torch.equal(no_attributes, hidden.any(1))
    assert torch.equal(no_mask, opened.flatten(1).any(1))
    assert_rate((no_attributes & ~no_mask).sum(), 0.2)
    assert_rate((no_mask & ~no_attributes).sum(), 0.1)
    assert_rate((no_attributes & no_mask).sum(), 0.15)
    assert_rate((~no_attributes & ~no_mask).sum(), 0.55)


def test_chances_that_fill_the_whole_leave_nothing_complete() -> None:
    hidden, opened = hidden_by(nothing(attributes=0.5, mask=0.5))
    no_attributes, no_mask = hidden.all(1), opened.flatten(1).all(1)
    assert torch.equal(no_attributes, ~no_mask)
    with pytest.raises(UserError, match="more than 1"):
        ConditionDropout(attributes=0.5, mask=0.4, both=0.2)


def test_single_attributes_are_hidden_with_a_share_of_their_own() -> None:
    hidden, opened = hidden_by(nothing(single_attributes=0.4))
    assert not opened.any()
    # With a uniform share u, none of 40 is hidden with chance E[(1 - u)^40] = 1 / 41.
    assert_rate(hidden.any(1).sum(), 0.4 * (1 - 1 / 41))
    touched = hidden[hidden.any(1)].float().mean(1)
    # A uniform share: about a quarter of the samples in each quarter.
    quarters = torch.histc(touched, 4, 0, 1) / len(touched)
    assert (quarters - 0.25).abs().max() < 0.06
    assert (hidden.float().mean(0) - 0.2).abs().max() < 5 * math.sqrt(0.25 / BATCH)


def test_mask_regions_are_boxes_or_classes() -> None:
    hidden, opened = hidden_by(nothing(mask_regions=0.6))
    assert not hidden.any()
    _, mask = conditions()
    boxes = classes = 0
    for labels, region in zip(mask, opened, strict=True):
        if not region.any() or region.all():
            continue
        rows, columns = region.any(1), region.any(0)
        is_box = bool((region == rows[:, None] & columns).all()) and _is_run(rows)
        is_box &= _is_run(columns)
        inside = set(labels[region].tolist())
        is_classes = not inside & set(labels[~region].tolist())
        assert is_box or is_classes
        boxes, classes = boxes + (is_box and not is_classes), classes + (is_classes and not is_box)
    # Half of the regions are of each kind; some boxes are empty, some sets of classes full.
    assert 0.2 * BATCH < boxes <= 0.3 * BATCH + 5 * math.sqrt(BATCH * 0.21)
    assert 0.2 * BATCH < classes <= 0.3 * BATCH + 5 * math.sqrt(BATCH * 0.21)


def _is_run(flags: Tensor) -> bool:
    where = flags.nonzero().flatten()
    return bool(where[-1] - where[0] + 1 == len(where))


def test_parts_and_sources_are_drawn_independently() -> None:
    hidden, opened = hidden_by(ConditionDropout(0.0, 0.0, 0.0, 0.5, 0.5))
    some_attributes, some_mask = hidden.any(1), opened.flatten(1).any(1)
    both = (some_attributes & some_mask).float().mean()
    expected = some_attributes.float().mean() * some_mask.float().mean()
    assert abs(both - expected) < 5 * math.sqrt(0.25 / BATCH)


def test_dropout_depends_on_the_generator_and_keeps_its_inputs() -> None:
    dropout = ConditionDropout()
    attributes, mask = conditions(64)
    kept = attributes.clone(), mask.clone()
    first, again, other = (dropout(attributes, mask, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(attributes, kept[0]) and torch.equal(mask, kept[1])
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0]) and not torch.equal(first[1], other[1])


def test_no_chance_hides_nothing_and_open_parts_stay_open() -> None:
    attributes, mask = conditions(64)
    attributes[:, 3], mask[:, 0] = UNSPECIFIED, ANYTHING
    values, labels = nothing()(attributes, mask, generator())
    assert torch.equal(values, attributes) and torch.equal(labels, mask)
    values, labels = ConditionDropout(0, 0, 0, 1, 1)(attributes, mask, generator())
    assert (values[:, 3] == UNSPECIFIED).all() and (labels[:, 0] == ANYTHING).all()
    assert len(ATTRIBUTES) == values.shape[1]


def test_hidden_sources_are_the_null_form() -> None:
    encode: Callable[..., dict[str, Tensor]] = ConditionEncoder(DIM, 8, 4)
    attributes, mask = conditions(4)
    tokens = encode(*nothing(both=1.0)(attributes, mask, generator()))
    null = encode(torch.full((1, 40), -1, dtype=torch.int8), torch.full_like(mask[:1], ANYTHING))
    for source, value in tokens.items():
        assert torch.allclose(value, null[source].expand_as(value), atol=1e-6)


def test_layer_dropout_leaves_samples_or_drops_layers_source_by_source() -> None:
    gates = torch.rand(5, 2, generator=torch.Generator().manual_seed(0)) + 0.5
    generator = torch.Generator().manual_seed(1)
    before = generator.get_state()
    assert ConditionDropout().drop_layers(gates, 9, generator) is gates
    assert torch.equal(generator.get_state(), before)  # off: nothing is drawn
    dropped = ConditionDropout(layers=0.5, layer_keep=0.7).drop_layers(gates, 4000, generator)
    assert dropped.shape == (4000, 5, 2)
    kept = dropped != 0
    assert torch.equal(dropped[kept], gates.expand_as(dropped)[kept])
    assert abs(1 - kept.float().mean() - 0.5 * 0.3) < 0.01
    touched = ~kept.all(2).all(1)
    assert abs(touched.float().mean() - 0.5 * (1 - 0.7**10)) < 0.03
    inside = kept[touched].float()  # [n, 5, 2]
    together = (inside[:, :, 0] * inside[:, :, 1]).mean()
    assert abs(together - inside[:, :, 0].mean() * inside[:, :, 1].mean()) < 0.02
    per_sample = torch.stack([gates, 2 * gates])
    always = ConditionDropout(layers=1.0, layer_keep=1.0)
    assert torch.equal(always.drop_layers(per_sample, 2, generator), per_sample)
