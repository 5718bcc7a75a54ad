"""The trained whole: condition encoder and routed UNet as one module with one forward (for DDP)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn

from facecond.attribute_split import geometry
from facecond.errors import UserError, reason
from facecond.models.attention import Conditions
from facecond.models.attention_kernels import rounded
from facecond.models.conditions import ConditionEncoder
from facecond.models.routing import PARTS, REFERENCES, Layer, Routing, preset
from facecond.models.unet import FaceUNet
from facecond.seeding import key_of

ALL_ALL = partial(preset, "all_all")


class Denoiser(nn.Module):
    """x_t, timestep, attributes, mask, optionally a reference -> prediction."""

    def __init__(self, condition_encoder: ConditionEncoder, unet: FaceUNet) -> None:
        super().__init__()
        self.condition_encoder, self.unet = condition_encoder, unet

    def forward(
        self,
        x_t: Tensor,
        timestep: Tensor,
        attributes: Tensor,
        mask: Tensor,
        gates: Tensor | None = None,
        evidence: Tensor | None = None,
        instructions: Tensor | None = None,
        step: Tensor | None = None,
    ) -> Tensor:
        """[B, C, h, w], [B], int8 [B, 40], uint8 [B, H, W] -> [B, C, h, w].

        Args:
            evidence, instructions: of a reference (`ConditionEncoder.forward`).
            gates: weight of each source at each layer, [L, S] or [B, L, S]; None takes those of
                the routing, where they do not depend on the noise level.
            step: of a distilled model (`Conditions.step`).
        """
        tokens = self.condition_encoder(attributes, mask, evidence, instructions)  # [B, T, D] each
        tokens = {source: rounded(each) for source, each in tokens.items()}  # once for all layers
        planes = self.condition_encoder.planes(mask)  # [B, D, h, w] or None
        gates = self.unet.gates() if gates is None else gates
        conditions = Conditions(tokens, gates, planes=planes, step=step)
        return self.unet(x_t, timestep, conditions).sample  # [B, C, h, w]


def build_denoiser(
    image_size: int,
    latent_size: int,
    latent_channels: int,
    block_out_channels: Sequence[int],
    down_block_types: Sequence[str],
    mid_block_type: str,
    up_block_types: Sequence[str],
    layers_per_block: int,
    attention_head_dim: int,
    norm_num_groups: int,
    condition_dim: int,
    mask_grid: int,
    positions: str,
    mask_input: str = "tokens",
    reference: Callable[[Sequence[str]], Mapping[str, Any]] | None = None,
    guidance_ranges: Mapping[str, Sequence[float]] | None = None,
    route: Callable[[tuple[Layer, ...]], Routing] = ALL_ALL,
    seed: int = 0,
) -> Denoiser:
    """A new denoiser; its weights depend on `seed` alone.

    Args:
        image_size, latent_size: sides in pixels and latent pixels.
        attention_head_dim: width of one attention head.
        mask_input: `tokens`: the mask is a source of the cross-attention; `channels`: it enters
            beside the latents and is no source.
        reference: sources -> the arguments `reference` and `instructions` of `ConditionEncoder`;
            called for a routing with sources of a reference, which needs it.
        guidance_ranges: scales that a distilled model takes as an input (`FaceUNet`).
        route: cross-attention layers -> their routing.
        The rest: see `config.DenoiserConfig`.

    Raises:
        UserError: sizes or block types that do not fit each other, a routing that does not fit.
    """
    if image_size % mask_grid:
        raise UserError(
            f"mask_grid {mask_grid} does not divide the image size {image_size}",
            "denoiser.mask_grid",
            "Use a divisor.",
        )
    for width in block_out_channels:
        if width % attention_head_dim or width % norm_num_groups:
            raise UserError(
                f"width {width} is no multiple of attention_head_dim and norm_num_groups",
                "denoiser.block_out_channels",
                "Change one of them.",
            )
    if positions == "rotary" and attention_head_dim % 4:
        raise UserError(
            f"rotary positions need heads whose width is a multiple of 4, not {attention_head_dim}",
            "denoiser.attention_head_dim",
            "Change one of them.",
        )
    planes = condition_dim if mask_input == "channels" else 0
    options: dict[str, Any] = {
        "sample_size": latent_size,
        "in_channels": latent_channels + planes,
        "out_channels": latent_channels,
        "block_out_channels": tuple(block_out_channels),
        "down_block_types": tuple(down_block_types),
        "mid_block_type": mid_block_type,
        "up_block_types": tuple(up_block_types),
        "layers_per_block": layers_per_block,
        # diffusers' argument of this name is the number of heads per level.
        "attention_head_dim": tuple(width // attention_head_dim for width in block_out_channels),
        "norm_num_groups": norm_num_groups,
        "cross_attention_dim": condition_dim,
        "mask_grid": mask_grid,
        "positions": positions,
        # The same map as a 1 x 1 convolution, without its changes of layout.
        "use_linear_projection": True,
    }
    try:
        with torch.device("meta"):
            layers = FaceUNet(**options).trained_routing.layers
    except (ValueError, TypeError, RuntimeError, LookupError) as error:  # diffusers raises them all
        raise UserError(
            f"these blocks cannot be built ({reason(error)})",
            "denoiser",
            "Correct the block types; each level has a width, a down block and an up block.",
        ) from None
    table = route(layers)
    if planes and "mask" in table.sources:
        raise UserError(
            "the mask cannot be both a source and channels",
            "denoiser.mask_input",
            "Set routing.sources=[attributes], or denoiser.mask_input=tokens.",
        )
    parts = any(source in PARTS for source in table.sources)
    read: Mapping[str, Any] = {}
    geometry_grid = 0
    if reference is not None and any(source in REFERENCES for source in table.sources):
        read = reference(table.sources)
        queries = int(read["reference"]["queries"])
        geometry_grid = isqrt(queries) if isqrt(queries) ** 2 == queries else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(seed, "denoiser") >> 1)
        encoder = ConditionEncoder(
            condition_dim,
            image_size,
            mask_grid,
            table.sources,
            geometry() if parts else (),
            latent_size if planes else 0,
            **read,
        )
        unet = FaceUNet(
            routing=table.to_dict(),
            geometry_grid=geometry_grid,
            guidance_ranges=guidance_ranges,
            **options,
        )
        return Denoiser(encoder, unet)
