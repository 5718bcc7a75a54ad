"""Patch discriminator: which patches of a picture look real."""

from __future__ import annotations

from torch import Tensor, nn

KERNEL, SLOPE, GROUPS, INITIAL_STD = 4, 0.2, 8, 0.02


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017, arXiv 1611.07004, section 3.2.2): one logit per patch.

    Group norm stands where the paper has batch norm: a verdict then depends on its own picture
    alone, whatever the batch, the process or the precision.

    Args:
        width: channels after the first convolution, a multiple of 8; doubled by each of the next
            layers up to 8 times as many.
        layers: convolutions of stride 2; two of stride 1 follow. 3 see patches of 70 pixels,
            2 of 34, 1 of 16.
    """

    def __init__(self, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, width, KERNEL, 2, 1), nn.LeakyReLU(SLOPE)]
        channels = width
        for index in range(1, layers + 1):
            wider, stride = width * min(2**index, 8), 2 if index < layers else 1
            parts += [
                nn.Conv2d(channels, wider, KERNEL, stride, 1, bias=False),
                nn.GroupNorm(GROUPS, wider),
                nn.LeakyReLU(SLOPE),
            ]
            channels = wider
        parts.append(nn.Conv2d(channels, 1, KERNEL, 1, 1))
        self.body = nn.Sequential(*parts)
        for module in self.body:
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, INITIAL_STD)

    @property
    def receptive_field(self) -> int:
        """Side in pixels of the patch that one logit sees."""
        side = 1
        for module in reversed(self.body):
            if isinstance(module, nn.Conv2d):
                side = (side - 1) * module.stride[0] + KERNEL
        return side

    @property
    def smallest_image(self) -> int:
        """Smallest side in pixels that gives a logit."""
        side = 1
        for module in reversed(self.body):
            if isinstance(module, nn.Conv2d):
                side = (side - 1) * module.stride[0] + KERNEL - 2
        return side

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [-1, 1] -> logits [B, 1, h, w], high where a patch looks real."""
        return self.body(images)  # [B, 1, H / 2^layers - 2, W / 2^layers - 2]
