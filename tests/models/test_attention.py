"""Multi-source attention against plain cross-attention, and what a gate means."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor

from facecond.models import attention_kernels
from facecond.models.attention import LANES, Conditions, MultiSourceAttention
from facecond.models.attention_kernels import SelfAttentionProcessor, attend
from facecond.models.positions import cell_centres

DIM, HEADS, CONDITION, SIDE, GRID, EXTRA = 16, 2, 6, 8, 4, 3
SOURCES = ("attributes", "mask")
POSITIONS = ("none", "sincos", "rotary", "locality")
COMBINES = ("sum", "joint", "concat")
LAYER = 1  # of 3: the attention must read its own row of the gates


def layer(
    positions: str = "none", present: tuple[str, ...] = SOURCES, **options: Any
) -> MultiSourceAttention:
    torch.manual_seed(0)
    return MultiSourceAttention(
        DIM, HEADS, CONDITION, SOURCES, present, {"mask": GRID}, positions, LAYER, SIDE, **options
    )


def inputs(batch: int = 2) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    tokens = {
        "attributes": normal(batch, 5, CONDITION),
        "mask": normal(batch, GRID**2 + EXTRA, CONDITION),
    }
    return normal(batch, SIDE**2, DIM), tokens


def gates(attributes: float, mask: float) -> Tensor:
    """Other layers have other gates, which must not matter."""
    table = torch.full((3, 2), 7.0)
    table[LAYER] = torch.tensor([attributes, mask])
    return table


def copy_of_plain(attention: MultiSourceAttention, source: str) -> Attention:
    plain = Attention(
        DIM, cross_attention_dim=CONDITION, heads=HEADS, dim_head=DIM // HEADS, bias=False
    )
    plain.to_q.load_state_dict(attention.to_q.state_dict())
    key, value = attention.to_kv[source].weight.data.chunk(2)
    plain.to_k.weight.data.copy_(key)
    plain.to_v.weight.data.copy_(value)
    plain.to_out[0].load_state_dict(attention.to_out.state_dict())
    return plain


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("grad", [True, False])
def test_one_source_with_gate_one_is_plain_cross_attention(source: str, grad: bool) -> None:
    attention = layer(present=(source,))
    hidden, tokens = inputs()
    with torch.set_grad_enabled(grad):
        ours = attention(hidden, Conditions(tokens, gates(1.0, 1.0)))
        theirs = copy_of_plain(attention, source)(hidden, tokens[source])
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_sources_add_up_with_their_gates() -> None:
    attention = layer()
    hidden, tokens = inputs()
    ours = attention(hidden, Conditions(tokens, gates(0.7, -1.5)))
    bias = attention.to_out.bias
    parts = [copy_of_plain(attention, s)(hidden, tokens[s]) - bias for s in SOURCES]
    assert torch.allclose(ours, bias + 0.7 * parts[0] - 1.5 * parts[1], atol=1e-5)


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_zero_gate_is_bitwise_absent(positions: str, source: str, combine: str) -> None:
    hidden, tokens = inputs()
    other = next(s for s in SOURCES if s != source)
    zero = gates(*(0.0 if s == source else 0.8 for s in SOURCES))
    changed = dict(tokens) | {source: 100 * tokens[source].roll(1, 1)}
    gated, skipped = (layer(positions, combine=combine) for _ in range(2))
    skipped.plan = (other,)  # what `FaceUNet.use_routing` does for a scale of 0
    missing = {other: tokens[other]}
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            out = gated(hidden, Conditions(tokens, zero))
            assert torch.equal(out, gated(hidden, Conditions(changed, zero)))
            alone = skipped(hidden, Conditions(missing, zero))
            if combine == "sum":
                assert torch.equal(out, alone)
            else:  # one softmax over fewer tokens adds up in another order
                assert torch.allclose(out, alone, atol=1e-6)
            on = gated(hidden, Conditions(changed, gates(0.8, 0.8)))
            assert not torch.equal(out, on)


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("source", SOURCES)
def test_zero_gate_has_exactly_zero_gradient(positions: str, source: str, combine: str) -> None:
    hidden, tokens = inputs()
    for value in tokens.values():
        value.requires_grad_()
    other = next(s for s in SOURCES if s != source)
    attention = layer(positions, combine=combine)
    zero = gates(*(0.0 if s == source else 0.8 for s in SOURCES)).requires_grad_()
    attention(hidden, Conditions(tokens, zero)).square().sum().backward()
    assert not tokens[source].grad.any()
    assert tokens[other].grad.any()
    if combine != "concat":
        assert not attention.to_kv[source].weight.grad.any()
        assert attention.to_kv[other].weight.grad.any()
    assert not zero.grad[[0, 2]].any()  # rows of other layers get nothing
    if combine == "sum":  # the gate itself still learns of its source
        assert zero.grad[LAYER].all()
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("positions", POSITIONS)
def test_output_is_linear_in_the_gates(positions: str) -> None:
    attention = layer(positions).double()
    hidden, tokens = inputs()
    tokens = {source: value.double() for source, value in tokens.items()}

    def effect(attributes: float, mask: float) -> Tensor:
        conditions = Conditions(tokens, gates(attributes, mask))
        return attention(hidden.double(), conditions) - attention.to_out.bias

    combined = effect(0.5, -2.0)
    assert torch.allclose(combined, 0.5 * effect(1, 0) - 2 * effect(0, 1), atol=1e-6)
    assert torch.allclose(effect(1.5, -6.0), 3 * combined, atol=1e-6)


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("positions", POSITIONS)
def test_gates_per_sample_equal_separate_calls(positions: str, combine: str) -> None:
    attention = layer(positions, combine=combine)
    hidden, tokens = inputs(3)
    tables = [gates(1.0, 0.0), gates(0.0, 0.5), gates(0.0, 0.0)]
    together = attention(hidden, Conditions(tokens, torch.stack(tables)))
    for i, table in enumerate(tables):
        one = Conditions({s: value[i : i + 1] for s, value in tokens.items()}, table)
        assert torch.allclose(together[i : i + 1], attention(hidden[i : i + 1], one), atol=1e-5)


@pytest.mark.parametrize("few", [0, attention_kernels.FEW])
@pytest.mark.parametrize("positions", POSITIONS)
def test_written_out_softmax_equals_the_fused_kernel(
    positions: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention_kernels, "FEW", few)
    attention = layer(positions)
    hidden, tokens = inputs()
    conditions = Conditions(tokens, gates(1.0, 1.0))
    with_grad = attention(hidden, conditions)
    with torch.no_grad():
        assert torch.allclose(attention(hidden, conditions), with_grad, atol=1e-5)


@pytest.mark.parametrize("count", [5, attention_kernels.FEW + 5], ids=["few", "many"])
@pytest.mark.parametrize("grad", [True, False])
def test_attend_takes_queries_that_are_scaled_already(grad: bool, count: int) -> None:
    query, key, value = torch.randn(3, 2, 2, count, 8, generator=torch.Generator().manual_seed(0))
    query = query[:, :, :7]
    expected = torch.nn.functional.scaled_dot_product_attention(query, key, value)
    scaled = query * 8**-0.5
    with torch.set_grad_enabled(grad):
        assert torch.allclose(attend(scaled, key, value), expected, atol=1e-6)
        assert not torch.allclose(attend(query, key, value), expected, atol=1e-2)
        # Channels beyond the value's width count like any other.
        wide = [torch.nn.functional.pad(x, (0, 4)) for x in (scaled, key)]
        assert torch.allclose(attend(*wide, value), expected, atol=1e-6)


def placed_logits(attention: MultiSourceAttention, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [B, heads, N, T] without and with positions."""
    query = attention.query(inputs()[0])
    key, _ = attention.project(tokens, "mask")
    placed = (attention.place(query, "mask") @ key.transpose(-1, -2))[..., : tokens.shape[1]]
    plain = query @ plain_keys(attention, tokens).transpose(-1, -2)
    return plain, placed


def plain_keys(attention: MultiSourceAttention, tokens: Tensor) -> Tensor:
    """Keys of the mask [B, heads, T, d] that know nothing of their places."""
    grids, attention.grids = attention.grids, {}
    key, _ = attention.project(tokens, "mask")
    attention.grids = grids
    return key


def test_locality_subtracts_the_scaled_distance_from_the_logits() -> None:
    attention = layer("locality")
    plain, placed = placed_logits(attention, inputs()[1]["mask"])
    bias = (placed - plain).double()
    locality = attention.locality["mask"]
    sharpness, elsewhere = locality.log_sharpness.exp(), locality.elsewhere
    for head in range(HEADS):
        aims = cell_centres(SIDE) + locality.offset[head]
        distance = torch.cdist(aims.double(), cell_centres(GRID).double()).square()
        on_grid, rest = bias[:, head, :, : GRID**2], bias[:, head, :, GRID**2 :]
        assert torch.allclose(on_grid, -(sharpness[head] * distance).expand_as(on_grid), atol=1e-4)
        assert torch.allclose(rest, elsewhere[head].double().expand_as(rest), atol=1e-5)


@pytest.mark.parametrize("positions", POSITIONS)
def test_tokens_without_a_place_keep_their_keys(positions: str) -> None:
    attention = layer(positions)
    hidden, tokens = inputs()
    key = plain_keys(attention, tokens["mask"])
    count, width = key.shape[2:]
    placed = attention.project(tokens["mask"], "mask")[0][:, :, :count]
    assert torch.equal(placed[:, :, GRID**2 :, :width], key[:, :, GRID**2 :])
    if positions != "none":
        assert not torch.equal(placed[:, :, : GRID**2], key[:, :, : GRID**2])
    # Of a source that has no grid, nothing has a place.
    query = attention.query(hidden)
    assert attention.place(query, "attributes") is query
    assert attention.project(tokens["attributes"], "attributes")[0].shape[-1] == width


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("combine", ["sum", "joint"])
def test_keys_that_fill_up_weigh_nothing(combine: str, grad: bool) -> None:
    """`locality` rounds the number of keys up; the sources' outputs are those without."""
    attention = layer("locality", combine=combine)
    hidden, tokens = inputs()
    conditions = Conditions(tokens, gates(0.4, 1.2))
    with torch.set_grad_enabled(grad):
        key, value = attention.project(tokens["mask"], "mask")
        count = tokens["mask"].shape[1]
        assert count % LANES and key.shape[2] == value.shape[2] == -(-count // LANES) * LANES
        whole = attention.contributions(hidden, conditions)
        cut = {
            source: tuple(x[:, :, : tokens[source].shape[1]] for x in pair)
            for source, pair in ((s, attention.project(tokens[s], s)) for s in SOURCES)
        }
        short = Conditions({}, conditions.gates, {str(LAYER): cut})
        for source, part in attention.contributions(hidden, short).items():
            assert torch.allclose(part, whole[source], atol=1e-6)


def test_sharp_locality_attends_to_its_own_cell() -> None:
    attention = layer("locality")
    with torch.no_grad():
        attention.locality["mask"].log_sharpness.fill_(9.0)
        attention.locality["mask"].offset.zero_()
    _, placed = placed_logits(attention, inputs()[1]["mask"])
    rows = torch.arange(SIDE) * GRID // SIDE
    own = (rows[:, None] * GRID + rows).flatten()
    on_grid = placed[..., : GRID**2].softmax(-1)
    assert (on_grid.argmax(-1) == own).all()
    assert on_grid.max(-1).values.min() > 0.99


def test_only_placed_sources_learn_a_sharpness() -> None:
    assert list(layer("locality").locality) == ["mask"]
    assert not layer("rotary").locality
    assert not layer("locality", present=("attributes",)).locality


def test_projected_keys_replace_tokens() -> None:
    attention = layer("locality")
    hidden, tokens = inputs()
    table = gates(0.4, 1.2)
    pairs = {source: attention.project(tokens[source], source) for source in SOURCES}
    projected = Conditions({}, table, {str(LAYER): pairs})
    assert torch.equal(attention(hidden, projected), attention(hidden, Conditions(tokens, table)))


@pytest.mark.parametrize("grad", [True, False])
def test_self_attention_beside_equals_diffusers(grad: bool) -> None:
    torch.manual_seed(0)
    plain = Attention(DIM, heads=HEADS, dim_head=DIM // HEADS)
    hidden, _ = inputs()
    with torch.set_grad_enabled(grad):
        expected = plain(hidden)
        plain.set_processor(SelfAttentionProcessor())
        assert torch.allclose(plain(hidden), expected, atol=1e-5)


def test_empty_plan_gives_the_bias_alone() -> None:
    attention: Any = layer()
    attention.plan = ()
    hidden, tokens = inputs()
    out = attention(hidden, Conditions(tokens, gates(1.0, 1.0)))
    assert torch.equal(out, attention.to_out.bias.expand_as(out))


def joint_oracle(
    attention: MultiSourceAttention, hidden: Tensor, tokens: dict[str, Tensor], weights: Any
) -> Tensor:
    """softmax over all tokens of exp(logit) times their source's weight, written out in float64."""
    query = attention.query(hidden).double()
    keys, values, factors = [], [], []
    for source, weight in zip(SOURCES, weights, strict=True):
        key, value = attention.project(tokens[source], source)
        keys.append(key.double())
        values.append(value.double())
        factors += [weight] * key.shape[2]
    mass = (query @ torch.cat(keys, 2).mT).exp() * torch.tensor(factors, dtype=torch.float64)
    attended = mass / mass.sum(-1, keepdim=True) @ torch.cat(values, 2)
    merged = attended.transpose(1, 2).flatten(2)
    return merged @ attention.to_out.weight.double().T + attention.to_out.bias.double()


@pytest.mark.parametrize("combine", ["joint", "concat"])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.3, 2.0), (0.0, 0.7)])
def test_shared_softmax_weighs_the_tokens_of_a_source(combine: str, weights: Any) -> None:
    attention = layer(combine=combine)
    hidden, tokens = inputs()
    ours = attention(hidden, Conditions(tokens, gates(*weights)))
    assert torch.allclose(
        ours.double(), joint_oracle(attention, hidden, tokens, weights), atol=1e-5
    )


def test_concat_is_plain_cross_attention_over_all_tokens() -> None:
    attention = layer(combine="concat")
    assert list(attention.to_kv) == ["shared"]
    hidden, tokens = inputs()
    ours = attention(hidden, Conditions(tokens, gates(1.0, 1.0)))
    plain = copy_of_plain(attention, "shared")
    assert torch.allclose(ours, plain(hidden, torch.cat(list(tokens.values()), 1)), atol=1e-5)


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("positions", POSITIONS)
def test_all_sources_off_leave_the_bias_alone(combine: str, positions: str) -> None:
    attention = layer(positions, combine=combine)
    hidden, tokens = inputs()
    hidden.requires_grad_()
    out = attention(hidden, Conditions(tokens, gates(0.0, 0.0)))
    assert torch.equal(out, attention.to_out.bias.expand_as(out))
    out.sum().backward()
    assert not hidden.grad.any() and hidden.grad.isfinite().all()


@pytest.mark.parametrize("combine", COMBINES)
def test_contributions_add_up_to_the_output(combine: str) -> None:
    attention = layer("locality", combine=combine)
    hidden, tokens = inputs()
    conditions = Conditions(tokens, gates(0.4, 1.5))
    parts = attention.contributions(hidden, conditions)
    assert set(parts) == set(SOURCES)
    out = attention.to_out(parts["attributes"] + parts["mask"])
    assert torch.allclose(attention(hidden, conditions), out, atol=1e-6)
    assert all(part.abs().max() > 0.01 for part in parts.values())


@pytest.mark.parametrize("combine", COMBINES)
def test_learned_gates_start_at_one_and_learn(combine: str) -> None:
    learned, fixed = layer(combine=combine, learned=["mask"]), layer(combine=combine)
    assert set(learned.gamma) == {"mask"}
    hidden, tokens = inputs()
    conditions = Conditions(tokens, gates(0.7, 0.9))
    out = learned(hidden, conditions)
    assert torch.equal(out, fixed(hidden, conditions))
    out.square().sum().backward()
    assert learned.gamma["mask"].grad.abs() > 0
    with torch.no_grad():
        learned.gamma["mask"].fill_(-1.5)
    weaker = 0.9 * 2 * float(torch.sigmoid(torch.tensor(-1.5)))
    expected = fixed(hidden, Conditions(tokens, gates(0.7, weaker)))
    assert torch.allclose(learned(hidden, conditions), expected, atol=1e-6)


def test_rounded_is_what_autocast_multiplies_in() -> None:
    x = torch.randn(3, 3)
    assert attention_kernels.rounded(x) is x
    with torch.autocast("cpu", torch.bfloat16):
        once = attention_kernels.rounded(x)
        assert once.dtype == torch.bfloat16
        assert torch.equal(once @ once, x @ x)
    meta = torch.empty(2, device="meta")
    assert attention_kernels.rounded(meta) is meta
