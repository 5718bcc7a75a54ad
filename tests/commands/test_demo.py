"""The demo's stages: done once, timed over interruptions, with a length that is fixed once."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from facecond.commands.demo import (
    LEAST_TRAINING_MINUTES,
    SCORING_MINUTES,
    SETUP_MINUTES,
    Stages,
    summarise,
)
from facecond.config import JudgeConfig, load
from facecond.errors import UserError
from facecond.storage import read_json, write_json


def render(stages: Stages, data: Path, seed: int) -> int:
    words = ["--out", str(data), "--count", "3", "--size", "64", "--workers", "1"]
    return stages.run(
        "render", data / "manifest.json", "data_render", [*words, "--seed", str(seed)]
    )


def data_hash(data: Path) -> str:
    return str(read_json(data / "manifest.json")["data_hash"])


def test_a_stage_runs_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert render(Stages(tmp_path, 8, 0), data, seed=0) == 0
    made, before = data_hash(data), read_json(tmp_path / "demo.json")
    capsys.readouterr()
    assert render(Stages(tmp_path, 8, 0), data, seed=1) == 0  # another seed would show
    assert data_hash(data) == made
    assert "render: done before" in capsys.readouterr().out
    assert read_json(tmp_path / "demo.json") == before


def test_a_stage_whose_result_is_gone_runs_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    render(Stages(tmp_path, 8, 0), data, seed=0)
    made, spent = data_hash(data), read_json(tmp_path / "demo.json")["seconds"]["render"]
    shutil.rmtree(data)
    render(Stages(tmp_path, 8, 0), data, seed=0)
    assert data_hash(data) == made
    assert read_json(tmp_path / "demo.json")["seconds"]["render"] > spent


def test_a_result_that_the_demo_did_not_make_is_not_taken_for_its_own(tmp_path: Path) -> None:
    data = tmp_path / "data"
    render(Stages(tmp_path, 8, 0), data, seed=0)
    made = data_hash(data)
    (tmp_path / "demo.json").unlink()
    render(Stages(tmp_path, 8, 0), data, seed=1)
    assert data_hash(data) != made


def test_a_fault_in_a_stage_is_passed_on_and_the_stage_not_done(tmp_path: Path) -> None:
    stages = Stages(tmp_path, 8, 0)
    words = ["--out", str(tmp_path / "data"), "--count", "0", "--size", "64"]
    for _ in range(2):
        with pytest.raises(UserError, match="--count"):
            stages.run("render", tmp_path / "data" / "manifest.json", "data_render", words)


def test_seconds_add_up_over_an_interruption(tmp_path: Path) -> None:
    stages = Stages(tmp_path, 8, 0)
    stages.state["seconds"]["train"] = 100.0
    with pytest.raises(KeyboardInterrupt), stages.timed("train"):
        raise KeyboardInterrupt
    after = Stages(tmp_path, 8, 0)
    interrupted = after.state["seconds"]["train"]
    assert 100 < interrupted < 101
    with after.timed("train"):
        pass
    assert interrupted < Stages(tmp_path, 8, 0).state["seconds"]["train"] < 101


def test_the_training_gets_what_is_left_and_keeps_it(tmp_path: Path) -> None:
    stages = Stages(tmp_path, 8, 0)
    stages.state["seconds"] = {"render": 30.0, "judge_parser": 60.0}
    minutes = stages.remaining_for_training()
    assert minutes == pytest.approx(8 - SETUP_MINUTES - 1.5)
    stages.state["seconds"]["train"] = 200.0  # an interrupted training goes on with its length
    assert stages.remaining_for_training() == minutes
    assert Stages(tmp_path, 8, 0).remaining_for_training() == minutes


@pytest.mark.parametrize(("minutes", "seed", "named"), [(4, 0, "--minutes"), (8, 1, "--seed")])
def test_another_demo_in_the_same_folder_is_refused(
    minutes: float, seed: int, named: str, tmp_path: Path
) -> None:
    with Stages(tmp_path, 8, 0).timed("render"):
        pass
    with pytest.raises(UserError, match=named):
        Stages(tmp_path, minutes, seed)


def test_the_training_has_a_least_length(tmp_path: Path) -> None:
    stages = Stages(tmp_path, 1, 0)
    stages.state["seconds"] = {"render": 300.0}
    assert stages.remaining_for_training() == LEAST_TRAINING_MINUTES


@pytest.mark.parametrize("kind", ["attributes", "parser"])
def test_judges_of_a_short_demo_take_fewer_steps(kind: str, tmp_path: Path) -> None:
    full = load(JudgeConfig, f"judge_{kind}_64").judge.steps
    assert Stages(tmp_path, 6, 0).judge_steps(kind) == full
    assert Stages(tmp_path, 3, 0).judge_steps(kind) == full // 2
    assert Stages(tmp_path, 0.1, 0).judge_steps(kind) == 60


def test_a_command_is_announced_as_one_would_type_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = Stages(tmp_path, 8, 0)
    stages.state["seconds"] = {"render": 120.0}
    words = ["parser", "judge_parser_64", "--set", "data.root=my data", "judge.seed=1"]
    _, args = stages.announce("judge_parser", "train_judge", words)
    assert (args.kind, args.config) == ("parser", "judge_parser_64")
    assert args.overrides == ["data.root=my data", "judge.seed=1"]
    spoken = stages.state["commands"]["judge_parser"]
    assert shlex.split(spoken) == ["facecond", "train", "judge", *words]
    printed = capsys.readouterr().out
    assert spoken in printed and f"{6 + SCORING_MINUTES:.1f} min" in printed


def test_the_summary_adds_what_the_model_and_the_stages_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {"mask_miou": 0.7, "mask_miou_floor": 0.2, "mask_miou_ceiling": 0.8}
    scores |= {"attribute_bacc": 0.9, "attribute_bacc_floor": 0.5, "attribute_bacc_ceiling": 0.95}
    scores |= {"frechet_judge": 2.0, "frechet_judge_reconstruction": 1.0}
    run = {"parameters": 7, "steps": 9, "seed": 4, "versions": {"python": "3"}}
    (tmp_path / "run" / "model").mkdir(parents=True)
    write_json(tmp_path / "results.json", scores)
    write_json(tmp_path / "run" / "model" / "provenance.json", run | {"commit": "none of these"})
    stages = Stages(tmp_path, 8, 4)
    stages.state |= {"seconds": {"render": 61.26, "train": 59.0}, "commands": {"render": "a b"}}
    summarise(tmp_path, stages)
    expected = scores | run | {"seconds": {"render": 61.3, "train": 59.0}, "commands": ["a b"]}
    assert read_json(tmp_path / "results.json") == expected
    printed = capsys.readouterr().out
    assert "2.0 minutes" in printed and "report.html" in printed
