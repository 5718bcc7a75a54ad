"""`facecond benchmark`: what is said of bad input, and one case from end to end."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.cli import main
from facecond.storage import read_json


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["forwrd-64"], "unknown case 'forwrd-64'. Did you mean 'forward-64'?"),
        (["--cases", "start-up,trian-64"], "Did you mean 'train-64'?"),
        (["--peer", "ldm=/nowhere/at/all"], "no checkout of ldm"),
        (["--peer", "ldm"], "Give --peer ldm=CHECKOUT"),
        (["--repeats", "0"], "must be a whole number from 1 up"),
        (["--models", "ldm=nowhere"], "not a model folder"),
        (["--models", "own=nowhere"], "unknown contender 'own'"),
        (["--shipped", "ddim"], "must be a whole number from 1 to 1000"),
        (["--table", "/proc/nowhere/table.md"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *words]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.startswith("facecond: error: ") and message in said


@pytest.mark.slow
def test_a_case_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["benchmark", "latents", "--quick", "--out", str(out), "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "n = 2" in printed and "peak" in printed and "images/s" in printed
    (row,) = read_json(out / "latents.json")["rows"]
    assert row["n"] == 2 and row["peak_mib"] > 50
    assert "| latents | fp32, 1 threads, quick |" in (out / "benchmarks.md").read_text()


def test_a_case_that_needs_more_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from facecond.benchmarks import runner

    monkeypatch.setattr(
        runner, "ask", lambda *words: {"failed": "b has 1,050 parameters, 5.0% apart"}
    )
    monkeypatch.setattr(runner.run_cases, "__defaults__", (runner.ask,))
    assert main(["benchmark", "train-64", "--out", str(tmp_path)]) == 1
    assert "train-64: not measured: b has 1,050 parameters" in capsys.readouterr().out
