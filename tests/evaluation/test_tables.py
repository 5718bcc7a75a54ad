"""Rows as tables: what is shown, where, and in which words."""

from __future__ import annotations

from facecond.evaluation.protocol import PROTOCOLS
from facecond.evaluation.published import Comparison, Published
from facecond.evaluation.rows import note_row, score_row
from facecond.evaluation.tables import (
    MEANINGS,
    TITLES,
    all_notes,
    group_table,
    judge_table,
    markdown,
    meaning,
    meanings,
    number,
    published_tables,
    score_table,
)
from facecond.metrics import Interval

ROW = score_row("mask_miou", 0.6, Interval(0.55, 0.65), ceiling=1.0, floor=0.2, n=8)
GROUPS = [
    *(
        ROW | {"metric": f"mask_miou@{name}", "group": name, "n": n}
        for name, n in (("Male", 3), ("not Male", 5))
    ),
    ROW | {"metric": "moves_Young@Male", "group": "Male", "n": 2, "share": None},
]


def test_a_score_is_one_line() -> None:
    table = markdown([ROW])
    assert "| mask_miou | 0.600 | 0.550 – 0.650 | 0.200 | 1.000 | 50% | 8 |" in table
    assert "## " not in table  # nothing else to say
    assert MEANINGS["mask_miou"] in table and MEANINGS["diversity"] not in table


def test_warnings_come_before_the_scores() -> None:
    table = markdown([ROW], ["a note"], warnings=["both judges are one", "and two"])
    first, second, rest = table.split("\n\n", 2)
    assert (first, second) == ("**Warning: both judges are one.**", "**Warning: and two.**")
    assert rest.startswith("| metric |") and "Warning" not in rest and "- a note." in rest
    assert "Warning" not in markdown([ROW], ["a note"])


def test_groups_and_notes_have_their_own_place() -> None:
    empty = note_row("diversity", "the network needs 32 px")
    rows = [ROW | {"skipped": ["Attractive"], "unseen": ["Big_Nose"]}, *GROUPS, empty]
    assert [line[0] for line in score_table(rows)[1]] == ["mask_miou"]
    head, body = group_table(rows)
    assert head == ["", "Male", "not Male"]
    assert body == [
        ["mask_miou", *["0.600 (0.550 – 0.650)"] * 2],
        ["of the way", "50%", "50%"],
        ["moves_Young", "0.600 (0.550 – 0.650)", "–"],
        ["faces scored", "3", "5"],
        ["faces turned", "2", "–"],
    ]
    assert all_notes(rows, ["first", "first"]) == [
        "first",
        "attributes not scored (too rare here, or not known to the judge): Attractive",
        "attributes not scored (the judge cannot tell them in real pictures): Big Nose",
        "diversity: the network needs 32 px",
    ]
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


def test_published_figures_are_grouped_by_the_reason() -> None:
    told = [
        Comparison(Published("A", "fid", 17.4, "mask", "a page", "page"), 20.0, "yes", []),
        Comparison(Published("B", "fid", 3.0, "mask", "other", "code"), 20.0, "no", ["one", "two"]),
        Comparison(Published("B", "lpips", 0.4, "mask", "other", "code"), None, "no", ["one"]),
        Comparison(Published("C", "lpips", 0.5, "mask", "third", "code"), None, "no", ["one"]),
    ]
    yes, both, one = published_tables(told)
    assert yes == (
        "May be compared",
        (["model", "fid (ours 20.00)", "read in"], [["A", "17.40", "a page (page)"]]),
    )
    assert both[0] == "Not comparable: one; two"
    assert one[1][0][1] == "lpips (ours –)"
    assert [line[:2] for line in one[1][1]] == [["B", "0.400"], ["C", "0.500"]]
    table = markdown([ROW], (), told)
    assert "Not comparable: one; two." in table and "| A | 17.40 | a page (page) |" in table


def test_names_that_begin_alike_are_not_mixed_up() -> None:
    rows = [ROW | {"metric": name} for name in ("fid_to_test", "diversity_lpips_alex")]
    assert set(meanings(rows)) == {"fid_to_test", "diversity"}
    assert meanings(rows)["fid_to_test"] == meaning("fid_to_test")
    assert set(meanings([ROW | {"metric": "manifold_density"}])) == {"manifold_density"}


def test_the_meaning_of_a_metric_is_that_of_its_longest_beginning() -> None:
    assert meaning("diversity_lpips_alex") == MEANINGS["diversity"]
    assert "of the conditions themselves" in meaning("frechet_judge_to_test")
    assert "reconstructions" in meaning("kernel_judge_reconstruction")
    assert meaning("kernel_judge") == MEANINGS["kernel_judge"]
    assert meaning("fdx") == ""
    assert set(TITLES) == {name for plan in PROTOCOLS.values() for name in plan.probes} - {"groups"}


def test_numbers() -> None:
    assert [number(v) for v in (None, 0.0, 0.5, -0.1234, 0.00123)] == [
        "–", "0.000", "0.500", "-0.123", "0.00123",
    ]  # fmt: skip
