"""How often training hides what: rates, independence, and the form of what is hidden."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.models.condition_dropout import ConditionDropout
from facecond.models.conditions import ConditionEncoder

DIM = 16
BATCH = 4000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
