"""Positions: where the cells are, what depends on the offset alone, the distance in a product."""

from __future__ import annotations

import math

import pytest
import torch

from facecond.models.positions import (
    EXTRA_CHANNELS,
    Locality,
    cell_centres,
    rotate,
    sincos_features,
)


def squared_distances(side: int, grid: int) -> torch.Tensor:
    """|p - p'|^2 of query cell and key cell [side^2, grid^2], from rows and columns."""

    def centre(index: int, cells: int) -> tuple[float, float]:
        row, column = divmod(index, cells)
        return ((2 * row + 1) / cells - 1, (2 * column + 1) / cells - 1)

    queries = [centre(i, side) for i in range(side * side)]
    keys = [centre(i, grid) for i in range(grid * grid)]
    return torch.tensor(
        [[(a - c) ** 2 + (b - d) ** 2 for c, d in keys] for a, b in queries], dtype=torch.float64
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


@pytest.mark.parametrize(("side", "grid"), [(8, 8), (8, 4), (4, 16)])
def test_locality_is_minus_sharpness_times_squared_distance(side: int, grid: int) -> None:
    locality = Locality(3)
    count = grid * grid + 5
    q = locality.queries(side, torch.float32)
    k = Locality.keys(grid, count, torch.device("cpu"), torch.float32)
    assert q.shape == (1, 3, side * side, EXTRA_CHANNELS)
    assert k.shape == (1, 1, count, EXTRA_CHANNELS)
    bias = (q @ k.transpose(-1, -2))[0].double()
    sharpness = locality.log_sharpness.exp().double()[:, None, None]
    expected = -sharpness * squared_distances(side, grid)
    assert torch.allclose(bias[..., : grid * grid], expected, rtol=1e-5, atol=1e-4)
    assert not bias[..., grid * grid :].any()  # tokens without a place


def test_locality_is_exact_for_binary_sharpness() -> None:
    locality = Locality(1)
    locality.log_sharpness.data.fill_(0.0)
    q = locality.queries(8, torch.float32)
    k = Locality.keys(8, 64, torch.device("cpu"), torch.float32)
    assert torch.equal((q @ k.transpose(-1, -2))[0, 0].double(), -squared_distances(8, 8))


def test_locality_keys_are_exact_in_bfloat16_up_to_16() -> None:
    cpu = torch.device("cpu")
    exact = Locality.keys(16, 256, cpu, torch.float32)
    assert torch.equal(Locality.keys(16, 256, cpu, torch.bfloat16).float(), exact)


def test_locality_starts_from_half_a_picture_to_one_cell() -> None:
    sharpness = Locality(4).log_sharpness.exp()
    assert sharpness[0] == pytest.approx(2.0, rel=1e-5)
    assert sharpness[-1] == pytest.approx(128.0, rel=1e-5)
    assert torch.allclose(sharpness[1:] / sharpness[:-1], torch.tensor(math.pow(64, 1 / 3)))
