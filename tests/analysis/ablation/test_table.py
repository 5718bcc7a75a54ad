"""The table of planted runs: what was planted is found, with its difference and its spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from facecond.analysis.ablation.table import collect, read_run, varied
from facecond.errors import UserError

BASE = [0.50, 0.56, 0.47, 0.53, 0.44]
BETTER = [0.531, 0.588, 0.502, 0.559, 0.469]
SAME = [0.52, 0.55, 0.46, 0.55, 0.42]


def test_a_planted_difference_is_better_and_noise_is_not(planted: Callable[..., Any]) -> None:
    third = {"  split: {": "  other: {optim.ema_decay: 0.9}\n  split: {"}
    world = planted({"all": BASE, "split": BETTER, "other": SAME}, third)
    table = collect(world.study, world.runs)
    assert table.variants == ["all", "other", "split"]
    cells = {name: row["mask_miou"] for name, row in table.cells.items()}
    assert [cells[name].verdict for name in table.variants] == ["", "not shown to differ", "better"]
    assert cells["split"].summary.mean == pytest.approx(sum(BETTER) / 5)
    assert (cells["all"].floor, cells["all"].ceiling) == (0.1, 0.9)
    gap = cells["split"].difference
    assert gap is not None and gap.mean == pytest.approx(0.0298) and gap.n == 5
    assert gap.adjusted == pytest.approx(2 * gap.p)  # Holm over two variants
    assert gap.student.low > 0 and gap.sign_p == 0.0625
    lower = table.cells["split"]["frechet_judge"]
    assert lower.better == "lower" and lower.verdict == "better"
    worse = table.cells["split"]["attribute_bacc"]
    assert worse.verdict == "worse"


def test_images_are_drawn_alike_where_counts_are_kept(planted: Callable[..., Any]) -> None:
    """The same hard images in all runs: they widen each figure and leave the difference alone."""
    world = planted({"all": [0.5], "split": [0.55]})
    table = collect(world.study, world.runs)
    cell = table.cells["split"]["pixel_accuracy"]
    gap = cell.difference
    assert gap is not None and cell.resampled and not table.cells["split"]["mask_miou"].resampled
    assert cell.summary.crossed.high - cell.summary.crossed.low > 0.02
    assert gap.crossed.high - gap.crossed.low < 1e-3
    assert gap.crossed.low == pytest.approx(0.05, abs=1e-3)
    assert cell.verdict == "one seed: cannot be told"


def test_only_what_is_of_the_model_is_in_the_table(planted: Callable[..., Any]) -> None:
    world = planted({"all": BASE[:2], "split": SAME[:2]})
    table = collect(world.study, world.runs)
    assert list(table.metrics) == ["mask_miou", "attribute_bacc", "frechet_judge", "pixel_accuracy"]
    assert table.cells["all"]["mask_miou"].scores == {0: 0.50, 1: 0.56}  # not the group's 0
    assert table.parameters("all") == (1000, "")
    assert table.parameters("split") == (900, "-10.0%")
    assert table.cells_off("all") == "all on" and "absent" in table.cells_off("split")
    assert varied(world.study) == ["routing.preset"]


def test_seeds_that_only_one_variant_has_are_not_compared(planted: Callable[..., Any]) -> None:
    world = planted({"all": BASE[:3]})
    late = [run for run in world.runs if run.variant == "split"][1:]
    for run in late:
        world.write(run, 0.6)
    table = collect(world.study, world.runs)
    cell = table.cells["split"]["mask_miou"]
    assert set(cell.scores) == {1, 2} and cell.difference is not None and cell.difference.n == 2


def test_runs_of_another_config_or_scoring_are_told_apart(planted: Callable[..., Any]) -> None:
    world = planted({"all": BASE[:2]})
    first, second = (run for run in world.runs if run.variant == "all")
    world.write(first, 0.5, config_hash="another")
    assert read_run(first, 0) is None and read_run(second, 0) is not None
    world.write(first, 0.5, evaluation_hash="f" * 64)
    with pytest.raises(UserError, match="all/seed-0 and all/seed-1 were scored with different"):
        collect(world.study, world.runs)
    with pytest.raises(UserError, match="no run is finished"):
        collect(world.study, [])
