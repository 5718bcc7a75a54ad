"""softmax(q k^T) v in the ways that the denoiser needs, and the self-attention that uses them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor, nn

FEW = 48
"""Keys up to which a CPU is faster without the fused kernel."""


def attend(query: Tensor, key: Tensor, value: Tensor, backend: object = None) -> Tensor:
    """softmax(query key^T) value for [B, heads, N, d]; queries are already scaled.

    On a CPU the softmax is written out while training (the fused kernel's backward is slower there
    in bfloat16) and for few keys, then so that the softmax has the queries side by side in the
    vector registers.
    """
    if query.device.type == "cpu" and key.shape[2] <= FEW:
        logits = key @ query.transpose(-1, -2)  # [B, heads, T, N]
        weights = logits.softmax(-2).to(value.dtype)
        return weights.transpose(-1, -2) @ value  # [B, heads, N, d]
    if query.device.type == "cpu" and torch.is_grad_enabled():
        logits = query @ key.transpose(-1, -2)  # [B, heads, N, T]
        return logits.softmax(-1).to(value.dtype) @ value  # [B, heads, N, d]
    width = value.shape[-1]
    if extra := key.shape[-1] - width:  # fused kernels want values as wide as keys
        value = nn.functional.pad(value, (0, extra))  # [B, heads, T, d + extra]
    flipped = (x.transpose(1, 2) for x in (query, key, value))
    out = dispatch_attention_fn(*flipped, scale=1.0, backend=backend)
    return out.transpose(1, 2)[..., :width]  # [B, heads, N, d]


def rounded(x: Tensor) -> Tensor:
    """x in the number format that autocast multiplies in; without autocast x itself."""
    device = x.device.type
    if device in ("cpu", "cuda") and torch.is_autocast_enabled(device):
        return x.to(torch.get_autocast_dtype(device))
    return x


def attend_jointly(
    parts: Sequence[tuple[Tensor, Tensor, Tensor]], gates: Sequence[Tensor]
) -> list[Tensor]:
    """One softmax over the tokens of every part; log gate is added to the logits of its part.

    A part whose gate is 0 has weight exactly 0 and leaves the others' untouched; where every gate
    is 0, so is the output.

    Args:
        parts: query [B, heads, N, d_p] (already scaled), key [B, heads, T_p, d_p] and value
            [B, heads, T_p, d] of each part. Queries may differ: parts differ in how they know
            their places.
        gates: at least 0, [B or 1, 1, 1, 1] per part.

    Returns:
        What each part adds to the output, [B, heads, N, d] per part.
    """
    logits = [query @ key.transpose(-1, -2) for query, key, _ in parts]  # [B, heads, N, T_p]
    if not logits:
        return []
    open_ = [gate > 0 for gate in gates]
    any_open = torch.stack(open_).any(0)  # [B or 1, 1, 1, 1]
    shifted = [
        torch.where(flag, part + torch.where(flag, gate, 1).log(), -torch.inf)
        for part, gate, flag in zip(logits, gates, open_, strict=True)
    ]
    joined = torch.where(any_open, torch.cat(shifted, -1), 0)  # [B, heads, N, T]
    weights = joined.softmax(-1) * any_open  # [B, heads, N, T]
    shares = weights.split([part.shape[-1] for part in logits], -1)
    return [
        share.to(value.dtype) @ value for share, (_, _, value) in zip(shares, parts, strict=True)
    ]


class SelfAttentionProcessor:
    """diffusers processor for the self-attention beside: the same `attend`."""

    _attention_backend = None
    _parallel_config = None

    def __call__(self, attn: Attention, hidden_states: Tensor, **_: object) -> Tensor:
        hidden_states = rounded(hidden_states)  # once, not in every projection
        projections = (attn.to_q, attn.to_k, attn.to_v)
        q, k, v = (
            rearrange(project(hidden_states), "b n (h d) -> b h n d", h=attn.heads)
            for project in projections
        )  # [B, heads, N, d]
        q = q * q.shape[-1] ** -0.5
        out = attend(q, k, v, self._attention_backend)  # [B, heads, N, d]
        out = rearrange(out, "b h n d -> b n (h d)")  # [B, N, C]
        return attn.to_out[1](attn.to_out[0](out))  # [B, N, C]
