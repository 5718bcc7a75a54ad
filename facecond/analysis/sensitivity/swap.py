"""Interventions on noised real faces: what changes when one layer reads another condition.

For a face with its own condition A and the condition B of another face, and one source:

- all layers swapped: P(A) becomes P(B);
- one layer swapped: A everywhere, B at layer l. Its effect is ||P(A, l: B) - P(A)|| / ||P(A)||;
- all but one swapped: B everywhere, A at layer l. What is missing of the whole effect is
  ||P(B, l: A) - P(B)|| / ||P(B)||.

The two are also the two directions of each other: B -> A with one layer swapped is A -> B with all
but one, seen from the other end. So 2 L + 2 predictions hold both directions of both. No sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facecond.analysis.sensitivity.conditions import OTHER, OWN, SAME, KeysValues, everywhere
from facecond.analysis.sensitivity.contribution import Streams
from facecond.analysis.sensitivity.faces import Faces
from facecond.analysis.sensitivity.replay import Replay, in_full_precision
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import log_snr
from facecond.models.pixels import pictures_to_network
from facecond.models.unet import FaceUNet
from facecond.seeding import numpy_generator, torch_generator

Arrays = dict[str, np.ndarray]

PER_LAYER = ("single", "all_but_one", "sham", "contribution", "change", "sham_change")
"""Measurements [n, L, S] of each face, layer and source; 0 where the gate is 0."""


@dataclass
class Swapper:
    """Measures the interventions.

    Attributes:
        pipeline: a `FacePipeline`.
        faces: held-out faces with their conditions.
        seed: of noise and noise levels, which depend on a face's row and on the bin alone.
    """

    pipeline: Any
    faces: Faces
    seed: int

    def __post_init__(self) -> None:
        self.unet: FaceUNet = self.pipeline.unet
        config = self.pipeline.config
        self.objective = Objective(config["schedule"], config["prediction"])
        self.sources = self.unet.routing.sources
        self.layers = self.unet.routing.layers
        self.replay = Replay(self.unet)

    def measure(self, part: slice, bounds: tuple[float, float], bin_: int) -> Arrays:
        """Measure some faces at noise levels within `bounds` of tau.

        Returns:
            `whole` float64 [n, S, 2], effects of the swap at all layers in both directions;
            `live` bool [n, L, S], which gates are not 0; `PER_LAYER`.
        """
        with in_full_precision(self.unet):
            return self._measure(part, bounds, bin_)

    def _measure(self, part: slice, bounds: tuple[float, float], bin_: int) -> Arrays:
        faces = self.faces
        x_t, t = self._noised(part, bounds, bin_)
        self._x_t, self._timestep = x_t, self.objective.timestep(t)
        parts = [each[part] for each in (faces.own, faces.other, faces.same)]
        self._values = KeysValues(self.unet, self.pipeline.condition_encoder, parts)
        gates = self.unet.gates(log_snr(self.objective.schedule, t))
        self._gates = gates.expand(len(t), -1, -1)  # [n, L, S]
        live = self._gates.cpu().numpy() != 0
        count, layers, sources = live.shape
        found = {name: np.zeros((count, layers, sources)) for name in PER_LAYER}
        found["whole"] = np.zeros((count, sources, 2))
        asked = [s for s in range(sources) if live[:, :, s].any()]
        own, swapped = self._ends(asked, found)
        for layer in range(layers):
            here = [s for s in asked if live[:, layer, s].any()]
            if here:
                self._one_layer(layer, here, own, swapped, found)
        for name in PER_LAYER:
            found[name] *= live  # a gate of zero is no intervention, whatever rounding does
        found["live"] = live
        return found

    def _ends(self, asked: Sequence[int], found: Arrays) -> tuple[Tensor, dict[int, Tensor]]:
        """Predictions under the own condition and with each source swapped everywhere; recorded for
        the runs that begin at a layer. Reads the contributions on the way."""
        count = len(self._x_t)
        choice = self._choice(OWN, count * (1 + len(asked)))
        for block, s in enumerate(asked, 1):
            choice[self.sources[s]][:, block * count : (block + 1) * count] = OTHER
        face = np.tile(np.arange(count), 1 + len(asked))
        x_t, timestep, conditions = self._rows(choice, face, 0)
        streams = Streams(self.unet, count)
        with streams.listening():
            predicted = self.replay.record(x_t, timestep, conditions)
        own, *others = predicted.chunk(1 + len(asked))
        swapped = dict(zip(asked, others, strict=True))
        for s in asked:
            effects = [_distance(swapped[s], own), _distance(own, swapped[s])]
            found["whole"][:, s] = np.stack(effects, 1)
        self._contributions(streams, asked, found)
        return own, swapped

    def _contributions(self, streams: Streams, asked: Sequence[int], found: Arrays) -> None:
        count = len(self._x_t)
        for s in asked:
            source = self.sources[s]
            conditions = []
            for which in (OWN, OTHER, SAME):
                choice = self._choice(OWN, count)
                choice[source][:] = which
                conditions.append(self._rows(choice, np.arange(count), 0)[2])
            for layer, attention in enumerate(self.unet.cross_attentions()):
                if source in attention.plan:
                    values = streams.measure(attention, source, conditions)
                    for name, value in zip(PER_LAYER[3:], values, strict=True):
                        found[name][:, layer, s] = value

    def _one_layer(
        self,
        layer: int,
        here: Sequence[int],
        own: Tensor,
        swapped: Mapping[int, Tensor],
        found: Arrays,
    ) -> None:
        """Swap each source at one layer, all variants in one run that begins there."""
        count = len(self._x_t)
        runs = [(s, kind) for s in here for kind in PER_LAYER[:3]]
        choice = self._choice(OWN, count * len(runs))
        recorded, start = [], []
        blocks = {s: block for block, s in enumerate(swapped, 1)}
        for place, (s, kind) in enumerate(runs):
            cells = choice[self.sources[s]][:, place * count : (place + 1) * count]
            if kind == "all_but_one":
                cells[:] = OTHER
            cells[layer] = {"single": OTHER, "all_but_one": OWN, "sham": SAME}[kind]
            block = blocks[s] if kind == "all_but_one" else 0
            recorded.append(block * count + np.arange(count))
            start.append(swapped[s] if block else own)
        face = np.tile(np.arange(count), len(runs))
        rows = torch.from_numpy(np.concatenate(recorded)).to(self.unet.device)
        inputs = self._rows(choice, face, layer)
        predicted = self.replay.resume(self.layers[layer].id, rows, *inputs).chunk(len(runs))
        for (s, kind), ended, began in zip(runs, predicted, start, strict=True):
            found[kind][:, layer, s] = _distance(ended, began)

    def _choice(self, which: int, rows: int) -> dict[str, np.ndarray]:
        return everywhere(self.sources, len(self.layers), np.full(rows, which))

    def _rows(self, choice: dict[str, np.ndarray], face: np.ndarray, first: int) -> Any:
        """x_t, timestep and conditions of rows."""
        places = torch.from_numpy(face).to(self.unet.device)
        conditions = self._values.rows(choice, face, self._gates, first)
        return self._x_t[places], self._timestep[places], conditions

    def _noised(self, part: slice, bounds: tuple[float, float], bin_: int) -> tuple[Tensor, Tensor]:
        """Latents of the pictures at a noise level of the bin, [n, C, h, w] and [n]."""
        device, (low, high) = self.unet.device, bounds
        images = pictures_to_network(self.faces.images[part], device)  # [n, 3, H, W]
        x_0 = self.pipeline.first_stage.encode(images)  # [n, C, h, w]
        keys = [(self.seed, "sensitivity", int(row), bin_) for row in self.faces.rows[part]]
        noise = torch.stack(
            [torch.randn(x_0.shape[1:], generator=torch_generator(*key)) for key in keys]
        ).to(device)
        levels = [low + (high - low) * numpy_generator(*key).random() for key in keys]
        t = torch.tensor(levels, dtype=torch.float32, device=device)
        return self.objective.add_noise(x_0, noise, t).to(self.unet.dtype), t


def _distance(ended: Tensor, began: Tensor) -> np.ndarray:
    """||ended - began|| / ||began|| of each row, float64 [n]."""
    ended, began = (x.double().flatten(1) for x in (ended, began))
    return ((ended - began).norm(dim=1) / began.norm(dim=1)).cpu().numpy()
