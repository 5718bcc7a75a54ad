"""Tables and page of a reconstruction report."""

from __future__ import annotations

import numpy as np
import pytest

from facecond.evaluation.reconstruction_report import (
    AMPLIFIED,
    markdown,
    page,
    summary,
    triples,
)
from facecond.evaluation.stage_report import StageReport


@pytest.fixture
def report() -> StageReport:
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, 256, (3, 2, 16, 16, 3)).astype(np.uint8)
    bars = {"skin": {"score": 0.5, "ceiling": 0.75}}
    return StageReport(
        rows=[
            {"metric": "psnr", "score": 31.234, "ceiling": None, "low": 30, "high": 32, "n": 9},
            {"metric": "mask_miou", "score": 0.41, "ceiling": 0.52, "low": 0.4, "high": 0.42,
             "n": 8, "detail": bars},
        ],
        facts={"autoencoder": "AutoencoderKL", "latent_shape": [3, 8, 8], "reduction": 2.0,
               "compression": 4.0, "parameters": 1234567, "ms_per_image": 1.5, "batch_size": 4,
               "device": "cpu", "threads": 2},
        latents=[{"stored_mean": 0.1, "stored_std": 2.0, "mean": 0.01, "std": 0.99}] * 3,
        notes=["No perceptual distance: <none>."],
        first=pairs,
        worst=pairs[:1],
        provenance={"n": 9, "image_size": 16, "versions": {"torch": "2"}},
    )  # fmt: skip


def test_the_table_says_each_figure_beside_the_originals(report: StageReport) -> None:
    table = markdown(report)
    assert "| psnr | 31.23 | 30.00 – 32.00 | – | 9 |" in table
    assert "| mask_miou | 0.4100 | 0.4000 – 0.4200 | 0.5200 | 8 |" in table
    assert "3 × 8 × 8 (f2)" in table and "1,234,567" in table and "not an FID" in table
    assert "No perceptual distance: <none>." in table


def test_the_flat_figures(report: StageReport) -> None:
    flat = summary(report)
    assert (flat["psnr"], flat["mask_miou"], flat["mask_miou_originals"]) == (31.234, 0.41, 0.52)
    assert "psnr_originals" not in flat
    assert flat["compression"] == 4.0 and flat["rows"] == report.rows and flat["n"] == 9


def test_differences_are_amplified_and_do_not_wrap_round() -> None:
    pairs = np.zeros((1, 2, 1, 3, 3), np.uint8)
    pairs[0, 0], pairs[0, 1, 0, :, 0] = 100, (90, 110, 250)
    original, rebuilt, difference = (row[0] for row in triples(pairs))
    assert original is not None and rebuilt is not None and difference is not None
    assert np.array_equal(original, pairs[0, 0]) and np.array_equal(rebuilt, pairs[0, 1])
    assert difference[0, :, 0].tolist() == [10 * AMPLIFIED, 10 * AMPLIFIED, 255]


def test_the_page_stands_alone(report: StageReport) -> None:
    text = page("A <stage>", report, "facecond evaluate first-stage 'a & b'")
    assert text.count('src="data:image/png') == 9 + 3
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    for escaped in ("A &lt;stage&gt;", "&lt;none&gt;", "a &amp; b"):
        assert escaped in text
    for part in ("The worst", "Latents", "IoU by mask class", "difference ×"):
        assert part in text
