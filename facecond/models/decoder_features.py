"""What the decoders of diffusers' autoencoders compute on the way from latents to a picture.

One feature map per stage, from the latent side on, each where its stage ends:

    AutoencoderKL, VQModel    the mid block, then every up block
    AutoencoderTiny           the blocks of every resolution
    AutoencoderDC             every up block, from the deepest on
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def stages(autoencoder: Any, raw: Tensor, recompute: bool = False) -> Iterator[Tensor]:
    """Yield the features of an autoencoder's decoder, computing each one only when it is asked for.

    A VQModel's codebook is passed over: rounding to codes has no gradient, and the features should
    tell how far a latent is from another one, not only whether the two have the same code.

    Args:
        autoencoder: AutoencoderKL, VQModel, AutoencoderTiny or AutoencoderDC.
        raw: raw latents [B, C, h, w].
        recompute: keep no activations inside a stage; the backward pass computes them again.
    """
    decoder, kind = autoencoder.decoder, type(autoencoder).__name__

    def run(part: nn.Module, *inputs: Tensor | None) -> Tensor:
        if recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    if kind == "AutoencoderTiny":
        x = torch.tanh(raw / 3) * 3  # the decoder's own soft clamp
        ends = [i for i, layer in enumerate(decoder.layers) if isinstance(layer, nn.Upsample)]
        start = 0
        for end in [*ends, len(decoder.layers) - 1]:  # the last layer makes the picture
            x = run(decoder.layers[start:end], x)
            yield x
            start = end
        return
    if kind == "AutoencoderDC":
        x = decoder.conv_in(raw)
        if decoder.in_shortcut:
            x = x + raw.repeat_interleave(decoder.in_shortcut_repeats, dim=1)
        for block in reversed(decoder.up_blocks):
            if len(block):  # a level may have no layers
                x = run(block, x)
                yield x
        return
    normed_by = raw if autoencoder.config.get("norm_type") == "spatial" else None
    if autoencoder.post_quant_conv is not None:
        raw = autoencoder.post_quant_conv(raw)
    x = run(decoder.mid_block, decoder.conv_in(raw), normed_by)
    yield x
    for block in decoder.up_blocks:
        x = run(block, x, normed_by)
        yield x
