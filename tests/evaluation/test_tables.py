"""Rows as tables: what is shown, where, and in which words."""

from __future__ import annotations

from facecond.evaluation.published import Comparison, Published
from facecond.evaluation.rows import note_row, score_row
from facecond.evaluation.tables import (
    MEANINGS,
    all_notes,
    group_table,
    judge_table,
    markdown,
    meanings,
    number,
    score_table,
)
from facecond.metrics import Interval

ROW = score_row("mask_miou", 0.6, Interval(0.55, 0.65), ceiling=1.0, floor=0.2, n=8)
GROUPS = [
    ROW | {"metric": f"mask_miou@{name}", "group": name, "n": n, "share": None}
    for name, n in (("Male", 3), ("not Male", 5))
]


def test_a_score_is_one_line() -> None:
    table = markdown([ROW])
    assert "| mask_miou | 0.600 | 0.550 – 0.650 | 0.200 | 1.000 | 50% | 8 |" in table
    assert "## " not in table  # nothing else to say
    assert MEANINGS["mask_miou"] in table and MEANINGS["diversity"] not in table


def test_groups_and_notes_have_their_own_place() -> None:
    empty = note_row("diversity", "the network needs 32 px")
    rows = [ROW | {"skipped": ["Attractive"], "unseen": ["Big_Nose"]}, *GROUPS, empty]
    assert [line[0] for line in score_table(rows)[1]] == ["mask_miou"]
    head, body = group_table(rows)
    assert head == ["group", "mask_miou"]
    assert body[1] == ["not Male", "0.600 (0.550 – 0.650), n 5"]
    notes = all_notes(rows, ["first"])
    assert notes[0] == "first" and "diversity: the network needs 32 px" in notes
    assert any("Big Nose" in note and "cannot tell" in note for note in notes)
    assert any("Attractive" in note and "too rare" in note for note in notes)
    assert "diversity" not in meanings(rows)
    assert "## By group" in markdown(rows) and "## Notes" in markdown(rows)


def test_two_judges_are_compared() -> None:
    second = {"score": 0.5, "ceiling": 0.9, "floor": 0.2, "share": 3 / 7}
    row = ROW | {"second": second, "difference": {"score": 0.1, "low": 0.05, "high": 0.15}}
    _, ((metric, first, other, gap, *shares),) = judge_table([row, ROW])
    assert (metric, first, other) == ("mask_miou", "0.600", "0.500")
    assert gap == "0.100 (0.050 – 0.150)" and shares == ["50%", "43%"]
    assert "depends on the judge" in markdown([row])
    assert judge_table([ROW])[1] == []


def test_published_figures_stand_beside_ours_with_the_reason() -> None:
    told = Published("SCDM", "fid", 17.4, "mask", "a page", "secondary")
    table = markdown([ROW], (), [Comparison(told, None, "no", ["one", "two"])])
    assert "| SCDM | fid | 17.40 | – | no | one; two | a page | secondary |" in table


def test_names_that_begin_alike_are_not_mixed_up() -> None:
    rows = [ROW | {"metric": name} for name in ("fid_to_test", "diversity_lpips_alex")]
    assert set(meanings(rows)) == {"fid", "diversity"}
    assert set(meanings([ROW | {"metric": "manifold_density"}])) == {"manifold_density"}


def test_numbers() -> None:
    assert [number(v) for v in (None, 0.0, 0.5, -0.1234, 0.00123)] == [
        "–", "0.000", "0.500", "-0.123", "0.00123",
    ]  # fmt: skip
