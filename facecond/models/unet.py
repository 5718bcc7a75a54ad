"""FaceUNet: diffusers' UNet2DConditionModel whose cross-attention reads routed sources."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers import ModelMixin, UNet2DConditionModel  # the loader looks ModelMixin up here
from diffusers.configuration_utils import register_to_config
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor

from facecond import devices
from facecond.errors import UserError
from facecond.models import routing as routings
from facecond.models.attention import Conditions, MultiSourceAttention
from facecond.models.attention_kernels import SelfAttentionProcessor
from facecond.models.deep_features import predict
from facecond.models.routing import Layer, Routing
from facecond.models.step_features import step_features, width

__all__ = ["FaceUNet", "ModelMixin", "cross_attention_layers"]

PLACED = ("reference", "reference:geometry")
"""Sources whose tokens tell the geometry of a reference: they keep their places."""


class FaceUNet(UNet2DConditionModel):
    """Denoiser x_t, t, conditions -> prediction, with a routing table for its conditions.

    Conditions may also enter beside the latents (`Conditions.planes`); `in_channels` counts them.

    Args:
        routing: routing table (`Routing.to_dict()`), or the name of a preset.
        mask_grid: side of the mask's token grid.
        geometry_grid: side of the grid that the tokens of a reference lie on where they tell its
            geometry (`reference:geometry`, and `reference`, which tells everything); 0 = none.
        positions: how queries and mask tokens know their places (`positions.py`).
        guidance_ranges: of a distilled model: source -> least and greatest scale of guidance that
            it takes as an input, beside the length of the step (`step_features.py`), in the order
            of their names; None = it is told neither.
        unet: the arguments of `diffusers.UNet2DConditionModel`.

    The module path of this class is written into saved models: it must not change.
    """

    def __init__(
        self,
        routing: Mapping[str, Any] | str = "all_all",
        mask_grid: int = 16,
        geometry_grid: int = 0,
        positions: str = "locality",
        guidance_ranges: Mapping[str, Sequence[float]] | None = None,
        **unet: Any,
    ) -> None:
        features = None if guidance_ranges is None else width(guidance_ranges)
        super().__init__(**unet | {"time_cond_proj_dim": features})
        if guidance_ranges is not None:  # begin as the model that is distilled
            torch.nn.init.zeros_(self.time_embedding.cond_proj.weight)
            self.register_to_config(guidance_ranges=dict(sorted(guidance_ranges.items())))
        layers = cross_attention_layers(self)
        if isinstance(routing, str):
            table = routings.preset(routing, layers)
        else:
            table = Routing.from_dict(routing)
            if table.layers != layers:
                raise UserError(
                    "the routing was made for another architecture",
                    f"routing '{table.name}'",
                    "Make it from this model's layers (`facecond routing show MODEL`).",
                )
        self.register_to_config(routing=table.to_dict())
        self.trained_routing = self.routing = table
        states, learned = table.states(), table.learned()
        for index, layer in enumerate(layers):
            block = self.get_submodule(layer.id)
            present = [
                s
                for s, state in zip(table.sources, states[index], strict=True)
                if state != "absent"
            ]
            block.attn2 = MultiSourceAttention(
                dim=block.attn2.to_q.in_features,
                heads=block.attn2.heads,
                condition_dim=self.config.cross_attention_dim,
                sources=table.sources,
                present=present,
                grids={"mask": mask_grid} | dict.fromkeys(PLACED, geometry_grid),
                positions=positions,
                layer_index=index,
                side=layer.resolution,
                combine=table.combine,
                learned=learned[index],
            )
            block.attn1.set_processor(SelfAttentionProcessor())
        self.use_routing(table)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float | int,
        encoder_hidden_states: Conditions,
        **options: Any,
    ) -> Any:
        """x_t [B, C, h, w], timestep [] or [B], conditions -> an output with `sample` [B, C, h, w].

        `options` are those of `diffusers.UNet2DConditionModel.forward`.

        Raises:
            UserError: a distilled model is not told of its steps.
        """
        if encoder_hidden_states.planes is not None:
            planes = encoder_hidden_states.planes.to(sample.dtype)  # [B, P, h, w]
            sample = torch.cat([sample, planes], 1)  # [B, C + P, h, w]
        if (ranges := self.config.guidance_ranges) is not None:
            if encoder_hidden_states.step is None:
                what = "a distilled model knows whole steps alone, and this needs single moments"
                raise UserError(what, "model", "Use its teacher.")
            told = step_features(encoder_hidden_states.step, ranges)  # [B, W]
            options["timestep_cond"] = told.to(sample.dtype)
        layout = devices.memory_format(sample.device.type, self.config.sample_size)
        sample = sample.contiguous(memory_format=layout)
        if (features := encoder_hidden_states.deep) is not None:
            out = predict(self, sample, timestep, encoder_hidden_states, features)
            return UNet2DConditionOutput(sample=out)
        return super().forward(sample, timestep, encoder_hidden_states, **options)

    def use_routing(self, routing: Routing) -> None:
        """Route conditions by another table from now on.

        Raises:
            UserError: the table is for another architecture or switches on an untrained cell.
        """
        routing.check_within(self.trained_routing)
        states = routing.states()
        for index, attention in enumerate(self.cross_attentions()):
            columns = zip(routing.sources, states[index], strict=True)
            attention.plan = tuple(source for source, state in columns if state == "on")
            attention.sources = routing.sources
        self.routing = routing
        self._constant_gates = None
        if routing.is_constant:
            self._constant_gates = torch.from_numpy(routing.gates())  # [L, S]

    def freeze_off_cells(self) -> None:
        """Exclude from training the parameters that the routing switches off."""
        for attention in self.cross_attentions():
            used = {attention.projection(source) for source in attention.plan}
            for name in set(attention.to_kv) - used:
                attention.to_kv[name].requires_grad_(False)
            for name in set(attention.locality) - set(attention.plan):
                attention.locality[name].requires_grad_(False)
            for name in set(attention.gamma) - set(attention.plan):
                attention.gamma[name].requires_grad_(False)

    def gates(self, log_snr: Tensor | None = None, device: torch.device | None = None) -> Tensor:
        """Weight of each source at each layer under the routing in use, float32 [L, S].

        Args:
            log_snr: noise levels [B], needed where the routing depends on them; the gates are then
                [B, L, S].
            device: of the gates; None = the model's, which diffusers takes long to find.
        """
        device = device or self.device
        if self._constant_gates is not None:
            if self._constant_gates.device != device:
                self._constant_gates = self._constant_gates.to(device)
            return self._constant_gates.clone()
        if log_snr is None:
            raise ValueError(f"the gates of '{self.routing.name}' depend on the noise level")
        levels = np.asarray(log_snr.detach().double().cpu())
        return torch.from_numpy(self.routing.gates(levels)).to(device)  # [B, L, S]

    def cross_attentions(self) -> list[MultiSourceAttention]:
        """The cross-attention layers in order of execution."""
        return [self.get_submodule(f"{layer.id}.attn2") for layer in self.trained_routing.layers]

    @property
    def memory_format(self) -> torch.memory_format:
        """Layout in which this model is fastest where it is now: that of its inputs, and best also
        of its weights (`unet.to(memory_format=unet.memory_format)`)."""
        return devices.memory_format(self.device.type, self.config.sample_size)

    @property
    def routed(self) -> frozenset[str]:
        """Sources that the routing in use leads to some layer."""
        return frozenset(s for attention in self.cross_attentions() for s in attention.plan)

    def conditions(
        self,
        tokens: dict[str, Tensor],
        log_snr: Tensor | None = None,
        planes: Tensor | None = None,
    ) -> Conditions:
        """Tokens with this model's gates at these noise levels."""
        return Conditions(tokens, self.gates(log_snr), planes=planes)

    @apply_forward_hook
    def project_conditions(
        self, tokens: dict[str, Tensor], planes: Tensor | None = None
    ) -> Conditions:
        """Conditions whose keys and values are computed here, once, for every step to come.

        Where the routing depends on the noise level, the gates are those of pure noise, to be
        replaced at each step (`gates`).
        """
        projected = {
            str(attention.layer_index): {
                source: attention.project(tokens[source], source)
                for source in attention.plan
                if source in tokens or source.split(":")[0] != "reference"
            }
            for attention in self.cross_attentions()
        }
        gates = self.gates(torch.tensor([-torch.inf]))
        return Conditions({}, gates if gates.ndim == 2 else gates[0], projected, planes)


def _with_parent_parameters(init: Any) -> Any:
    """Show the parent's parameters in the signature, so that all of them are saved and loaded."""
    own = [p for p in inspect.signature(init).parameters.values() if p.kind is not p.VAR_KEYWORD]
    parent = list(inspect.signature(UNet2DConditionModel.__init__).parameters.values())[1:]
    keyword = [p.replace(kind=p.KEYWORD_ONLY) for p in parent]
    init.__signature__ = inspect.Signature([*own, *keyword])
    return register_to_config(init)


FaceUNet.__init__ = _with_parent_parameters(FaceUNet.__init__)  # type: ignore[method-assign]


def cross_attention_layers(unet: UNet2DConditionModel) -> tuple[Layer, ...]:
    """Transformer blocks with cross-attention, in order of execution: down, mid, up.

    (`named_modules()` lists the mid block after the up blocks.)
    """
    names = {id(module): name for name, module in unet.named_modules()}
    side = unet.config.sample_size
    layers: list[Layer] = []

    def collect(stage: str, part: torch.nn.Module, resolution: int) -> None:
        for module in part.modules():
            if isinstance(module, BasicTransformerBlock) and module.attn2 is not None:
                layers.append(Layer(names[id(module)], stage, resolution))

    for part in unet.down_blocks:
        collect("down", part, side)
        if part.downsamplers is not None:
            side //= 2
    if unet.mid_block is not None:
        collect("mid", unet.mid_block, side)
    for part in unet.up_blocks:
        collect("up", part, side)
        if part.upsamplers is not None:
            side *= 2
    return tuple(layers)
