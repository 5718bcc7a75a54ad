"""Studies whose variants begin from the run of one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from facecond.analysis.ablation.local import Local
from facecond.analysis.ablation.plan import chosen, evaluation_hash, identity, plan_runs
from facecond.analysis.ablation.preview import preview
from facecond.analysis.ablation.report_tables import how_to_read
from facecond.analysis.ablation.sweep import sweep
from facecond.analysis.ablation.table import collect
from facecond.analysis.ablation.tasks import Event, Task
from facecond.config import load_study
from facecond.data.factors import Factors
from facecond.data.prepared import PreparedFolder
from facecond.storage import read_json

REFERENCE = "{routing.preset: deadiff, reference.freeze: true, reference.same_picture: true, "
REFERENCE += "reference.dim: 16, reference.grid: 4}"
FROM_ALL = {
    "seeds: [0, 1]": "seeds: [0, 1]\ninit: all",
    "  all: {}\n  split: {routing.preset: coarse_fine}": f"  split: {REFERENCE}\n  all: {{}}",
    "[adherence, fidelity]": "[adherence, references]",
    "turned: 4": "turned: 4, references: 8",
}


class Rounds(Local):
    """Notes the rounds in which tasks are given, and leaves some undone."""

    def __init__(self, does: bool = True) -> None:
        super().__init__(2)
        self.does, self.given = does, []  # type: ignore[var-annotated]

    def run(self, tasks: list[Task], stopped: Callable[[], int]) -> Iterator[Event | None]:
        self.given.append([task.name for task in tasks])
        if self.does:
            yield from super().run(tasks, stopped)


def test_the_first_run_of_a_round_lends_its_weights(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    study = load_study(study_file(FROM_ALL))
    runs = plan_runs(study, tmp_path / "out")
    names = ["all/seed-0", "split/seed-0", "all/seed-1", "split/seed-1"]
    assert [run.name for run in runs] == names
    assert [run.init for run in runs] == [None, runs[0].folder, None, runs[2].folder]
    # Another beginning is another run.
    longer = load_study(study_file({**FROM_ALL, "all: {}": "all: {train.steps: 6}"}))
    others = plan_runs(longer, tmp_path / "out")
    assert all(a.config_hash != b.config_hash for a, b in zip(runs, others, strict=True))
    assert others[1].config == runs[1].config
    # Whoever asks for one gets what it begins from.
    assert {run.variant for run in chosen(study, runs, ["split"])} == {"all", "split"}
    assert {run.variant for run in chosen(study, runs, ["all"])} == {"all"}


def test_no_run_is_in_the_round_of_its_beginning(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    engine = Rounds(does=False)
    sweep(load_study(study_file(FROM_ALL)), tmp_path / "out", engine)
    assert engine.given == [["all/seed-0"], ["split/seed-0", "all/seed-1"], ["split/seed-1"]]
    engine = Rounds(does=False)
    sweep(load_study(study_file()), tmp_path / "other", engine)
    assert [len(tasks) for tasks in engine.given] == [4]


@pytest.mark.slow
def test_a_study_of_references_from_end_to_end(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    study = load_study(study_file(FROM_ALL))
    text = preview(study, out, timed=True)
    frozen = next(line for line in text.splitlines() if line.startswith("split"))
    parameters, trained = (float(word) for word in frozen.split()[1:5:2])
    assert trained < parameters / 2
    found = sweep(study, out, Local(2), seeds=[0])
    assert not found.failed and found.done == 2
    begun = read_json(out / "runs/split/seed-0/run.json")["init"]
    assert begun["path"] == str(out / "runs/all/seed-0/model")
    table = collect(study, plan_runs(study, out, [0]))
    for metric in ("layout_leak", "layout_adherence", "geometry_transfer"):
        assert {"all", "split"} <= {name for name, row in table.cells.items() if metric in row}
        assert table.cells["split"][metric].resampled
    assert "begin from the run of `all`" in how_to_read(table)


@pytest.mark.slow
def test_a_failed_beginning_is_named(study_file: Callable[..., Path], tmp_path: Path) -> None:
    wrong = {**FROM_ALL, "all: {}": "all: {first_stage.patch_size: 7}"}
    found = sweep(load_study(study_file(wrong)), tmp_path / "out", Local(2), seeds=[0])
    assert "patch_size 7" in found.failed["all/seed-0"]
    assert "begins from is not finished" in found.failed["split/seed-0"]


@pytest.mark.slow
def test_faces_of_a_study_may_vary_in_blocks(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    made = ["data.root=''", "data.count=36", "data.variations=3", "judges.folders=[]"]
    made += ["judges.steps=1", "data.judges_fraction=0.5", "data.test_fraction=0.25", "seeds=[0]"]
    study = load_study(study_file(), made)

    class Faces(Local):
        def run(self, tasks: Any, stopped: Any) -> Any:
            faces = [task for task in tasks if task.name == "faces"]
            return super().run(faces, stopped)

    sweep(study, tmp_path / "out", Faces())
    folder = PreparedFolder.open(tmp_path / "out" / "data")
    assert folder.factors is not None and folder.factors["000001"] == Factors("0", "1")


def test_what_is_not_said_does_not_count(study_file: Callable[..., Path]) -> None:
    """A study from before there were references goes on in its folder."""
    study = load_study(study_file(), ["data.root=''", "data.count=9"])
    told = identity(study)
    assert "variations" not in told["data"]
    assert not {key for key in told["base"] if key.startswith(("reference.", "pairs."))}
    varied = load_study(study_file(), ["data.root=''", "data.count=9", "data.variations=3"])
    assert identity(varied)["data"]["variations"] == 3
    more = replace(study.config, evaluate=replace(study.config.evaluate, references=7))
    assert evaluation_hash(replace(study, config=more), "j") == evaluation_hash(study, "j")
