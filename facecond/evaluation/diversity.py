"""Probe: how much do samples of one condition differ from each other?"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch

from facecond.evaluation.conditions import images_of
from facecond.evaluation.context import Context, Finding, TooFew
from facecond.evaluation.generation import Arrays
from facecond.evaluation.rows import mean_row
from facecond.evaluation.verdicts import JUDGE_BATCH, to_network

SHOWN = 6
"""Conditions whose samples are kept as pictures."""
SMALLEST = 32
"""Side in pixels that the trunks of LPIPS need."""


def diversity(context: Context) -> Finding:
    """Row `diversity_NAME`: perceptual distance between the samples of a condition, averaged over
    pairs and conditions (stargan-v2's way). Ceiling: pairs of different real test pictures. Floor:
    0, a sampler that always gives the same picture. Shows pictures [k, samples, S, S, 3]."""
    count, distance = context.amounts.samples, context.distance
    places = np.arange(len(context.rows))[: context.amounts.diversity]
    name = f"diversity_{distance.name}"
    if context.folder.image_size < SMALLEST:
        raise TooFew(f"the network behind {name} needs pictures of {SMALLEST} px")

    def measure(images: np.ndarray, part: slice) -> Arrays:
        groups = images.reshape(-1, count, *images.shape[1:])
        left, right = np.array(list(combinations(range(count), 2))).T
        apart = pair_distances(
            distance, groups[:, left].reshape(-1, *images.shape[1:]),
            groups[:, right].reshape(-1, *images.shape[1:]),
        ).reshape(len(groups), -1)  # fmt: skip
        shown = max(SHOWN - part.start // count, 0)
        return {"distances": apart, "shown": groups[:shown]}

    found = context.parts.get(
        "diversity",
        lambda: context.sample(context.requests(places, count), measure, f"diversity x {count}"),
    )
    apart = found["distances"]  # [C, pairs]
    sums = np.stack([apart.sum(1), np.full(len(apart), apart.shape[1])], 1)
    row = mean_row(name, sums, context.seed, ceiling=between_real(context), floor=0.0)
    return Finding([row | {"samples": count}], found["shown"])


def between_real(context: Context) -> float:
    """Mean distance between the real pictures of rows and of their partners."""
    rows, others = context.rows, context.rows[context.partner]

    def measure(images: np.ndarray, part: slice) -> Arrays:
        partners = images_of(context.folder, others[part])
        return {"apart": pair_distances(context.distance, images, partners)}

    found = context.parts.get("diversity_real", lambda: context.real(rows, measure, "real pairs"))
    return float(found["apart"].mean())


@torch.inference_mode()
def pair_distances(distance: torch.nn.Module, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances between pictures uint8 [n, S, S, 3] and as many others, float32 [n]."""
    device = next(distance.parameters()).device
    found = [
        distance(to_network(first[i : i + JUDGE_BATCH], device),
                 to_network(second[i : i + JUDGE_BATCH], device))
        for i in range(0, len(first), JUDGE_BATCH)
    ]  # fmt: skip
    return torch.cat(found).float().cpu().numpy()
