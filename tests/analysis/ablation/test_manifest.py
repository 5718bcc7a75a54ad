"""The manifest against what the folders say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facecond.analysis.ablation.manifest import Manifest
from facecond.analysis.ablation.plan import data_root, plan_runs
from facecond.analysis.ablation.tasks import Outcome, dead
from facecond.config import load_study
from facecond.errors import UserError
from facecond.storage import write_json


def opened(world: Any) -> Manifest:
    manifest = Manifest.open(world.study, world.out)
    manifest.take_in(world.runs, world.hashes)
    return manifest


def test_states_come_from_the_folders(planted: Callable[..., Any]) -> None:
    world = planted({"all": [0.5, 0.6]})
    manifest = opened(world)
    assert manifest.counts(world.runs) == {"missing": 2, "running": 0, "done": 2, "failed": 0}
    first, other = world.runs[0], world.runs[1]
    manifest.stamp()
    manifest.begin(other)
    manifest.end(other, dead(-9))
    manifest.begin(first)  # the sweep dies here
    again = opened(world)
    assert again.runs[first.name]["state"] == "done"  # its folder says so
    assert again.runs[other.name]["state"] == "failed" and again.runs[other.name]["tries"] == 1
    assert "SIGKILL" in again.runs[other.name]["error"]
    os.remove(first.folder / "done.json")
    assert opened(world).runs[first.name]["state"] == "missing"


def test_seconds_add_up_and_an_interruption_is_no_failure(planted: Callable[..., Any]) -> None:
    world = planted({"all": [0.5]})
    manifest, run = opened(world), world.runs[1]
    for outcome in (Outcome("interrupted", "stopped", 3.0), Outcome("done", "", 4.0)):
        manifest.begin(run)
        manifest.end(run, outcome)
    entry = manifest.runs[run.name]
    assert (entry["seconds"], entry["tries"], entry["state"], entry["error"]) == (
        7.0,
        2,
        "done",
        "",
    )


def test_another_scoring_makes_finished_runs_missing(planted: Callable[..., Any]) -> None:
    world = planted({"all": [0.5]})
    manifest = Manifest.open(world.study, world.out)
    manifest.take_in(world.runs, world.hashes | {"evaluation_hash": "other"})
    assert manifest.counts(world.runs)["done"] == 0


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("train.steps=6", "another base (train.steps: 5, 6)"),
        ("objective.weighting=uniform", "another base (objective.weighting: p2, uniform)"),
        ("judges.folders=[]", "another judges"),
    ],
)
def test_the_folder_of_another_study_is_refused(
    override: str, named: str, planted: Callable[..., Any], study_file: Callable[..., Path]
) -> None:
    world = planted({"all": [0.5]})
    opened(world).write()
    other = load_study(study_file(), [override])
    with pytest.raises(UserError) as error:
        Manifest.open(other, world.out)
    said = str(error.value)
    assert named in said and "manifest.json" in said and "Choose another --out." in said
    assert "\n" not in said


def test_what_does_not_change_the_runs_may_change(
    planted: Callable[..., Any], study_file: Callable[..., Path]
) -> None:
    world = planted({"all": [0.5]})
    opened(world).write()
    study = load_study(study_file(), ["train.log_every=3", "evaluate.n=5", "seeds=[0, 7]"])
    manifest = Manifest.open(study, world.out)
    manifest.take_in(plan_runs(study, world.out), world.hashes)
    assert manifest.runs["all/seed-0"]["state"] == "done"
    assert manifest.runs["all/seed-7"]["state"] == "missing"


def test_a_finished_run_of_another_variant_is_never_overwritten(
    planted: Callable[..., Any], study_file: Callable[..., Path]
) -> None:
    world = planted({"split": [0.5]})
    opened(world).write()
    changed = load_study(study_file({"coarse_fine": "fine_coarse"}))
    manifest = Manifest.open(changed, world.out)
    with pytest.raises(UserError) as error:
        manifest.take_in(plan_runs(changed, world.out), world.hashes)
    said = str(error.value)
    assert "variant 'split' was another training" in said and "runs/split/seed-0" in said
    assert "Remove the folder" in said


def test_an_unfinished_run_of_a_mended_variant_is_begun_anew(
    planted: Callable[..., Any], study_file: Callable[..., Path]
) -> None:
    world = planted({"all": [0.5]})
    manifest = opened(world)
    manifest.end(world.runs[1], Outcome("failed", "as planned", 1.0))
    changed = load_study(study_file({"coarse_fine": "fine_coarse"}))
    after = Manifest.open(changed, world.out)
    outdated = after.take_in(plan_runs(changed, world.out), world.hashes)
    assert [run.name for run in outdated] == ["split/seed-0"]
    assert after.runs["split/seed-0"]["state"] == "missing"
    assert after.runs["split/seed-0"]["error"] == ""


def test_a_file_that_is_no_manifest_is_refused(planted: Callable[..., Any]) -> None:
    world = planted({"all": [0.5]})
    write_json(world.out / "manifest.json", {"schema": "something"})
    with pytest.raises(UserError, match="not the manifest of an ablation"):
        Manifest.open(world.study, world.out)
    (world.out / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        Manifest.open(world.study, world.out)


def test_a_file_in_the_studys_folder_counts_by_its_content(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    file = "{routing.file: OUT/mine.yaml}"
    study = load_study(study_file({"{routing.preset: coarse_fine}": file}))
    before = plan_runs(study, tmp_path)
    assert before[1].config.routing.file == str(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_text("rules: []")
    after = plan_runs(study, tmp_path)
    assert after[1].config_hash != before[1].config_hash
    assert after[0].config_hash == before[0].config_hash
    assert after[0].config.data.root == str(data_root(study, tmp_path))


def test_a_sensitivity_file_counts_by_the_order_that_it_tells(
    study_file: Callable[..., Path], tmp_path: Path
) -> None:
    ranked = "{routing.preset: rank_topk, routing.sensitivity: OUT/s.json}"
    study = load_study(study_file({"{routing.preset: coarse_fine}": ranked}))
    measured = {"checksum": "1", "order": {"mask": ["a", "b"]}, "rank": {"mask": ["a"]}}

    def told(**changes: Any) -> str:
        write_json(tmp_path / "s.json", measured | changes)
        return plan_runs(study, tmp_path)[1].config_hash

    assert told(seconds=1.0) == told(seconds=2.0)
    hashes = {told(), told(checksum="2"), told(order={"mask": ["b", "a"]}), told(rank={"mask": []})}
    assert len(hashes) == 4
