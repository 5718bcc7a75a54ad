"""Two judges as two opinions: what they share is found in what they say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facecond.evaluation.judge_overlap import compare_judges, compare_scores
from facecond.models.judges import FaceParser

ONE = {"weights_sha256": "aa", "seed": 0, "data_hash": "d1", "part": "a"}


@pytest.mark.parametrize(
    ("change", "shared", "unknown"),
    [
        ({"weights_sha256": "bb", "seed": 1, "part": "b"}, [], []),
        ({"weights_sha256": "bb", "seed": 1}, ["overlapping data"], []),
        ({"weights_sha256": "bb", "seed": 1, "part": "all"}, ["overlapping data"], []),
        ({"weights_sha256": "bb", "part": "b"}, ["same seed"], []),
        ({}, ["same weights", "same seed", "overlapping data"], []),
        (
            {"weights_sha256": "bb", "seed": 1, "data_hash": "d2"},
            [],
            ["whether their data overlap"],
        ),
        # Halves go by name: those of two preparations of the same pictures are disjoint too.
        ({"weights_sha256": "bb", "seed": 1, "data_hash": "d2", "part": "b"}, [], []),
        (
            {"weights_sha256": None, "seed": None, "data_hash": None, "part": "all"},
            [],
            [
                "whether the weights differ",
                "whether the seeds differ",
                "whether their data overlap",
            ],
        ),
    ],
)
def test_what_is_shared(change: dict[str, Any], shared: list[str], unknown: list[str]) -> None:
    for first, second in ((ONE, ONE | change), (ONE | change, ONE)):
        found = compare_scores(first, second)
        assert (found.shared, found.unknown) == (shared, unknown)
        assert found.independent == (not shared)
        assert found.notes() == [*shared, *(f"not known: {what}" for what in unknown)]


def test_weights_are_compared_even_where_no_scores_lie(tmp_path: Path) -> None:
    model = FaceParser(width=8)
    for name in ("one", "copy"):
        model.save_pretrained(tmp_path / name)
    FaceParser(width=8).save_pretrained(tmp_path / "other")
    assert compare_judges(tmp_path / "one", tmp_path / "copy").shared == ["same weights"]
    found = compare_judges(tmp_path / "one", tmp_path / "other")
    assert found.independent and len(found.unknown) == 2
