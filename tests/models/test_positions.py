"""Positions: where the cells are, what depends on the offset alone, the distance in a product."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from facecond.models.positions import (
    EXTRA_CHANNELS,
    Locality,
    cell_centres,
    rotate,
    sincos_features,
)


def squared_distances(side: int, grid: int, offset: Sequence[float] = (0.0, 0.0)) -> torch.Tensor:
    """|p + offset - p'|^2 of query and key cells [side^2, grid^2], from rows and columns."""

    def centre(index: int, cells: int) -> tuple[float, float]:
        row, column = divmod(index, cells)
        return ((2 * row + 1) / cells - 1, (2 * column + 1) / cells - 1)

    queries = [centre(i, side) for i in range(side * side)]
    keys = [centre(i, grid) for i in range(grid * grid)]
    return torch.tensor(
        [
            [(a + offset[0] - c) ** 2 + (b + offset[1] - d) ** 2 for c, d in keys]
            for a, b in queries
        ],
        dtype=torch.float64,
    )


def test_cell_centres_are_row_major() -> None:
    expected = [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]]
    assert cell_centres(2).tolist() == expected
    # A coarse cell is centred among the fine cells that it covers.
    fine = cell_centres(8).view(4, 2, 4, 2, 2).mean((1, 3)).reshape(-1, 2)
    assert torch.equal(fine, cell_centres(4))


def test_sincos_tells_every_cell_apart_and_near_from_far() -> None:
    features = sincos_features(16, 32)
    assert features.shape == (256, 32)
    assert torch.allclose(features.square().sum(1), torch.full((256,), 16.0), atol=1e-4)
    similarity = features @ features.T
    assert torch.equal(similarity.argmax(1), torch.arange(256))
    assert similarity.fill_diagonal_(-99).max() < 16 - 0.5
    assert similarity[0, 1] > similarity[0, 8]


def test_sincos_of_a_width_that_is_no_multiple_of_four_is_padded() -> None:
    features = sincos_features(4, 10)
    assert features.shape == (16, 10)
    assert torch.equal(features[:, :8], sincos_features(4, 8))
    assert not features[:, 8:].any()


def test_rotary_keeps_lengths_and_depends_on_the_offset_alone() -> None:
    side, width = 6, 8
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, width, generator=generator).expand(2, 1, 1, side**2, width)
    turned_q, turned_k = rotate(q, side), rotate(k, side)
    assert torch.allclose(turned_q.norm(dim=-1), q.norm(dim=-1), atol=1e-5)
    logits = (turned_q @ turned_k.transpose(-1, -2))[0, 0].view(side, side, side, side)
    by_offset: dict[tuple[int, int], list[float]] = {}
    for r in range(side):
        for c in range(side):
            for y in range(side):
                for x in range(side):
                    offset = (r - y, c - x)
                    by_offset.setdefault(offset, []).append(float(logits[r, c, y, x]))
    assert all(max(v) - min(v) < 1e-4 for v in by_offset.values())
    own = float(q[0, 0, 0] @ k[0, 0, 0])
    assert by_offset[0, 0][0] == pytest.approx(own, abs=1e-4)
    # Both axes matter: as many different logits as offsets that differ.
    means = torch.tensor([v[0] for v in by_offset.values()])
    assert len(means) == (2 * side - 1) ** 2
    assert (means[:, None] - means).abs().fill_diagonal_(1).min() > 1e-5


def bias_of(locality: Locality, side: int, grid: int, count: int) -> torch.Tensor:
    """Logits [heads, side^2, count] that the extra channels add."""
    q = locality.queries(side, torch.float32)
    k = Locality.keys(grid, count, 0, torch.device("cpu"), torch.float32)
    assert q.shape == (1, len(locality.log_sharpness), side * side, EXTRA_CHANNELS)
    assert k.shape == (1, 1, count, EXTRA_CHANNELS)
    return (q @ k.transpose(-1, -2))[0].detach()


@pytest.mark.parametrize(("side", "grid"), [(8, 8), (8, 4), (4, 16)])
def test_locality_is_minus_sharpness_times_squared_distance(side: int, grid: int) -> None:
    locality = Locality(3, side, grid)
    with torch.no_grad():
        locality.log_sharpness.copy_(torch.tensor([0.0, 1.0, 4.5]))
        locality.offset.copy_(torch.tensor([[0.0, 0.0], [0.1, -0.3], [-0.05, 0.02]]))
        locality.elsewhere.copy_(torch.tensor([-3.0, 0.0, 1.5]))
    bias = bias_of(locality, side, grid, grid * grid + 5).double()
    sharpness = locality.log_sharpness.detach().exp().double()
    for head, offset in enumerate(locality.offset.tolist()):
        expected = -sharpness[head] * squared_distances(side, grid, offset)
        assert torch.allclose(bias[head, :, : grid * grid], expected, rtol=1e-5, atol=2e-4)
    # Tokens without a place: one logit per head, wherever the query is.
    elsewhere = locality.elsewhere.detach().double()[:, None, None]
    assert torch.equal(bias[..., grid * grid :], elsewhere.expand(3, side * side, 5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_empty_keys_weigh_nothing_in_any_number_format(dtype: torch.dtype) -> None:
    locality = Locality(2, 4, 4)
    with torch.no_grad():
        locality.log_sharpness.copy_(torch.tensor([-3.0, 6.0]))  # hardly local, and very
    q = locality.queries(4, dtype)
    k = Locality.keys(4, 18, 14, torch.device("cpu"), dtype)
    assert k.shape == (1, 1, 32, EXTRA_CHANNELS)
    weights = (q @ k.transpose(-1, -2)).softmax(-1).detach()
    assert (weights[..., 18:] == 0).all()
    assert torch.allclose(weights[..., :18].sum(-1).float(), torch.tensor(1.0), atol=0.01)


def test_locality_is_exact_for_binary_numbers() -> None:
    locality = Locality(1, 8, 8)
    with torch.no_grad():
        locality.log_sharpness.zero_()
        locality.offset.copy_(torch.tensor([[0.125, -0.0625]]))
    expected = -squared_distances(8, 8, (0.125, -0.0625))
    assert torch.equal(bias_of(locality, 8, 8, 64)[0].double(), expected)


def test_locality_keys_are_exact_in_bfloat16_up_to_16() -> None:
    cpu = torch.device("cpu")
    exact = Locality.keys(16, 256 + 19, 0, cpu, torch.float32)
    assert torch.equal(Locality.keys(16, 256 + 19, 0, cpu, torch.bfloat16).float(), exact)


def test_locality_starts_at_the_quarters_of_the_query() -> None:
    """Fresh heads of a coarse query each attend most to another of the four cells below it."""
    side, grid = 4, 8
    locality = Locality(4, side, grid)
    # The reach of one key cell: the logit of a cell 1 / grid away (half a cell) is -1.
    assert torch.allclose(locality.log_sharpness.exp(), torch.tensor(float(grid**2)))
    best = bias_of(locality, side, grid, grid * grid).argmax(-1)  # [heads, side^2]
    for query in range(side * side):
        row, column = divmod(query, side)
        below = {(2 * row + i) * grid + 2 * column + j for i in (0, 1) for j in (0, 1)}
        assert set(best[:, query].tolist()) == below


def test_everything_about_locality_is_learned() -> None:
    locality = Locality(2, 4, 4)
    q = locality.queries(4, torch.float32)
    k = Locality.keys(4, 18, 0, torch.device("cpu"), torch.float32)
    (q @ k.transpose(-1, -2)).softmax(-1)[..., 3].sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in locality.parameters())
    assert {name for name, _ in locality.named_parameters()} == {
        "log_sharpness", "offset", "elsewhere",
    }  # fmt: skip


def logits_in(locality: Locality, side: int, grid: int, dtype: torch.dtype) -> torch.Tensor:
    """Logits [heads, side^2, grid^2 + 19] as a matrix product in `dtype` gives them."""
    q = locality.queries(side, dtype)
    k = Locality.keys(grid, grid * grid + 19, 0, torch.device("cpu"), dtype)
    assert q.dtype == k.dtype == dtype
    return (q @ k.transpose(-1, -2))[0].detach()


def far_apart(locality: Locality, side: int, grid: int) -> float:
    """Largest total variation between attention in bfloat16 and in float32."""
    exact, rounded = (
        logits_in(locality, side, grid, dtype).double().softmax(-1)
        for dtype in (torch.float32, torch.bfloat16)
    )
    return float((exact - rounded).abs().sum(-1).max() / 2)


@pytest.mark.parametrize(("side", "grid"), [(16, 16), (8, 16), (32, 32)])
def test_locality_holds_in_bfloat16(side: int, grid: int) -> None:
    locality = Locality(4, side, grid)
    assert far_apart(locality, side, grid) < 0.03
    for head, offset in enumerate(locality.offset.tolist()):
        logits = logits_in(locality, side, grid, torch.float32)[head, :, : grid * grid].double()
        sharpness = locality.log_sharpness[head].detach().double().exp()
        expected = -sharpness * squared_distances(side, grid, offset)
        assert torch.allclose(logits, expected, rtol=1e-4, atol=1e-4)
    # Where training leads, the parameters are no binary numbers.
    with torch.no_grad():
        locality.log_sharpness += torch.tensor([0.37, -0.21, 0.11, -0.4])
        locality.offset *= 0.83
        locality.elsewhere += 1.7
    assert 0 < far_apart(locality, side, grid) < 0.03
