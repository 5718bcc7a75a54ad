"""`tools/measure_gpu.sh`: its order, what it goes on with, what a part that fails leaves alone.

Where the order is asked for, the interpreter is a planted one that says what it was told; the last
test runs the real commands at tiny size.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "tools" / "measure_gpu.sh"
PLANTED = """#!/bin/sh
case "$*" in
  -c*chosen*) echo forward-64 forward-256 train-64 train-256 sample-64 sample-256 studio ;;
  -c*cuda*) exit $NO_GPU ;;
  *"benchmark train-64"*compile*) echo "train-64: not measured: b is wrong"; echo table; exit 1 ;;
  *judge*parser*) if [ -e "$GOOD" ]; then exit 0; fi; echo "facecond: error: no"; exit 2 ;;
  *) echo "$*" >>"$CALLS" ;;
esac
"""
Measure = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("timeout") is None,
    reason="there is no bash, or no timeout, on this machine",
)


@pytest.fixture
def measure(tmp_path: Path) -> Measure:
    """Run the script into `tmp_path/out` with the planted interpreter."""
    planted = tmp_path / "python"
    planted.write_text(PLANTED)
    planted.chmod(0o755)
    named = {"PYTHON": planted, "CALLS": tmp_path / "calls", "GOOD": tmp_path / "good"}

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        given = os.environ | {k: str(v) for k, v in named.items()} | {"NO_GPU": "0"} | environment
        command = ["bash", str(SCRIPT), str(tmp_path / "out"), *words]
        return subprocess.run(command, env=given, capture_output=True, text=True, timeout=900)

    return run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "0"], "give a whole number from 1 up"),
        (["--minutes"], "--minutes: needs a value"),
        (["--quickly"], "--quickly: unknown option"),
        (["more"], "one folder only"),
        ([], "there is no CUDA GPU here"),
    ],
)
def test_bad_input_is_one_line(measure: Measure, words: list[str], said: str) -> None:
    done = measure(*words, NO_GPU="1")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("measure_gpu: error: ") and done.stderr.count("\n") == 1
    assert said in done.stderr


def test_a_part_that_fails_loses_no_other(measure: Measure, tmp_path: Path) -> None:
    done = measure("--minutes", "60", "--peer", "diffusers", "--skip", "fp32-*-256")
    assert done.returncode == 1
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [name for name, _ in lines] == [
        "bf16-forward-64", "bf16-forward-256", "bf16-train-256", "bf16-sample-256",
        "bf16-train-64", "bf16-sample-64", "bf16-first-stage",
        "fp32-forward-64", "fp32-train-64", "fp32-sample-64",
        "bf16-compile-forward-64", "bf16-compile-forward-256", "bf16-compile-train-256",
        "bf16-compile-sample-256", "bf16-compile-train-64", "bf16-compile-sample-64",
        "fp32-studio", "render", "judge-attributes", "judge-parser", "train", "evaluate", "all",
    ]  # fmt: skip
    failed = {name: said for name, said in lines if "FAILED" in said}
    assert failed == {
        "bf16-compile-train-64": "FAILED with 1: train-64: not measured: b is wrong",
        "judge-parser": "FAILED with 2: facecond: error: no",
    }
    out, calls = tmp_path / "out", (tmp_path / "calls").read_text().splitlines()
    first = "-m facecond benchmark forward-64 --precision bf16 --peer diffusers"
    assert calls[0] == f"{first} --out {out}/benchmarks/bf16 --table {out}/benchmarks.md"
    assert any("train rendered_128" in call and "train.minutes=5" in call for call in calls)
    assert "--protocol full" in calls[-1] and "--quick" not in " ".join(calls)


def test_the_same_command_goes_on_with_what_is_missing(measure: Measure, tmp_path: Path) -> None:
    words = ("--minutes", "60", "--skip", "bf16-compile-*")
    assert measure(*words).returncode == 1
    (tmp_path / "good").touch()
    (tmp_path / "calls").unlink()
    done = measure(*words)
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "calls").exists()  # all but the judge were done before
    assert done.stdout.count("done before") == 18


def test_a_training_goes_on_with_its_length(measure: Measure, tmp_path: Path) -> None:
    measure("--minutes", "60", "--skip", "*-*")
    (tmp_path / "out" / "done" / "train").unlink()
    measure("--minutes", "10", "--skip", "*-*")
    calls = [c for c in (tmp_path / "calls").read_text().splitlines() if "train rendered" in c]
    assert len(calls) == 2 and calls[0] == calls[1]


def test_without_time_nothing_is_begun(measure: Measure, tmp_path: Path) -> None:
    done = measure("--minutes", "1", "--skip", "*-*")
    assert "train                        no time left" in done.stdout and done.returncode == 1
    assert not (tmp_path / "out" / "minutes.txt").exists()


@pytest.mark.slow
def test_the_real_commands_at_tiny_size(measure: Measure, tmp_path: Path) -> None:
    skips = [word for part in ("bf16-compile-*", "fp32-*", "bf16-[!f]*", "bf16-f*-256")
             for word in ("--skip", part)]  # fmt: skip
    done = measure("--quick", *skips, PYTHON=sys.executable)
    assert done.returncode == 0, done.stdout
    out = tmp_path / "out" / "quick"
    assert "| forward-64 | bf16" in (out / "benchmarks.md").read_text()
    for file in ("benchmarks/bf16/first-stage.json", "rendered_128/model/model_index.json",
                 "evaluation/report.html", "parts.txt", "machine.txt"):  # fmt: skip
        assert (out / file).is_file(), file
    again = measure("--quick", *skips, PYTHON=sys.executable)
    assert again.stdout.count("done before") == 7 and again.returncode == 0
