"""Cross-attention that reads several condition sources, each through its own keys and values.

    out = to_out( sum_s  g_s * softmax(q k_s^T / sqrt(d)) v_s )

The sources keep separate softmaxes, so a gate g_s is a plain coefficient and g_s = 0 is exactly
"without this source". A source whose gate is zero for good is not even computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isqrt
from typing import cast

import torch
from diffusers.models.attention import AttentionModuleMixin
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.attention_processor import Attention
from einops import rearrange
from torch import Tensor, nn

from facecond.models.positions import Locality, rotate, sincos_features


@dataclass
class Conditions:
    """What a denoiser is conditioned on.

    Attributes:
        tokens: per source, condition tokens [B, T_s, D].
        gates: weight of each source at each layer, [L, S] or per sample [B, L, S].
        projected: keys and values by (layer id, source), computed once by
            `FaceUNet.project_conditions`; where present they are used in place of the tokens.
    """

    tokens: dict[str, Tensor]
    gates: Tensor
    projected: dict[str, dict[str, tuple[Tensor, Tensor]]] = field(default_factory=dict)


def attend(query: Tensor, key: Tensor, value: Tensor, backend: object = None) -> Tensor:
    """softmax(query key^T) value for [B, heads, N, d]; queries are already scaled.

    While training on a CPU the softmax is written out: the fused kernel's backward is slower there
    in bfloat16.
    """
    if query.device.type == "cpu" and torch.is_grad_enabled():
        logits = query @ key.transpose(-1, -2)  # [B, heads, N, T]
        return logits.softmax(-1).to(value.dtype) @ value  # [B, heads, N, d]
    width = value.shape[-1]
    if extra := key.shape[-1] - width:  # fused kernels want values as wide as keys
        value = nn.functional.pad(value, (0, extra))  # [B, heads, T, d + extra]
    flipped = (x.transpose(1, 2) for x in (query, key, value))
    out = dispatch_attention_fn(*flipped, scale=1.0, backend=backend)
    return out.transpose(1, 2)[..., :width]  # [B, heads, N, d]


class SelfAttentionProcessor:
    """diffusers processor for the self-attention beside: the same `attend`."""

    _attention_backend = None
    _parallel_config = None

    def __call__(self, attn: Attention, hidden_states: Tensor, **_: object) -> Tensor:
        projections = (attn.to_q, attn.to_k, attn.to_v)
        q, k, v = (
            rearrange(project(hidden_states), "b n (h d) -> b h n d", h=attn.heads)
            for project in projections
        )  # [B, heads, N, d]
        q = q * q.shape[-1] ** -0.5
        out = attend(q, k, v, self._attention_backend)  # [B, heads, N, d]
        out = rearrange(out, "b h n d -> b n (h d)")  # [B, N, C]
        return attn.to_out[1](attn.to_out[0](out))  # [B, N, C]


class MultiSourceAttnProcessor:
    """Attends to every source of the layer's plan and adds the gated results. Stateless."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self, attn: MultiSourceAttention, hidden_states: Tensor, conditions: Conditions
    ) -> Tensor:
        query = attn.query(hidden_states)  # [B, heads, N, d]
        out = torch.zeros_like(hidden_states)  # [B, N, C]
        for source in attn.plan:
            q, k, v = attn.place(query, *attn.keys_values(conditions, source), source)
            attended = attend(q, k, v, self._attention_backend)  # [B, heads, N, d]
            column = attn.sources.index(source)
            gate = conditions.gates[..., attn.layer_index, column]  # [] or [B]
            gate = gate.reshape(-1, 1, 1).to(out.dtype)  # [1 or B, 1, 1]
            out = out + gate * rearrange(attended, "b h n d -> b n (h d)")  # [B, N, C]
        return attn.to_out(out)  # [B, N, C]


class MultiSourceAttention(nn.Module, AttentionModuleMixin):
    """One cross-attention layer over several sources.

    Args:
        dim: width of the hidden states.
        heads: attention heads; `dim` is a multiple of it.
        condition_dim: width of the condition tokens.
        sources: all sources of the denoiser, in the order of the gates' columns.
        present: those that have parameters in this layer.
        grids: per source, side of the token grid that leads its tokens; 0 = tokens without place.
        positions: `none`, `sincos`, `rotary` or `locality` (see `positions.py`).
        layer_index: row of this layer in the gates.
        side: of the query grid, where `locality` starts from.
    """

    processor: MultiSourceAttnProcessor
    _default_processor_cls = MultiSourceAttnProcessor
    _available_processors = (MultiSourceAttnProcessor,)
    _supports_qkv_fusion = False

    def __init__(
        self,
        dim: int,
        heads: int,
        condition_dim: int,
        sources: Sequence[str],
        present: Sequence[str],
        grids: Mapping[str, int],
        positions: str,
        layer_index: int,
        side: int,
    ) -> None:
        super().__init__()
        self.heads, self.layer_index = heads, layer_index
        self.sources, self.plan = tuple(sources), tuple(present)
        self.grids, self.positions = dict(grids), positions
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.ModuleDict(
            {source: nn.Linear(condition_dim, 2 * dim, bias=False) for source in present}
        )
        self.to_out = nn.Linear(dim, dim)
        placed = [source for source in present if self.grids.get(source)]
        self.locality = nn.ModuleDict(
            {s: Locality(heads, side, grids[s]) for s in placed if positions == "locality"}
        )
        self.processor = MultiSourceAttnProcessor()

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Conditions,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [B, N, C] -> gated sum over sources [B, N, C]."""
        return self.processor(self, hidden_states, encoder_hidden_states)

    def query(self, hidden_states: Tensor) -> Tensor:
        """[B, N, C] -> queries [B, heads, N, d], not yet scaled."""
        return rearrange(self.to_q(hidden_states), "b n (h d) -> b h n d", h=self.heads)

    def keys_values(self, conditions: Conditions, source: str) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, T, d] of a source: the projected ones, or from tokens."""
        projected = conditions.projected.get(str(self.layer_index))
        if projected is not None:
            return projected[source]
        return self.project(conditions.tokens[source], source)

    def project(self, tokens: Tensor, source: str) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, D] -> keys and values, each [B, heads, T, d]."""
        pair = rearrange(
            self.to_kv[source](tokens), "b t (two h d) -> two b h t d", two=2, h=self.heads
        )
        return pair[0], pair[1]

    def place(
        self, query: Tensor, key: Tensor, value: Tensor, source: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scale the queries by 1 / sqrt(d); add positions where the source's tokens have places."""
        grid, scale = self.grids.get(source, 0), query.shape[-1] ** -0.5
        if not grid or self.positions == "none":
            return query * scale, key, value
        side, (b, _, t, d) = isqrt(query.shape[2]), key.shape
        cells = grid * grid
        if self.positions == "sincos":
            at_query = sincos_features(side, d, query.device).to(query.dtype)  # [N, d]
            at_key = sincos_features(grid, d, key.device).to(key.dtype)
            at_key = nn.functional.pad(at_key, (0, 0, 0, t - cells))  # [T, d]
            return (query + at_query) * scale, key + at_key, value
        if self.positions == "rotary":
            turned = torch.cat([rotate(key[:, :, :cells], grid), key[:, :, cells:]], 2)
            return rotate(query, side) * scale, turned, value
        locality = cast(Locality, self.locality[source])
        extra_q = locality.queries(side, query.dtype)  # [1, heads, N, 8], in units of logits
        extra_k = Locality.keys(grid, t, key.device, key.dtype)  # [1, 1, T, 8]
        query = torch.cat([query * scale, extra_q.expand(b, -1, -1, -1)], -1)  # [B, h, N, d + 8]
        key = torch.cat([key, extra_k.expand(b, self.heads, -1, -1)], -1)  # [B, h, T, d + 8]
        return query, key, value
