"""The cross-attention layers of a denoiser, as routing sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facecond.storage import hash_of


@dataclass(frozen=True)
class Layer:
    """One cross-attention layer.

    Attributes:
        id: exact module path of its block, e.g. `mid_block.attentions.0.transformer_blocks.0`.
        stage: `down`, `mid` or `up`.
        resolution: side of the query grid in latent pixels.
    """

    id: str
    stage: str
    resolution: int


def checksum(layers: Sequence[Layer]) -> str:
    """16 hex digits that tie a file to the layers it was made for."""
    return hash_of([[layer.id, layer.stage, layer.resolution] for layer in layers])[:16]


def groups(layers: Sequence[Layer]) -> dict[str, tuple[str, ...]]:
    """Layer ids by group: `all`, `coarse`, `fine`.

    Coarse = the mid layers and those of the deepest level that has attention, except the last of
    that level on the way up (DEADiff: layers 4-8 of Stable Diffusion 1.5's 16); fine = the rest.
    """
    outside_mid = [layer.resolution for layer in layers if layer.stage != "mid"]
    deepest = min(outside_mid) if outside_mid else 0
    level = [layer for layer in layers if layer.stage != "mid" and layer.resolution == deepest]
    kept = [layer for layer in level if layer.stage == "down"]
    kept += [layer for layer in level if layer.stage == "up"][:-1]
    coarse = {layer.id for layer in kept} | {layer.id for layer in layers if layer.stage == "mid"}
    return {
        "all": tuple(layer.id for layer in layers),
        "coarse": tuple(layer.id for layer in layers if layer.id in coarse),
        "fine": tuple(layer.id for layer in layers if layer.id not in coarse),
    }
