"""Which settings count as equally good, on planted scores."""

from __future__ import annotations

from typing import Any

from facecond.benchmarks.equal_quality import (
    as_good,
    best_setting,
    matching,
    scores,
    shipped_setting,
)


def row(steps: int, miou: float, frechet: float, solver: str = "ddim") -> dict[str, Any]:
    planted = {"mask_miou": miou, "attribute_bacc": 0.9, "frechet_judge": frechet}
    widths = {"mask_miou": 0.01, "attribute_bacc": 0.01, "frechet_judge": 0.5}
    ends = {
        f"{name}{end}": value + sign * widths[name]
        for name, value in planted.items()
        for end, sign in (("_low", -1), ("_high", 1))
    }
    return {"scheduler": solver, "steps": steps, "passes": steps} | planted | ends


def test_worse_beyond_the_intervals_is_not_as_good() -> None:
    assert as_good(row(8, 0.70, 9.0), row(50, 0.715, 8.1))
    assert not as_good(row(8, 0.70, 9.0), row(50, 0.73, 9.0))
    assert not as_good(row(8, 0.75, 9.0), row(50, 0.70, 7.5))
    assert as_good(row(8, 0.90, 1.0), row(50, 0.70, 7.5))


def test_the_cheapest_of_the_best() -> None:
    rows = [row(4, 0.60, 20), row(8, 0.70, 9.2), row(20, 0.705, 9.0), row(50, 0.71, 8.9)]
    assert best_setting(rows)["steps"] == 8
    # No setting is as good as all others: the one with most passes stands for the model.
    torn = [row(4, 0.80, 20), row(50, 0.60, 5)]
    assert best_setting(torn)["steps"] == 50


def test_the_setting_of_the_authors() -> None:
    rows = [row(50, 0.7, 9), row(50, 0.7, 9, "unipc"), row(100, 0.7, 9)]
    assert shipped_setting(rows, "unipc", 50)["scheduler"] == "unipc"
    assert shipped_setting(rows, "ddim", 20)["steps"] == 100


def test_ours_at_the_quality_of_others() -> None:
    rows = [row(4, 0.60, 12), row(8, 0.70, 9), row(20, 0.71, 8)]
    assert matching(rows, [row(50, 0.70, 9), row(20, 0.69, 9)])["steps"] == 8  # type: ignore[index]
    assert matching(rows, [row(50, 0.90, 3)]) is None
    told = scores(rows[1])
    assert told["steps"] == 8 and told["mask_miou"] == [0.7, 0.69, 0.71]
