"""Keys and values of several conditions of the same faces, put together row by row and layer by
layer: the place where a swap happens.

What enters beside the latents (`Conditions.planes`) reaches no layer by routing: it stays the
face's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from facecond.analysis.sensitivity.faces import Condition
from facecond.models.attention import Conditions
from facecond.models.conditions import ConditionEncoder
from facecond.models.unet import FaceUNet

OWN, OTHER, SAME = range(3)
"""Which of a face's conditions a cell reads."""

Choice = Mapping[str, np.ndarray]
"""Source -> int64 [L, R]: which condition each row reads at each layer."""


class KeysValues:
    """Projected conditions of n faces.

    Args:
        unet, encoder: of one model.
        conditions: those of the faces, in the order OWN, OTHER, SAME; each of n faces.
    """

    def __init__(
        self, unet: FaceUNet, encoder: ConditionEncoder, conditions: Sequence[Condition]
    ) -> None:
        self.faces = len(conditions[0].masks)
        device = unet.device
        attributes = torch.from_numpy(np.concatenate([c.attributes for c in conditions]))
        masks = torch.from_numpy(np.concatenate([c.masks for c in conditions]))
        attributes, masks = attributes.to(device), masks.to(device)
        # Every row is (condition, face).
        self._all = unet.project_conditions(encoder(attributes, masks), encoder.planes(masks))

    def rows(self, choice: Choice, face: np.ndarray, gates: Tensor, first: int = 0) -> Conditions:
        """Conditions of R rows.

        Args:
            choice: which condition each row reads, by source and layer.
            face: int64 [R].
            gates: float [n, L, S] of each face.
            first: layers before this one are not asked for.
        """
        device = self._all.gates.device
        projected: dict[str, dict[str, tuple[Tensor, Tensor]]] = {}
        for index, sources in self._all.projected.items():
            if int(index) < first:
                continue
            projected[index] = {}
            for source, (key, value) in sources.items():
                rows = choice[source][int(index)] * self.faces + face
                picked = torch.from_numpy(rows).to(device)
                projected[index][source] = key[picked], value[picked]
        own = torch.from_numpy(face).to(device)  # OWN comes first
        planes = None if self._all.planes is None else self._all.planes[own]
        return Conditions({}, gates[own], projected, planes)


def everywhere(sources: Sequence[str], layers: int, rows: np.ndarray) -> dict[str, np.ndarray]:
    """A choice that is the same at all layers: `rows` int64 [R]."""
    return {source: np.tile(rows, (layers, 1)) for source in sources}
