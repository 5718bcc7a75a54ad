"""Instructed Q-Former: evidence of a reference face -> the tokens that an instruction asks for.

After DEADiff's Q-Formers (one each for "style" and "content", 16 queries, cross-attention in every
block, a residual MLP at the end); as in FiVA-Adapter one trunk serves all instructions, and an
instruction may be the name of a single attribute.
"""

from __future__ import annotations

from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from facecond.errors import UserError, nearest
from facecond.labels import APPEARANCE, ATTRIBUTES

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
        self.place = nn.Parameter(0.02 * torch.randn(tokens, dim))
        # Instructions begin alike, so that what one learns serves the others.
        alike = torch.randn(queries, dim).expand(count, -1, -1)
        self.queries = nn.Parameter(alike + 0.1 * torch.randn(count, queries, dim))
        self.name = nn.Parameter(torch.randn(count, dim))
        self.trunks = nn.ModuleList(
            nn.ModuleList(Block(dim, heads) for _ in range(depth)) for _ in range(trunks)
        )
        self.projector = Projector(dim, out_dim)

    def forward(self, evidence: Tensor, instruction: Tensor, source: str) -> Tensor:
        """Evidence [B, N, E], instruction int64 [B] (rows of `INSTRUCTIONS`) -> [B, Q, D].

        Args:
            source: that all the instructions are of; it chooses between two trunks.
        """
        seen = self.read(evidence) + self.place  # [B, N, W]
        asked = torch.cat([self.queries[instruction], self.name[instruction, None]], 1)
        trunk = self.trunks[-1] if source == "reference:appearance" else self.trunks[0]
        for block in cast(nn.ModuleList, trunk):
            asked = block(asked, seen)  # [B, Q + 1, W]
        return self.projector(asked[:, :-1])  # [B, Q, D]


class Block(nn.Module):
    """Self-attention over queries and instruction, cross-attention to the evidence, MLP."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.inner, self.outer = Attention(dim, heads), Attention(dim, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim)
        )

    def forward(self, x: Tensor, evidence: Tensor) -> Tensor:
        """[B, Q, W] and [B, N, W] -> [B, Q, W]."""
        x = x + self.inner(x, None)  # [B, Q, W]
        x = x + self.outer(x, evidence)  # [B, Q, W]
        return x + self.mlp(x)  # [B, Q, W]


class Attention(nn.Module):
    """Multi-head attention of normalised tokens to themselves or to others."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_other = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(dim, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, other: Tensor | None) -> Tensor:
        """[B, Q, W], and [B, N, W] or None for x itself -> [B, Q, W]."""
        x = self.norm(x)
        read = x if other is None else self.norm_other(other)
        q = rearrange(self.to_q(x), "b q (h d) -> b h q d", h=self.heads)  # [B, h, Q, d]
        k, v = rearrange(self.to_kv(read), "b n (two h d) -> two b h n d", two=2, h=self.heads)
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
