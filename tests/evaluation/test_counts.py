"""Counts of each image: they add up to the scores, and they survive the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facecond import metrics
from facecond.data.prepared import PreparedFolder
from facecond.evaluation.context import Amounts
from facecond.evaluation.counts import image_counts, read_counts, write_counts
from facecond.evaluation.independence import Independence
from facecond.evaluation.protocol import PROTOCOLS, Protocol
from facecond.evaluation.results import write_results
from facecond.evaluation.verdicts import Judges
from facecond.storage import read_json, read_json_lines

PROBES = {n: PROTOCOLS["full"].probes[n] for n in ("adherence", "fidelity", "selectivity")}


@pytest.fixture(scope="module")
def found(world: Any, faces: PreparedFolder, judges: Judges) -> Any:
    plan = Protocol("counted", None, PROBES, Amounts(turned=4, swapped=4))
    return world.run(faces, judges, world.Painter(), protocol=plan, n=30)


def test_counts_add_up_to_the_scores(world: Any, found: Any) -> None:
    counts = image_counts(found)
    hits = metrics.attribute_counts(counts["truth"], counts["present"])[:, counts["scored"]]
    free = counts["turned_free"]
    target = np.stack([counts["turned_change"][t, :, c]
                       for t, c in enumerate(counts["turned_columns"])])  # fmt: skip
    scores = {
        "mask_miou": metrics.mean_iou(counts["mask"].sum(0)),
        "pixel_accuracy": metrics.ratio_of_sums(counts["pixels"].sum(0)),
        "attribute_bacc": metrics.attribute_accuracy(hits.sum(0)).mean(),
        "attribute_f1": metrics.attribute_f1(hits.sum(0)).mean(),
        "attribute_effect": target[free].mean(),
        "mask_stability": metrics.mean_iou(counts["turned_masks"].sum(0)),
        "frechet_judge": metrics.frechet_draws(
            counts["features"], counts["reference_mean"], counts["reference_covariance"],
            np.arange(30)[None],
        )[0],
    }  # fmt: skip
    for metric, score in scores.items():
        assert float(score) == pytest.approx(world.row(found, metric)["score"], rel=1e-4), metric
    assert (counts["rows"] == found.indices).all() and len(counts["mask"]) == 30


def test_probes_that_did_not_run_leave_nothing(
    world: Any, faces: PreparedFolder, judges: Judges
) -> None:
    counts = image_counts(world.run(faces, judges, world.Painter(), n=10))
    assert {"rows", "mask", "pixels", "truth", "present", "scored"} <= set(counts)
    assert not {"turned_change", "reference_mean", "diversity"} & set(counts)


def test_files_of_an_evaluation(found: Any, tmp_path: Path) -> None:
    table = write_results(tmp_path, found, Independence(notes=["a note"]))
    assert (tmp_path / "results.md").read_text() == table and "a note" in table
    assert len(read_json_lines(tmp_path / "results.jsonl")) == len(found.rows)
    assert read_json(tmp_path / "results.json")["n"] == 30
    kept, again = read_counts(tmp_path / "counts.npz"), image_counts(found)
    assert set(kept) == set(again)
    assert all((kept[name] == again[name]).all() for name in kept)
    write_counts(tmp_path / "counts.npz", found)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
