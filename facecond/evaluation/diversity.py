"""Probe: how much do samples of one condition differ from each other?"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from facecond.evaluation.conditions import images_of
from facecond.evaluation.context import Context, Finding, Probe, TooFew
from facecond.evaluation.generation import Arrays
from facecond.evaluation.rows import mean_row
from facecond.evaluation.verdicts import JUDGE_BATCH
from facecond.models.pixels import pictures_to_network

SHOWN = 6
"""Conditions whose samples are kept as pictures."""
SMALLEST = 32
"""Side in pixels that the trunks of LPIPS need."""


def diversity(context: Context) -> Finding:
    """Row `diversity_NAME`: perceptual distance between the samples of a condition, averaged over
    pairs and conditions (stargan-v2's way). Ceiling: pairs of different real test pictures. Floor:
    0, a sampler that always gives the same picture. Shows pictures [k, samples, S, S, 3]."""
    found = sample_conditions(context)
    apart = found["distances"]  # [C, pairs]
    sums = np.stack([apart.sum(1), np.full(len(apart), apart.shape[1])], 1)
    ceiling = float(between_real(context)["apart"].mean())
    name = f"diversity_{context.distance.name}"
    row = mean_row(name, sums, context.seed, ceiling=ceiling, floor=0.0)
    return Finding([row | {"samples": context.amounts.samples}], found["shown"])


def measure_diversity(context: Context) -> None:
    """Distances between real pictures, then between samples."""
    if context.folder.image_size < SMALLEST:
        name = f"diversity_{context.distance.name}"
        raise TooFew(f"the network behind {name} needs pictures of {SMALLEST} px")
    between_real(context)
    sample_conditions(context)


def sample_conditions(context: Context) -> Arrays:
    """`distances` [C, pairs] between the samples of each condition, and the first as `shown`."""
    count, distance = context.amounts.samples, context.distance
    places = np.arange(len(context.rows))[: context.amounts.diversity]

    def measure(images: np.ndarray, part: slice) -> Arrays:
        groups = images.reshape(-1, count, *images.shape[1:])
        left, right = np.array(list(combinations(range(count), 2))).T
        apart = pair_distances(
            distance, groups[:, left].reshape(-1, *images.shape[1:]),
            groups[:, right].reshape(-1, *images.shape[1:]),
        ).reshape(len(groups), -1)  # fmt: skip
        shown = max(SHOWN - part.start // count, 0)
        return {"distances": apart, "shown": groups[:shown]}

    return context.parts.get(
        "diversity",
        lambda: context.sample(context.requests(places, count), measure, f"diversity x {count}"),
    )


def between_real(context: Context) -> Arrays:
    """How far `apart` the real pictures of rows and of their partners lie, [n]."""
    rows, others = context.rows, context.rows[context.partner]

    def measure(images: np.ndarray, part: slice) -> Arrays:
        partners = images_of(context.folder, others[part])
        return {"apart": pair_distances(context.distance, images, partners)}

    return context.parts.get("diversity_real", lambda: context.real(rows, measure, "real pairs"))


@torch.inference_mode()
def pair_distances(distance: torch.nn.Module, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances between pictures uint8 [n, S, S, 3] and as many others, float32 [n]."""
    device = next(distance.parameters()).device
    found = [
        distance(pictures_to_network(first[i : i + JUDGE_BATCH], device),
                 pictures_to_network(second[i : i + JUDGE_BATCH], device))
        for i in range(0, len(first), JUDGE_BATCH)
    ]  # fmt: skip
    return torch.cat(found).float().cpu().numpy()


DIVERSITY = Probe(measure_diversity, diversity)
