"""Instructed Q-Former: evidence of a reference face -> the tokens that an instruction asks for.

After DEADiff's Q-Formers (one each for "style" and "content", 16 queries, cross-attention in every
block, a residual MLP at the end); as in FiVA-Adapter one trunk serves all instructions, and an
instruction may be the name of a single attribute.
"""

from __future__ import annotations

from math import isqrt
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from facecond.errors import UserError, nearest
from facecond.labels import APPEARANCE, ATTRIBUTES
from facecond.models.positions import sincos_features

WHOLE = "everything"
"""The instruction of the source `reference`: no part is asked for."""
KINDS = ("appearance", "geometry", "identity")
INSTRUCTIONS: tuple[str, ...] = (WHOLE, *KINDS, *ATTRIBUTES)


def instruction_index(take: str) -> int:
    """Row of an instruction; raises `UserError` with the nearest name when there is none."""
    if take not in INSTRUCTIONS:
        raise UserError(f"unknown instruction '{take}'", "--take", nearest(take, INSTRUCTIONS))
    return INSTRUCTIONS.index(take)


def source_of(take: str) -> str:
    """The source that carries what an instruction asks for: a single attribute's tokens enter where
    those of its kind do."""
    instruction_index(take)
    if take == WHOLE:
        return "reference"
    if take in KINDS:
        return f"reference:{take}"
    return "reference:appearance" if take in APPEARANCE else "reference:geometry"


class QFormer(nn.Module):
    """Learned queries, a set per instruction, read the evidence.

    Queries begin as the codes of places spread over the picture and look there, and what they see
    replaces them: tokens begin as a coarse picture of the evidence. A square number of queries lies
    on a grid, which the denoiser's layers may know of (`FaceUNet`, `geometry_grid`).

    Args:
        evidence_shape: number and width of the evidence tokens.
        dim: width of the trunk.
        out_dim: width of the tokens given.
        queries: tokens given.
        depth: blocks.
        heads: attention heads.
        trunks: 1: one trunk for all instructions; 2: one for appearance and one for the rest
            (DEADiff's two Q-Formers).
    """

    def __init__(
        self,
        evidence_shape: tuple[int, int],
        dim: int,
        out_dim: int,
        queries: int = 16,
        depth: int = 2,
        heads: int = 4,
        trunks: int = 1,
    ) -> None:
        super().__init__()
        tokens, width = evidence_shape
        count = len(INSTRUCTIONS)
        self.read = nn.Linear(width, dim)
        self.place = nn.Parameter(place_codes(tokens, dim))
        places = place_codes(queries, dim).expand(count, -1, -1)  # [I, Q, W]
        self.queries = nn.Parameter(places + 0.1 * torch.randn(count, queries, dim))
        self.name = nn.Parameter(torch.randn(count, dim))
        self.look = Attention(dim, heads)
        self.look.align()
        self.trunks = nn.ModuleList(
            nn.ModuleList(Block(dim, heads) for _ in range(depth)) for _ in range(trunks)
        )
        self.projector = Projector(dim, out_dim)

    def forward(self, evidence: Tensor, instruction: Tensor, source: str) -> Tensor:
        """Evidence [B, N, E], instruction int64 [B] (rows of `INSTRUCTIONS`) -> [B, Q, D].

        Args:
            source: that all the instructions are of; it chooses between two trunks.
        """
        seen = self.read(evidence)  # [B, N, W]
        tokens = self.look(self.queries[instruction], seen, self.place)  # [B, Q, W]
        tokens = torch.cat([tokens, self.name[instruction, None]], 1)  # [B, Q + 1, W]
        trunk = self.trunks[-1] if source == "reference:appearance" else self.trunks[0]
        for block in cast(nn.ModuleList, trunk):
            tokens = block(tokens, seen, self.place)  # [B, Q + 1, W]
        return self.projector(tokens[:, :-1])  # [B, Q, D]


def place_codes(count: int, dim: int) -> Tensor:
    """Codes of places, [count, dim]: of the cells of a square grid, by which near ones are alike;
    random where the number is no square."""
    side = isqrt(count)
    return 2 * sincos_features(side, dim) if side**2 == count else torch.randn(count, dim)


class Block(nn.Module):
    """Self-attention over queries and instruction, cross-attention to the evidence, MLP."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.inner, self.outer = Attention(dim, heads), Attention(dim, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        )

    def forward(self, x: Tensor, evidence: Tensor, place: Tensor) -> Tensor:
        """[B, Q, W], [B, N, W], [N, W] -> [B, Q, W]."""
        x = x + self.inner(x, x, None)  # [B, Q, W]
        x = x + self.outer(x, evidence, place)  # [B, Q, W]
        return x + self.mlp(x)  # [B, Q, W]


class Attention(nn.Module):
    """Multi-head attention of normalised tokens; places tell keys apart and are no values."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_key, self.norm_value = (nn.LayerNorm(dim) for _ in range(3))
        self.to_q, self.to_k, self.to_v = (nn.Linear(dim, dim, bias=False) for _ in range(3))
        self.to_out = nn.Linear(dim, dim)

    @torch.no_grad()
    def align(self) -> None:
        """Begin with queries that attend to the keys that are like them."""
        nn.init.orthogonal_(self.to_q.weight)
        self.to_k.weight.copy_(self.to_q.weight)

    def forward(self, x: Tensor, other: Tensor, place: Tensor | None) -> Tensor:
        """Queries [B, Q, W], what they read [B, N, W] and its places [N, W] -> [B, Q, W]."""
        placed = other if place is None else other + place  # [B, N, W]
        projected = (
            self.to_q(self.norm(x)),
            self.to_k(self.norm_key(placed)),
            self.to_v(self.norm_value(other)),
        )
        q, k, v = (rearrange(p, "b n (h d) -> b h n d", h=self.heads) for p in projected)
        out = scaled_dot_product_attention(q, k, v)  # [B, h, Q, d]
        return self.to_out(rearrange(out, "b h q d -> b q (h d)"))  # [B, Q, W]


class Projector(nn.Module):
    """Residual MLP to the width of the condition tokens, normalised like those."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        )
        self.out = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, out_dim), nn.LayerNorm(out_dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, Q, W] -> [B, Q, D]."""
        return self.out(x + self.mlp(x))  # [B, Q, D]
