"""Distances in features other than the judge's are named after those features."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facecond.data.prepared import PreparedFolder
from facecond.evaluation.judges import Judges
from facecond.evaluation.protocol import PROTOCOLS, Protocol


def means(images: np.ndarray) -> np.ndarray:
    """Mean colours of the quarters, float32 [B, 12]."""
    half = images.shape[1] // 2
    parts = images.reshape(len(images), 2, half, 2, half, 3).mean((2, 4))
    return parts.reshape(len(images), -1).astype(np.float32)


@pytest.fixture
def extractor() -> Any:
    return SimpleNamespace(
        name="means", frechet="fd_means", kernel="kd_means", weights="", features=means
    )


def test_other_features_stand_beside_those_of_the_judge(
    world: Any, faces: PreparedFolder, judges: Judges, extractor: Any
) -> None:
    names = ("adherence", "fidelity", "spread", "memorisation")
    plan = Protocol("some", None, {name: PROTOCOLS["full"].probes[name] for name in names})
    alone, found = (
        world.run(faces, judges, world.Painter(), protocol=plan, extractor=one)
        for one in (None, extractor)
    )
    for metric in ("frechet_judge", "kernel_judge", "manifold_precision", "mask_miou"):
        assert world.row(found, metric)["score"] == world.row(alone, metric)["score"]
    for name in ("fd_means", "kd_means"):
        assert (
            world.row(found, name)["ceiling"] == world.row(found, f"{name}_reconstruction")["score"]
        )
        assert world.row(found, name)["reference_n"] == len(faces.indices("generator"))
    assert world.row(found, "manifold_recall_means")["score"] > 0.5
    # Precision and density are means over samples, recall and coverage over real pictures.
    counted = {name: world.row(found, f"manifold_{name}_means")["n"]
               for name in ("precision", "recall", "density", "coverage")}  # fmt: skip
    pictures = len(faces.indices("generator"))
    assert counted == {"precision": 50, "recall": pictures, "density": 50, "coverage": pictures}
    # Memorisation is measured in the better features where there are some.
    assert (
        world.row(found, "nearest_distance")["score"]
        != world.row(alone, "nearest_distance")["score"]
    )
    assert found.provenance["features"] == "means"
    metrics = {row["metric"] for row in found.rows}
    assert not any(name in metrics for name in ("fid", "kid"))


def test_the_real_pictures_of_the_conditions_are_the_reference_of_papers(
    world: Any, faces: PreparedFolder, judges: Judges, extractor: Any
) -> None:
    plan = Protocol("some", None, {"against_test": PROTOCOLS["papers"].probes["against_test"]})
    options = {"protocol": plan, "extractor": extractor}
    perfect = world.run(faces, judges, world.Mirror(faces), **options)
    painted = world.run(faces, judges, world.Painter(), **options)
    deaf = world.run(faces, judges, world.Painter(deaf=True), **options)
    scores = [world.row(f, "fd_means_to_test")["score"] for f in (perfect, painted, deaf)]
    assert scores[0] == pytest.approx(0, abs=1e-3)
    assert scores[0] < scores[1] < scores[2]
