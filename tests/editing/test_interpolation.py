"""Paths: the great circle of noise, the mixture of tokens, the ends as they are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from facecond import pipeline as pipelines
from facecond.editing.films import HOLD, back_and_forth, write_gif
from facecond.editing.interpolation import End, path, slerp
from facecond.labels import parse_attributes
from facecond.pipeline import FacePipeline


def test_slerp_between_perpendicular_vectors_is_the_circle() -> None:
    first, second = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    share = torch.tensor([0.0, 1 / 3, 0.5, 1.0])
    for point, t in zip(slerp(first, second, share), share.tolist(), strict=True):
        angle = t * math.pi / 2
        assert point.tolist() == pytest.approx([math.cos(angle), math.sin(angle)], abs=1e-6)


def test_slerp_keeps_the_length_of_noise() -> None:
    noise = torch.randn(2, 12, 16, 16, generator=torch.Generator().manual_seed(0))
    points = slerp(noise[0], noise[1], torch.linspace(0, 1, 9))
    lengths = points.flatten(1).norm(dim=1) / math.sqrt(12 * 256)
    assert float((lengths - 1).abs().max()) < 0.05  # a straight line would shrink to 0.71
    torch.testing.assert_close(points[0], noise[0])
    torch.testing.assert_close(points[-1], noise[1])


def test_equal_ends_stay() -> None:
    noise = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    points = slerp(noise, noise, torch.linspace(0, 1, 3))
    torch.testing.assert_close(points, noise.expand(3, -1, -1))


def test_frames_do_not_depend_on_the_batch_where_noise_is_added(
    make_pipeline: Callable[..., FacePipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "has_fast_bf16", lambda kind: False)
    pipeline = make_pipeline()
    pipeline.use_scheduler("FlowMatchLCMScheduler")
    mask = np.full((32, 32), 13, np.uint8)
    start, end = (End(parse_attributes(names), mask, seed)
                  for names, seed in (("Smiling", 3), ("-Smiling", 5)))  # fmt: skip
    all_at_once, by_two = (path(pipeline, start, end, 4, None, size) for size in (4, 2))
    assert np.abs(all_at_once.astype(int) - by_two).max() <= 1
    first = pipeline(start.attributes, mask, [3]).images
    assert np.abs(all_at_once[:1].astype(int) - first).max() <= 1


def test_a_film_goes_there_and_back(tmp_path) -> None:
    frames = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 3), np.uint8) * 90
    film = back_and_forth(frames)
    assert len(film) == 6 + 2 * HOLD
    write_gif(tmp_path / "film.gif", film, 2, "said")
    with Image.open(tmp_path / "film.gif") as picture:
        assert picture.size == (8, 8) and picture.n_frames >= 5 and picture.info["loop"] == 0
