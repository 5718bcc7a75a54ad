"""A peer's UNet behind the interface of `FaceUNet`: our loop trains it, our pipeline samples it.

All tokens are concatenated and read through the peer's one projection per layer. What facecond
spends on a projection per source goes, for the peer, into an MLP on the attributes' tokens in front
of it: the parameters are equal, and the work that it adds is that on 40 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from facecond.benchmarks import peers
from facecond.benchmarks.work import Work, own_denoiser, parameters_of, seeded
from facecond.errors import UserError
from facecond.models.attention import Conditions
from facecond.models.conditions import ConditionEncoder
from facecond.models.denoiser import Denoiser
from facecond.models.routing import SOURCES, Layer, Routing, preset

__all__ = ["ModelMixin", "PeerUNet", "peer_denoiser"]
_ONLY = "0"
"""The one layer that its conditions are kept under."""


class PeerUNet(ModelMixin, ConfigMixin):
    """Denoiser x_t, t, conditions -> prediction, made by others.

    Args:
        kind: one of `peers.PEERS`, registered before.
        architecture: arguments of `diffusers.UNet2DConditionModel`; others are translated from it.
        adapter_width: hidden width of the MLP on the attributes' tokens; 0 = none.
        sample_size, out_channels: side and channels of the latents.
    """

    @register_to_config
    def __init__(
        self,
        kind: str,
        architecture: Mapping[str, Any],
        adapter_width: int = 0,
        sample_size: int = 16,
        out_channels: int = 4,
    ) -> None:
        super().__init__()
        peers.require(kind)
        build = _stock if kind == peers.DIFFUSERS else _latent_diffusion
        self.theirs = build(architecture)
        width, hidden = architecture["cross_attention_dim"], adapter_width
        self.adapter: nn.Module | None = None
        if hidden:
            layers = nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, width)
            self.adapter = nn.Sequential(*layers)
        whole = (Layer("theirs", "mid", sample_size),)
        self.routing = self.trained_routing = preset("all_all", whole, SOURCES, "concat")

    def forward(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Conditions, **_: Any
    ) -> UNet2DConditionOutput:
        """x_t [B, C, h, w], timestep [] or [B], conditions -> an output with `sample`."""
        kept = encoder_hidden_states.projected.get(_ONLY)
        context = kept["all"][0] if kept else self.joined(encoder_hidden_states.tokens)
        return UNet2DConditionOutput(sample=self.predict(sample, timestep, context))

    def predict(self, x_t: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
        """The peer itself: [B, C, h, w], [] or [B], tokens [B, T, D] -> [B, C, h, w]."""
        if self.config.kind == peers.DIFFUSERS:
            return self.theirs(x_t, timestep, context).sample
        at = torch.as_tensor(timestep, device=x_t.device).expand(len(x_t))  # [B]
        return self.theirs(x_t, at, context=context)

    @apply_forward_hook
    def joined(self, tokens: Mapping[str, Tensor]) -> Tensor:
        """Tokens by source -> [B, T, D]."""
        attributes = tokens["attributes"]
        if self.adapter is not None:
            attributes = attributes + self.adapter(attributes)
        return torch.cat([attributes, *(tokens[s] for s in SOURCES if s != "attributes")], 1)

    def project_conditions(
        self, tokens: Mapping[str, Tensor], planes: Tensor | None = None
    ) -> Conditions:
        """Conditions that are read once for all steps: the joined tokens."""
        joined = self.joined(tokens)
        return Conditions({}, self.gates(), {_ONLY: {"all": (joined, joined)}}, planes)

    def gates(self, log_snr: Tensor | None = None, device: torch.device | None = None) -> Tensor:
        """Ones, float32 [1, S]: a peer reads every source in every layer."""
        return torch.ones(1, len(SOURCES), device=device or self.device)

    def use_routing(self, routing: Routing) -> None:
        """Raise `UserError` where it is not that of the training: a peer has no other."""
        if routing != self.trained_routing:
            raise UserError("has no routing", self.config.kind, "Leave the routing out.")

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout of its weights and maps: as its authors leave it."""
        return torch.contiguous_format

    def freeze_off_cells(self) -> None:
        """Nothing is off."""

    @property
    def routed(self) -> frozenset[str]:
        """Sources that it reads: all."""
        return frozenset(SOURCES)

    def cross_attentions(self) -> Sequence[Any]:
        """What reads the conditions: the network as a whole."""
        return [SimpleNamespace(plan=SOURCES, gamma={})]


def _stock(architecture: Mapping[str, Any]) -> nn.Module:
    return UNet2DConditionModel(**architecture)


def _latent_diffusion(wanted: Mapping[str, Any]) -> nn.Module:
    """CompVis' UNetModel with SpatialTransformer of the same widths, levels and heads."""
    from ldm.modules.diffusionmodules.openaimodel import UNetModel

    widths, heads = wanted["block_out_channels"], wanted["attention_head_dim"]
    where = [i for i, kind in enumerate(wanted["down_block_types"]) if "CrossAttn" in kind]
    mirrored = [i for i, kind in enumerate(reversed(wanted["up_block_types"])) if "Cross" in kind]
    if any(width % widths[0] for width in widths) or where != mirrored:
        what = "its levels cannot be those of latent-diffusion"
        raise UserError(what, "denoiser", "Use widths that are multiples of the first, and up "
                        "blocks that mirror the down blocks.")  # fmt: skip
    return UNetModel(
        image_size=wanted["sample_size"],
        in_channels=wanted["in_channels"],
        out_channels=wanted["out_channels"],
        model_channels=widths[0],
        channel_mult=tuple(width // widths[0] for width in widths),
        num_res_blocks=wanted["layers_per_block"],
        attention_resolutions=[2**level for level in where],
        num_head_channels=widths[0] // heads[0],
        use_spatial_transformer=True,
        context_dim=wanted["cross_attention_dim"],
        legacy=False,
    )


def without_checkpointing(network: nn.Module) -> None:
    """Switch off what latent-diffusion recomputes in every backward pass, a setting that its
    UNetModel does not pass on."""
    for module in network.modules():
        if hasattr(module, "checkpoint") and isinstance(module.checkpoint, bool):
            module.checkpoint = False


def peer_denoiser(kind: str, work: Work, seed: int) -> Denoiser:
    """A peer's denoiser, new: the same condition encoder, latents, widths and levels as
    `own_denoiser`, and as many parameters.

    Raises:
        UserError: an architecture that the peer does not have.
    """
    config = work.config.denoiser
    with torch.device("meta"):
        own = own_denoiser(work, seed)
    if own.unet.trained_routing.sources != SOURCES:
        raise UserError("peers read attributes and mask", "routing", "Leave the sources as is.")
    taken = ("in_channels", "out_channels", "sample_size", "block_out_channels",
             "down_block_types", "mid_block_type", "up_block_types", "layers_per_block",
             "attention_head_dim", "norm_num_groups", "cross_attention_dim")  # fmt: skip
    architecture = {name: own.unet.config[name] for name in taken}
    channels, side, _ = work.latent_shape
    options: dict[str, Any] = {"kind": kind, "architecture": architecture}
    options |= {"sample_size": side, "out_channels": channels}
    with torch.device("meta"):
        missing = parameters_of(own.unet) - parameters_of(PeerUNet(**options))
    width = config.condition_dim
    adapter = max(0, round((missing - width) / (2 * width + 1)))
    with seeded(seed, "peer", kind):
        encoder = ConditionEncoder(width, work.image_size, config.mask_grid, SOURCES)
        return Denoiser(encoder, PeerUNet(**options, adapter_width=adapter))
