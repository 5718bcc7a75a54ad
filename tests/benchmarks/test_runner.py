"""Cases one after the other: files, memory, failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facecond.benchmarks.runner import SCHEMA, run_cases
from facecond.benchmarks.settings import Settings
from facecond.errors import UserError
from facecond.storage import read_json


def answering(asked: list[tuple[str, str]]) -> Any:
    def ask(settings: Settings, case: str, only: str) -> dict[str, Any]:
        asked.append((case, only))
        if only:
            return {"peak_mib": 100.0, "of": "process"}
        if case == "train-64":
            return {"failed": "b has 1,050 parameters"}
        rows = [{"contender": name, "median_s": 1.0} for name in ("facecond", "ldm")]
        return {"rows": rows, "work": "", "device": "X", "threads": 1, "peers": {}}

    return ask


def test_each_case_is_written(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    names = ["forward-64", "train-64", "start-up"]
    found = list(run_cases(Settings(), names, tmp_path / "out", answering(asked)))
    assert asked == [
        ("forward-64", ""), ("forward-64", "facecond"), ("forward-64", "ldm"),
        ("train-64", ""), ("start-up", ""),
    ]  # fmt: skip
    assert "parameters" in found[1]["failed"] and not (tmp_path / "out" / "train-64.json").exists()
    told = read_json(tmp_path / "out" / "forward-64.json")
    assert told["schema"] == SCHEMA and told["settings"] == Settings().to_dict() | {
        "quality": {**Settings().to_dict()["quality"],
                    **{k: list(v) for k, v in Settings().to_dict()["quality"].items()
                       if isinstance(v, tuple)}}
    }  # fmt: skip
    assert {"processor", "cores", "load"} <= told["machine"].keys() and told["versions"]["torch"]
    assert [row["peak_mib"] for row in told["rows"]] == [100.0, 100.0]
    assert "peak_mib" not in read_json(tmp_path / "out" / "start-up.json")["rows"][0]


def test_what_the_process_says_is_passed_on(tmp_path: Path) -> None:
    def ask(settings: Settings, case: str, only: str) -> dict[str, Any]:
        raise UserError("needs faces and judges", "equal-quality", "Add --data DIR.")

    with pytest.raises(UserError, match="needs faces and judges"):
        list(run_cases(Settings(), ["equal-quality"], tmp_path, ask))
