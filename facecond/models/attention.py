"""Cross-attention that reads several condition sources, each through its own keys and values.

    out = to_out( sum_s  g_s * softmax(q k_s^T / sqrt(d)) v_s )                  combine = sum
    out = to_out( softmax([q k_s^T / sqrt(d) + log g_s]_s) [v_s]_s )             combine = joint

The sum keeps separate softmaxes, so a gate g_s is a plain coefficient; in the joint form sources
compete for one. Either way g_s = 0 is exactly "without this source", and a source whose gate is
zero for good is not even computed. The tokens of a reference may be missing: then its sources are
absent from the computation too. `concat` is `joint` with one projection for the tokens of all
sources: plain token concatenation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import isqrt
from typing import cast

import torch
from diffusers.models.attention import AttentionModuleMixin
from einops import rearrange
from torch import Tensor, nn

from facecond.models.attention_kernels import attend, attend_jointly
from facecond.models.deep_features import DeepFeatures
from facecond.models.positions import Locality, rotate, sincos_features

SHARED = "shared"
"""Name of the one projection of `concat`."""
LANES = 32
"""Keys that processors take at once: a number of keys beside its multiples costs them more."""


@dataclass
class Conditions:
    """What a denoiser is conditioned on.

    Attributes:
        tokens: per source, condition tokens [B, T_s, D]; those of references may be missing.
        gates: weight of each source at each layer, [L, S] or per sample [B, L, S].
        projected: keys and values by (layer id, source), computed once by
            `FaceUNet.project_conditions`; where present they are used in place of the tokens.
        planes: conditions that enter beside the latents, [B, P, h, w]; None where there are none.
        step: of a distilled model, length of the step and scales of guidance, float [B, 1 + S].
        deep: where features are reused between steps, those of this batch.
    """

    tokens: dict[str, Tensor]
    gates: Tensor
    projected: dict[str, dict[str, tuple[Tensor, Tensor]]] = field(default_factory=dict)
    planes: Tensor | None = None
    step: Tensor | None = None
    deep: DeepFeatures | None = None


class MultiSourceAttnProcessor:
    """Adds up what the sources of the layer's plan contribute. Stateless."""

    _attention_backend = None
    _parallel_config = None

    def __call__(
        self, attn: MultiSourceAttention, hidden_states: Tensor, conditions: Conditions
    ) -> Tensor:
        parts = attn.contributions(hidden_states, conditions, self._attention_backend)
        if not parts:
            return attn.to_out(torch.zeros_like(hidden_states))  # [B, N, C]
        return attn.to_out(reduce(torch.add, parts.values()))  # [B, N, C]


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
        combine: `sum`, `joint` or `concat`.
        learned: sources with a learned gate: g_s is multiplied by 2 sigmoid(gamma_s).
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
        combine: str = "sum",
        learned: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.combine = combine
        self.heads, self.layer_index = heads, layer_index
        self.sources, self.plan = tuple(sources), tuple(present)
        self.grids, self.positions = dict(grids), positions
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.ModuleDict(
            {
                name: nn.Linear(condition_dim, 2 * dim, bias=False)
                for name in dict.fromkeys(map(self.projection, present))
            }
        )
        for source, to_kv in self.to_kv.items():
            # Values of zero: at first a reference adds nothing to a sum. Where sources share a
            # softmax it takes attention from the others even so (a little: see its tests).
            if source.split(":")[0] == "reference":
                nn.init.zeros_(cast(nn.Linear, to_kv).weight[dim:])
        self.gamma = nn.ParameterDict({s: nn.Parameter(torch.zeros(())) for s in sorted(learned)})
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

    def contributions(
        self, hidden_states: Tensor, conditions: Conditions, backend: object = None
    ) -> dict[str, Tensor]:
        """What each source of the plan adds before `to_out`, gated: [B, N, C] by source."""
        query = self.query(hidden_states)  # [B, heads, N, d]
        sources = self.given(conditions)
        placed = {
            source: (self.place(query, source), *self.keys_values(conditions, source))
            for source in sources
        }
        gates = {source: self.gate(conditions, source) for source in sources}  # [1 or B, 1, 1, 1]
        if self.combine == "sum":
            attended = {source: attend(*part, backend) for source, part in placed.items()}
        else:
            joint = attend_jointly(list(placed.values()), list(gates.values()))
            attended = dict(zip(placed, joint, strict=True))  # [B, heads, N, d]
        d = query.shape[-1]
        parts = {s: rearrange(a[..., :d], "b h n d -> b n (h d)") for s, a in attended.items()}
        if self.combine == "sum":
            weights = {s: gates[s][..., 0].to(hidden_states.dtype) for s in parts}  # [1 or B, 1, 1]
            parts = {s: weights[s] * part for s, part in parts.items()}  # [B, N, C]
        return parts

    def given(self, conditions: Conditions) -> list[str]:
        """Sources of the plan, but for references that the conditions hold no tokens of."""
        held = conditions.projected.get(str(self.layer_index), conditions.tokens)
        return [s for s in self.plan if s in held or s.split(":")[0] != "reference"]

    def gate(self, conditions: Conditions, source: str) -> Tensor:
        """Weight of a source in this layer, [1 or B, 1, 1, 1]."""
        gate = conditions.gates[..., self.layer_index, self.sources.index(source)]  # [] or [B]
        if source in self.gamma:
            gate = gate * 2 * self.gamma[source].sigmoid()
        return gate.reshape(-1, 1, 1, 1)

    def projection(self, source: str) -> str:
        """Name of the projection that makes a source's keys and values."""
        return SHARED if self.combine == "concat" else source

    def query(self, hidden_states: Tensor) -> Tensor:
        """[B, N, C] -> queries [B, heads, N, d], scaled by 1 / sqrt(d)."""
        query = rearrange(self.to_q(hidden_states), "b n (h d) -> b h n d", h=self.heads)
        return query * query.shape[-1] ** -0.5  # [B, heads, N, d]

    def place(self, query: Tensor, source: str) -> Tensor:
        """Queries [B, heads, N, d] that know their places, where the source's tokens have some."""
        if not self.grids.get(source, 0) or self.positions == "none":
            return query
        side, (b, _, _, d) = isqrt(query.shape[2]), query.shape
        if self.positions == "sincos":
            return query + (sincos_features(side, d, query.device) * d**-0.5).to(query.dtype)
        if self.positions == "rotary":
            return rotate(query, side)
        locality = cast(Locality, self.locality[source])
        extra = locality.queries(side, query.dtype)  # [1, heads, N, 8], in units of logits
        return torch.cat([query, extra.expand(b, -1, -1, -1)], -1)  # [B, heads, N, d + 8]

    def keys_values(self, conditions: Conditions, source: str) -> tuple[Tensor, Tensor]:
        """Keys and values of a source as `project` makes them: the projected ones, or now."""
        projected = conditions.projected.get(str(self.layer_index))
        if projected is not None:
            return projected[source]
        return self.project(conditions.tokens[source], source)

    def project(self, tokens: Tensor, source: str) -> tuple[Tensor, Tensor]:
        """Tokens [B, T, D] -> keys that know their places, and values.

        Each is [B, heads, T, d]. With `locality`, tokens that weigh nothing follow, up to a
        multiple of `LANES`, and keys are wider than d; so are values while nothing trains.
        """
        grid, (b, t, _) = self.grids.get(source, 0), tokens.shape
        led = grid > 0 and self.positions == "locality"
        empty = -t % LANES if led else 0
        tokens = nn.functional.pad(tokens, (0, 0, 0, empty))  # [B, T + empty, D]
        both = self.to_kv[self.projection(source)](tokens)  # [B, T + empty, 2 C]
        pair = rearrange(both, "b t (two h d) -> two b h t d", two=2, h=self.heads)
        key, value = pair.unbind()  # not pair[0]: its gradient would be filled with zeros first
        if not grid or self.positions == "none":
            if not torch.is_grad_enabled():  # kept for many steps, as matrix products want them
                key, value = key.contiguous(), value.contiguous()
            return key, value
        cells, d = grid * grid, key.shape[-1]
        if self.positions == "sincos":
            at_key = sincos_features(grid, d, key.device).to(key.dtype)
            return key + nn.functional.pad(at_key, (0, 0, 0, t - cells)), value
        if self.positions == "rotary":
            return torch.cat([rotate(key[:, :, :cells], grid), key[:, :, cells:]], 2), value
        extra = Locality.keys(grid, t, empty, key.device, key.dtype)  # [1, 1, T + empty, 8]
        key = torch.cat([key, extra.expand(b, self.heads, -1, -1)], -1)  # [B, h, T + empty, d + 8]
        if not torch.is_grad_enabled():  # a fused kernel is next, which wants values as wide
            value = nn.functional.pad(value, (0, key.shape[-1] - d))
        return key, value
