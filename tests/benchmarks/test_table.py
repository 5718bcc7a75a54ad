"""The table: planted figures, rows that are replaced, text that is kept."""

from __future__ import annotations

from typing import Any

import pytest

from facecond.benchmarks.table import cells_of, merged, parsed, seconds_text, write_table


def found(**changes: Any) -> dict[str, Any]:
    rows = [
        {"case": "forward-64", "contender": "facecond", "n": 7, "median_s": 0.02, "min_s": 0.019,
         "max_s": 0.025, "per_second": 800.0, "unit": "images", "peak_mib": 512.4},
        {"case": "forward-64", "contender": "ldm", "n": 7, "median_s": 0.026, "min_s": 0.0256,
         "max_s": 0.031, "per_second": 615.4, "unit": "images", "peak_mib": 530.0,
         "ratio": 1.3, "ratio_min": 1.2, "ratio_max": 1.44},
    ]  # fmt: skip
    return {
        "case": "forward-64", "device": "AMD EPYC (2 cores)", "threads": 2, "commit": "a" * 40,
        "settings": {"precision": "bf16", "compile": False, "quick": False}, "rows": rows,
    } | changes  # fmt: skip


def test_cells_of_planted_figures() -> None:
    own, peer = cells_of(found())
    assert own == (
        "forward-64", "bf16, 2 threads", "facecond", "20.00 ms",
        "19.00 ms – 25.00 ms", "7", "800 images", "512", "1 (first)", "aaaaaaaaa",
    )  # fmt: skip
    assert peer[8] == "1.30 (1.20–1.44)"
    compiled = found(settings={"precision": "fp32", "compile": True, "quick": True})
    assert cells_of(compiled)[0][1] == "fp32, 2 threads, compiled, quick"
    assert cells_of(found(commit="b" * 40 + "+"))[0][9] == "bbbbbbbbb+"


def test_scores_stand_beside_the_time() -> None:
    facts = {"solver": "ddim", "steps": 50, "mask_miou": [0.7, 0.69, 0.71],
             "attribute_bacc": [0.9, 0.89, 0.91], "frechet_judge": [9.5, 9.0, 10.0]}  # fmt: skip
    measured = found()
    measured["rows"][0]["facts"] = facts | {"as_good_as_all": False}
    assert cells_of(measured)[0][2] == (
        "facecond (ddim-50; mIoU 0.7 [0.69, 0.71]; attributes 0.9 [0.89, 0.91]; "
        "FD 9.50 [9.00, 10.00]; not as good as its peers)"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7200, "2.00 h"), (130, "130 s"), (1.234, "1.23 s"), (0.5, "500 ms"), (2e-5, "20.00 µs")],
)
def test_seconds(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_measured_again_a_row_is_replaced(tmp_path: Any) -> None:
    path = tmp_path / "docs" / "benchmarks.md"
    write_table(path, found())
    once = path.read_text()
    write_table(path, found())
    assert path.read_text() == once
    faster = found()
    faster["rows"][0]["median_s"] = 0.01
    faster["rows"] = faster["rows"][:1]  # without the peer: its old row goes too
    write_table(path, faster)
    text = path.read_text()
    assert "10.00 ms" in text and "| 20.00 ms" not in text and "ldm" not in text


def test_other_rows_stay() -> None:
    text = "# Title\n\nMethod.\n\n## A heading\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    text = merged(text, "X", cells_of(found()))
    text = merged(text, "X", cells_of(found(commit="c" * 40)))
    text = merged(text, "Y", cells_of(found()))
    other = found(settings={"precision": "fp32", "compile": False, "quick": False})
    text = merged(text, "X", cells_of(other))
    preamble, devices = parsed(text)
    assert preamble.startswith("# Title\n\nMethod.\n") and "| 1 | 2 |" in preamble
    assert [len(rows) for rows in devices.values()] == [6, 2]
    changed = found()
    changed["rows"][0]["n"] = 9
    _, after = parsed(merged(text, "X", cells_of(changed)))
    assert after["X"][0][5] == "9" and after["X"][1:] == devices["X"][1:]
    assert after["Y"] == devices["Y"]
