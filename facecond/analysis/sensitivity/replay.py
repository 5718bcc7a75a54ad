"""Runs of a UNet that begin at one of its layers: what comes before is taken from an earlier run.

A swap at one layer changes nothing upstream of it. So each resnet, transformer and resampler that
was run before that layer gives back what it gave then (for the rows that are asked for), while the
UNet's own `forward` stays what it is. On average this saves half of the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from facecond.models.attention import Conditions
from facecond.models.unet import FaceUNet

UNITS = (ResnetBlock2D, Transformer2DModel, Downsample2D, Upsample2D)


class Replay:
    """Records one run of a UNet and repeats parts of it.

    Args:
        unet: in evaluation mode; each of its units runs once per forward pass.
    """

    def __init__(self, unet: FaceUNet) -> None:
        self.unet = unet
        self._units = {name: unit for name, unit in unet.named_modules() if isinstance(unit, UNITS)}
        self._outputs: dict[str, Any] = {}  # in order of execution

    def record(self, x_t: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """Run the whole UNet on [B, C, h, w] and keep what its units give."""
        self._outputs = {}

        def keep(name: str) -> Any:
            def hook(module: nn.Module, inputs: Any, output: Any) -> None:
                self._outputs[name] = output

            return hook

        hooks = [unit.register_forward_hook(keep(name)) for name, unit in self._units.items()]
        try:
            return self.unet(x_t, timestep, conditions).sample
        finally:
            for hook in hooks:
                hook.remove()

    def resume(
        self,
        layer: str,
        rows: Tensor,
        x_t: Tensor,
        timestep: Tensor,
        conditions: Conditions,
    ) -> Tensor:
        """Run the UNet from the unit that holds `layer` on.

        Args:
            layer: id of a cross-attention layer.
            rows: int64 [R]; which rows of the recorded run each row continues.
            x_t, timestep, conditions: of the R rows; before `layer`, as they were recorded.
        """
        with self._replayed(layer, rows):
            return self.unet(x_t, timestep, conditions).sample

    @contextmanager
    def _replayed(self, layer: str, rows: Tensor) -> Iterator[None]:
        replaced: list[nn.Module] = []
        try:
            for name, output in self._outputs.items():
                if layer == name or layer.startswith(f"{name}."):
                    break
                unit = self._units[name]
                unit.forward = _giver(output, rows)
                replaced.append(unit)
            yield
        finally:
            for unit in replaced:
                del unit.forward  # the class's own is seen again


def _giver(output: Any, rows: Tensor) -> Any:
    def give(*_: Any, **__: Any) -> Any:
        if isinstance(output, Tensor):
            return output.index_select(0, rows)
        return tuple(part.index_select(0, rows) for part in output)

    return give


@contextmanager
def in_full_precision(unet: FaceUNet) -> Iterator[None]:
    """Inference without autocast: small effects must not drown in rounding."""
    with torch.inference_mode(), torch.autocast(unet.device.type, enabled=False):
        yield
