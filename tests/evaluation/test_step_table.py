"""The table of solvers and steps: what is measured, in which order, and what is known already."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.step_table import StepTable, step_rows, step_table


def row(scheduler: str, steps: int, **changes: Any) -> dict[str, Any]:
    scores = {"mask_miou": 0.7, "attribute_bacc": 0.9, "frechet_judge": 8.0}
    ends = {f"{name}_ceiling": 1.0 for name in scores}
    return {
        "scheduler": scheduler, "steps": steps, "passes": 1.0 * steps, "n": 128, "drift": 0.5,
        "seconds": 0.01, "cpu_seconds": 0.02, **scores, **ends, **changes,
    }  # fmt: skip


def test_rows_stand_by_solver_and_steps() -> None:
    rows = [row("unipc", 50), row("unipc", 2), row("euler", 2, drift=3.25), row("unipc", 4)]
    lines = step_table(rows).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:3]] for line in lines[2:6]]
    assert cells == [["unipc", "2"], ["unipc", "4"], ["unipc", "50"], ["euler", "2"]]
    assert lines[5] == "| euler | 2 | 1 | 2 | 0.700 | 0.900 | 8.00 | 3.25 | 10 | 20 |"
    assert lines[-1].startswith("n = 128; ceilings: mask_miou 1.000")


def solver_of(world: Any, faces: PreparedFolder) -> Any:
    """Its pictures are the real ones, and noise that falls with the steps; two passes each."""

    class Solver(world.Mirror):
        def use_scheduler(self, name: str) -> None:
            self.name = name

        def __call__(self, *given: Any, num_inference_steps: int, **options: Any) -> Any:
            images = super().__call__(*given, **options).images.astype(int)
            for _ in range(num_inference_steps):
                self.unet(torch.zeros(2 * len(images)))
            noise = np.random.default_rng(0).normal(0, 60 / num_inference_steps, images.shape)
            return SimpleNamespace(images=np.clip(images + noise, 0, 255).astype(np.uint8))

    solver = Solver(faces)
    solver.unet = nn.Identity()
    solver.unet.config, solver.unet.routed = {}, {"attributes", "mask"}
    return solver


def test_a_distilled_model_stands_beside_the_solvers(
    world: Any, faces: PreparedFolder, judges: Any
) -> None:
    plain, few = solver_of(world, faces), solver_of(world, faces)
    few.unet.config["guidance_ranges"] = {"mask": [1.0, 3.0]}
    few.condition_encoder = SimpleNamespace(config=SimpleNamespace(plane_size=0), rows={})
    few.use_scheduler = None  # it has its own
    table = StepTable(plain, faces, judges, ["a"], [4], n=20, few_step=few)
    rows = list(step_rows(table, progress=False))
    told = [(row["scheduler"], row["steps"]) for row in rows]
    assert told == [("a", 4), *(("distilled", steps) for steps in (1, 2, 4, 8))]
    assert rows[3]["drift"] == 0 < rows[4]["drift"] < rows[1]["drift"]
    assert [row["passes"] for row in rows] == [8, 2, 4, 8, 16]
    assert all(call["guidance"] == {"mask": 2.0} for call in few.calls)
    assert list(step_rows(table, rows, progress=False)) == []
    alone = StepTable(plain, faces, judges, ["a"], [4], n=20)
    assert alone.own(rows) == rows[:1] and list(step_rows(alone, rows, progress=False)) == []
    few.unet.config["guidance_ranges"] = {"mask": [1.0, 1.5]}
    with pytest.raises(UserError, match="2 is no scale of 'mask'"):
        next(step_rows(table, progress=False))
    few.unet.config["guidance_ranges"] = None
    with pytest.raises(UserError, match="few_step: it was not distilled"):
        StepTable(plain, faces, judges, ["a"], [4], n=20, few_step=few)


def test_drift_falls_with_the_steps(world: Any, faces: PreparedFolder, judges: Any) -> None:
    solver = solver_of(world, faces)
    table = StepTable(solver, faces, judges, ["a", "b"], [2, 8], n=20)
    rows = list(step_rows(table, progress=False))
    assert [(row["scheduler"], row["steps"]) for row in rows] == [
        ("a", 8), ("a", 2), ("b", 2), ("b", 8),
    ]  # fmt: skip
    assert rows[0]["drift"] == rows[3]["drift"] == 0 < rows[1]["drift"]
    assert rows[1]["frechet_judge"] > rows[0]["frechet_judge"]
    left = step_rows(table, rows[:2], progress=False)
    assert [(row["scheduler"], row["steps"]) for row in left] == [("b", 2), ("b", 8)]
    assert rows[0]["passes"] == 16


def test_each_setting_with_and_without_reuse(
    world: Any, faces: PreparedFolder, judges: Any
) -> None:
    solver = solver_of(world, faces)
    table = StepTable(solver, faces, judges, ["a"], [1, 4], n=20, reuse=[1, 2])
    rows = list(step_rows(table, progress=False))
    told = [(row["steps"], row["reuse"]) for row in rows]
    assert told == [(4, 1), (1, 1), (4, 2)]  # one step has nothing to reuse
    assert {call["feature_reuse"] for call in solver.calls} == {1, 2}
    lines = step_table(rows).splitlines()[2:5]
    assert [line.split("|")[2:4] for line in lines] == [
        [" 1 ", " 1 "],
        [" 4 ", " 1 "],
        [" 4 ", " 2 "],
    ]
    without = StepTable(solver, faces, judges, ["a"], [1, 4], n=20)
    assert list(step_rows(without, rows, progress=False)) == []
    old = {name: value for name, value in rows[0].items() if name != "reuse"}
    assert list(step_rows(without, [old, rows[1]], progress=False)) == []


def test_rows_of_another_table_are_not_its_own(
    world: Any, faces: PreparedFolder, judges: Any
) -> None:
    def table(steps: list[int], judged_by: Any = judges) -> StepTable:
        return StepTable(solver_of(world, faces), faces, judged_by, ["a", "b"], steps, n=20)

    class Others:
        def hashes(self) -> dict[str, str]:
            return {"parser": "1", "attributes": "2"}

    told = table([2, 8]).base
    assert told["finest"] == ["a", 8] and told["judges"] == judges.hashes() and told["versions"]
    same, finer, others = table([8, 2]), table([2, 8, 16]), table([2, 8], Others())
    rows = [
        row(*setting, identity=made.base["identity"])
        for setting, made in ((("a", 8), same), (("a", 16), finer), (("a", 2), others))
    ]
    rows.append(row("a", 4))  # of before there was an identity
    assert table([2, 8]).own(rows) == rows[:1]
    assert finer.own(rows) == rows[1:2]


@pytest.mark.parametrize(("schedulers", "steps"), [([], [2]), (["a"], [])])
def test_a_table_of_nothing_is_refused(schedulers: list[str], steps: list[int]) -> None:
    with pytest.raises(UserError, match="none is named"):
        StepTable(None, None, None, schedulers, steps, n=20)  # type: ignore[arg-type]
