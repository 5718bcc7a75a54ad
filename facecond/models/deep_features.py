"""Feature reuse between steps (Ma et al. 2024, DeepCache).

From step to step the deep blocks of a denoiser change little. Where they are reused, the outermost
down and up block run at every step, and everything between them at every few steps only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from facecond.errors import UserError


class DeepFeatures:
    """What the deep blocks made of one batch of conditions, while it may be used.

    Args:
        every: number of steps that it is used for; 1 = never again.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self.value: Tensor | None = None
        """What the outermost up block goes on from, [B, C, h, w]; None = to be made."""
        self._made = 0
        self._open = torch.zeros(0)

    def begin(self, step: int, gates: Tensor) -> None:
        """Forget what is too old, or was made while other sources were open: a gate of zero stays
        exactly "without this source".

        Args:
            step: number of the step that begins, from 0.
            gates: of that step, [L, S] or [B, L, S].
        """
        open_ = gates != 0
        young = self.value is not None and step - self._made < self.every
        if not (young and torch.equal(open_, self._open)):
            self.value, self._made, self._open = None, step, open_


def check_every(every: int) -> None:
    """Raise `UserError` for a number of steps that cannot be."""
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        fix = "Use 1 (no reuse), 2 or more."
        raise UserError(f"{every!r} is no number of steps", "feature_reuse", fix)


def predict(
    unet: Any,
    sample: Tensor,
    timestep: Tensor | float | int,
    conditions: Any,
    features: DeepFeatures,
) -> Tensor:
    """A pass of a `UNet2DConditionModel` with deep features, made now or before.

    Where they are made now, the result is that of the model's own `forward`.

    Args:
        sample: x_t with its planes, [B, C, h, w].
        conditions: what the model's cross-attention reads.
    """
    embedding = unet.time_embedding(unet.get_time_embed(sample, timestep))  # [B, D]

    def run(block: Any, hidden: Tensor, **more: Any) -> Any:
        reads = getattr(block, "has_cross_attention", False)
        told = {"encoder_hidden_states": conditions} if reads else {}
        return block(hidden_states=hidden, temb=embedding, **told, **more)

    hidden = unet.conv_in(sample)  # [B, C_0, h, w]
    first, *deeper = unet.down_blocks
    *inner, last = unet.up_blocks
    lower, kept = run(first, hidden)
    skips = (hidden, *kept)
    if features.value is None:
        below = skips
        for block in deeper:
            lower, kept = run(block, lower)
            below += kept
        if unet.mid_block is not None:
            lower = run(unet.mid_block, lower)  # [B, C_n, h / 2^n, w / 2^n]
        odd = any(side % 2**unet.num_upsamplers for side in sample.shape[2:])
        for block in inner:
            kept, below = below[-len(block.resnets) :], below[: -len(block.resnets)]
            size = below[-1].shape[2:] if odd else None  # twice as large is one too many
            lower = run(block, lower, res_hidden_states_tuple=kept, upsample_size=size)
        features.value = lower  # [B, C_1, h, w]
    outer = skips[: len(last.resnets)]
    hidden = run(last, features.value, res_hidden_states_tuple=outer)  # [B, C_0, h, w]
    if unet.conv_norm_out is not None:
        hidden = unet.conv_act(unet.conv_norm_out(hidden))
    return unet.conv_out(hidden)  # [B, C_out, h, w]
