"""Where a query looks: three ways to tell cross-attention about 2-D positions.

Queries lie on a side x side grid, the first grid*grid keys on a grid over the same picture; the
remaining keys (class tokens, attribute tokens) have no place. Coordinates are those of cell centres
in [-1, 1], so that query and key grids of different resolution agree.

- `sincos`: sine-cosine features of the position are added to queries and keys (Vaswani et al.
  2017, in two dimensions);
- `rotary`: queries and keys are rotated by angles that grow with the position (Su et al. 2021,
  axial), so that logits depend on the offset;
- `locality`: each head's logit loses sharpness * |position difference|^2. The square expands to a
  dot product of a few extra query and key channels, so every attention kernel can compute it.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn

EXTRA_CHANNELS = 8
"""Channels that `locality` appends to queries and keys."""
FAR = 2.0**14
"""Squared distance of a key that nobody looks at; every number format holds it."""


def cell_centres(side: int, device: torch.device | None = None) -> Tensor:
    """Row and column of each cell centre in [-1, 1]: float32 [side * side, 2], row-major."""
    centres = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side * 2 - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="ij"), -1).reshape(-1, 2)


def sincos_features(side: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sine-cosine features [side * side, dim]: frequencies 2^0 .. 2^4 half turns per axis."""
    frequencies = math.pi * torch.logspace(0, 4, dim // 4, base=2.0, device=device)
    angles = cell_centres(side, device)[:, :, None] * frequencies  # [N, 2, dim / 4]
    features = torch.cat([angles.sin(), angles.cos()], -1).flatten(1)  # [N, dim]
    return torch.nn.functional.pad(features, (0, dim - features.shape[1]))


def rotate(x: Tensor, side: int) -> Tensor:
    """Axial rotary embedding of x [B, heads, side * side, d] (d a multiple of 4)."""
    quarter = x.shape[-1] // 4
    frequencies = math.pi * torch.logspace(-1, 3, quarter, base=2.0, device=x.device)
    angles = cell_centres(side, x.device)[:, :, None] * frequencies  # [N, 2, d / 4]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    pairs = rearrange(x, "b h n (yx half d) -> b h n yx half d", yx=2, half=2)
    first, second = pairs.unbind(-2)  # [B, h, N, 2, d / 4]
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], -2)
    return rearrange(turned, "b h n yx half d -> b h n (yx half d)")


class Locality(nn.Module):
    """Extra channels whose dot product is -sharpness |p_query + offset - p_key|^2 per head.

    The square is completed from factors that are already rounded to the dtype of the attention, and
    what rounding leaves over gets channels of its own: in bfloat16 the large terms would otherwise
    not cancel. With a = 2 s p and c = -|a|^2 / 4s (both rounded; c also has its remainder r),

        q' = (a_y, a_x, -s, -s, c, r, elsewhere, -s),  k' = (y, x, y^2, x^2, 1, 1, 0, rest)

    give q' k' = -s |p - p'|^2. A key that lies nowhere has k' = (0, 0, 0, 0, 0, 0, 1, 0) and gets
    the logit `elsewhere`.

    Heads start with the reach of one key cell, aimed at the four quarters of the query's own cell,
    so that a coarse query reads the finer layout below it. Sharpness, offset and `elsewhere` are
    learned.

    Args:
        heads: attention heads.
        side: of the query grid.
        grid: of the key grid.
    """

    def __init__(self, heads: int, side: int, grid: int) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.full((heads,), 2 * math.log(grid)))
        quarters = torch.tensor([(-1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (1.0, -1.0)])
        self.offset = nn.Parameter(quarters[torch.arange(heads) % 4] * 0.5 / side)
        self.elsewhere = nn.Parameter(torch.full((heads,), -3.0))

    def queries(self, side: int, dtype: torch.dtype) -> Tensor:
        """[1, heads, side * side, EXTRA_CHANNELS]; logits are their products with the keys."""
        p = cell_centres(side, self.offset.device) + self.offset[:, None]  # [heads, N, 2]
        s = _rounded(self.log_sharpness.exp(), dtype)[:, None, None]
        s = s.expand(-1, p.shape[1], 1)  # [heads, N, 1]
        linear = _rounded(2 * s * p, dtype)  # [heads, N, 2]
        constant = -linear.square().sum(-1, keepdim=True) / (4 * s)  # [heads, N, 1]
        coarse = _rounded(constant, dtype)
        elsewhere = self.elsewhere[:, None, None].expand_as(s)
        parts = [linear, -s, -s, coarse, constant - coarse, elsewhere, -s]
        return torch.cat(parts, -1).to(dtype)[None]

    @staticmethod
    def keys(grid: int, count: int, empty: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """[1, 1, count + empty, EXTRA_CHANNELS]; keys beyond grid * grid lie nowhere, and the empty
        ones so far away that their weight is exactly 0."""
        p = cell_centres(grid, device)  # [grid * grid, 2]
        square = p.square()
        rest = (square - _rounded(square, dtype)).sum(-1, keepdim=True)
        ones = torch.ones_like(rest)
        placed = torch.cat([p, square, ones, ones, 0 * ones, rest], -1)  # [grid * grid, 8]
        nowhere = torch.zeros(count - grid * grid, EXTRA_CHANNELS, device=device)
        nowhere[:, 6] = 1
        away = torch.zeros(empty, EXTRA_CHANNELS, device=device)
        away[:, 2:4] = FAR
        return torch.cat([placed, nowhere, away]).to(dtype)[None, None]


def _rounded(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x as `dtype` will hold it, in float32."""
    return x.to(dtype).float()
