"""Statistics of a sampled grid, and the scores read from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from facecond.analysis.sensitivity.faces import Faces
from facecond.analysis.sensitivity.grid import Grid
from facecond.analysis.sensitivity.recording import Recorder, noise_levels, record_grid
from facecond.analysis.sensitivity.representation import representation_scores
from facecond.analysis.sensitivity.scores import Score
from facecond.pipeline import FacePipeline

Make = Callable[..., FacePipeline]
SCORES = ("jsd_ratio", "omega2", "jsd_ratio_cross", "omega2_cross")


@pytest.fixture(scope="module")
def grid(faces: Faces) -> Grid:
    """5 settings x 4 masks x 4 seeds."""
    rows = np.arange(5)
    return Grid(rows, faces.own.attributes[:5], rows[:4], faces.own.masks[:4], (0, 1, 2, 3))


def scored(
    arrays: dict[str, np.ndarray], grid: Grid, factors: list[str | None]
) -> dict[str, Score]:
    return representation_scores(arrays.__getitem__, grid, factors, 7, seed=0)


def test_upstream_of_the_plant_there_is_nothing(planted: Make, grid: Grid) -> None:
    """In the first step all samples of a seed are alike until the first layer that reads a source:
    there the ratio is exactly chance, and no variance is explained."""
    pipeline = planted({"attributes": [0, 0, 0, 1, 0, 0, 0], "mask": [0, 1, 0, 0, 0, 0, 0]})
    arrays = record_grid(pipeline, grid, slice(0, len(grid)), bins=1, steps=1)
    found = scored(arrays, grid, ["attributes", "mask"])
    ratio, share = found["jsd_ratio"].cells[..., 0], found["omega2"].cells[..., 0]
    for s, first in ((0, 3), (1, 1)):
        # Self-attention comes before cross-attention in a block, so the plant itself is upstream.
        assert ratio[s, : first + 1] == pytest.approx(1.0, abs=1e-5)
        assert (ratio[s, first + 1 :] < 0.9998).all()
        assert (share[s, : first + 1] < 1e-4).all() and (share[s, first + 1 :] > 5e-4).all()
        for name in SCORES:
            p = found[name].p
            assert p is not None and (p[s, first + 1 :] < 0.05).all()
            assert (p[s, : first + 1] > 0.5).all()  # the last bits are no effect


def test_shuffled_labels_are_null(planted: Make, grid: Grid) -> None:
    arrays = record_grid(planted(), grid, slice(0, len(grid)), bins=2, steps=2)
    real = scored(arrays, grid, ["attributes", "mask"])
    _, mask, seed = grid.cells()
    ratios, shares, found_share = [], [], []
    for draw in range(6):
        generator = np.random.default_rng(draw)
        order = np.arange(len(grid))
        for cell in {(m, k) for m, k in zip(mask, seed, strict=True)}:
            places = np.flatnonzero((mask == cell[0]) & (seed == cell[1]))
            order[places] = generator.permutation(places)
        found = scored({name: a[order] for name, a in arrays.items()}, grid, ["attributes", None])
        ratios.append(found["jsd_ratio"].cells[0])
        shares.append(found["omega2"].cells[0])
        q = np.stack([found[name].q[0] for name in SCORES])  # type: ignore[index]
        found_share.append(np.mean(q < 0.05))
    assert np.mean(ratios, 0) == pytest.approx(1.0, abs=0.05)
    assert np.abs(np.mean(shares, 0)).max() < 0.05
    assert np.median(found_share) <= 0.05
    assert np.mean(real["omega2"].q[0] < 0.05) > 0.5  # type: ignore[index]


def test_a_source_that_reaches_no_layer_is_null(planted: Make, grid: Grid) -> None:
    pipeline = planted({"attributes": [0] * 7, "mask": [1] * 7})
    arrays = record_grid(pipeline, grid, slice(0, len(grid)), bins=1, steps=1)
    found = scored(arrays, grid, [None, "mask"])
    for name in SCORES:
        score = found[name]
        assert (score.cells[0] == score.null).all() and (score.overall[0] == score.null).all()
        assert score.q is not None and (score.q[0] == 1.0).all()
        assert (score.strength[0] == 0.0).all() and np.isnan(score.split_half[0])


def test_samples_do_not_depend_on_their_batch(planted: Make, grid: Grid) -> None:
    pipeline = planted()
    whole = record_grid(pipeline, grid, slice(0, 12), bins=2, steps=2)
    part = record_grid(pipeline, grid, slice(7, 12), bins=2, steps=2)
    assert whole.keys() == part.keys() and whole["self-0"].shape == (12, 2, 2, 2 * 16)
    assert whole["cross-2"].shape == (12, 2, 2, 32)
    for name, array in part.items():
        assert np.allclose(array, whole[name][7:], atol=1e-5)


def test_the_recorder_holds_means_and_deviations_over_tokens(planted: Make) -> None:
    unet = planted().unet
    recorder = Recorder(unet, bins=2)
    to_q = unet.get_submodule(f"{unet.trained_routing.layers[0].id}.attn2.to_q")
    tokens = torch.randn(2, 3, 64, 16, generator=torch.Generator().manual_seed(0))
    with recorder.listening(), torch.no_grad():
        made = []
        for tau, states in zip((0.7, 0.6), tokens, strict=True):  # two steps of one bin
            recorder.step(tau)
            made.append(to_q(states))
        recorder.step(0.1)
        to_q(tokens[0])
    found = recorder.arrays()["cross-0"]  # [B, bins, 2, C]
    mean = torch.stack([q.mean(1) for q in made]).mean(0)
    std = torch.stack([q.std(1, correction=0) for q in made]).mean(0)
    assert np.allclose(found[:, 1], torch.stack([mean, std], 1), atol=1e-6)
    assert np.allclose(found[:, 0, 0], made[0].mean(1), atol=1e-6)
    assert not to_q._forward_hooks


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 13, 50])
def test_every_bin_is_visited(steps: int) -> None:
    levels = np.array(noise_levels(steps))
    assert levels[0] == 1.0 and (levels > 0).all()
    for bins in range(1, steps + 1):
        assert set(np.minimum((levels * bins).astype(int), bins - 1)) == set(range(bins))
