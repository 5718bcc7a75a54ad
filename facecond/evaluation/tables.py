"""Rows -> tables of plain text: for Markdown, for the terminal, and for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facecond.evaluation.published import Comparison

Table = tuple[list[str], list[list[str]]]
"""Head, and the rows as text."""

MEANINGS: dict[str, str] = {
    "mask_miou": "mean IoU between the mask asked for and the parser's reading of the sample",
    "pixel_accuracy": "share of pixels whose class is as asked; large classes rule it",
    "attribute_bacc": "balanced accuracy of the classifier's reading, mean over attributes",
    "attribute_f1": "F1 of 'present', mean over attributes; it moves with how common they are",
    "frechet_judge": "Fréchet distance to training pictures in features of the attribute judge; "
    "lower is better, the ceiling is that of first-stage reconstructions; it is not an FID",
    "fid": "clean-fid's FID to training pictures; the ceiling is that of reconstructions",
    "kernel_judge": "kernel distance (KID's estimate) in the judge's features; it is not a KID",
    "manifold_precision": "share of samples that lie among real pictures (k-nearest balls)",
    "manifold_recall": "share of real pictures that lie among samples",
    "manifold_density": "how many real balls hold a sample, over k; 1 where both sets agree",
    "manifold_coverage": "share of real balls that hold a sample",
    "memorised_share": "samples nearer to a training picture than all but 1% of new real pictures;"
    " lower is better; ceiling: what new pictures give, floor: what copies give",
    "nearest_distance": "mean distance to the nearest training picture; ceiling: of new pictures",
    "attribute_effect": "rise of the judge's probability when an attribute of appearance is turned"
    " on, mask and seed fixed; ceiling: real pictures with it against without it",
    "off_target_effect": "change of unrelated attributes meanwhile; lower is better; ceiling: noise"
    " of so few conditions, floor: all change as much as the one that is turned",
    "mask_stability": "mean IoU of the masks parsed with the attribute off and on; floor: of "
    "different conditions",
    "attribute_stability": "share of attributes of appearance read alike with the mask exchanged",
    "open_attribute_entropy": "bits of attributes left open, over samples of one condition; "
    "ceiling: the data's",
    "partial_attribute_bacc": "accuracy of the few attributes that were named, the rest open",
    "open_region_entropy": "bits of the class at pixels left open; ceiling: the data's, floor: at "
    "painted pixels",
    "partial_mask_miou": "mean IoU of what was painted, the rest open",
    "diversity": "perceptual distance between samples of one condition; ceiling: between different "
    "real pictures, floor: 0",
    "appearance_transfer": "balanced accuracy of the reference's attributes of appearance, its "
    "appearance asked for in another mask; ceiling: the true answer where it is known, else the "
    "reference itself",
    "appearance_gain": "what the reference adds to that; ceiling: what the true answer would",
    "layout_adherence": "mean IoU with the mask that was given meanwhile",
    "layout_leak": "mean IoU with the mask of the reference beyond that with an unrelated one, "
    "beyond the same of the given masks; 0 is no leak, lower is better; floor: the reference's "
    "layout itself",
    "layout_leak_gain": "what the reference adds to that; lower is better",
    "disputed_gain": "what the reference adds to the share of disputed pixels; lower is better",
    "identity_gain": "what the reference adds to the cosine of the faces; lower is better",
    "disputed_leak": "share of the pixels where the two masks disagree that is as in the "
    "reference; lower is better; ceiling: what the parser mistakes in the true answer",
    "identity_leak": "cosine of the face embeddings of sample and reference; lower is better; "
    "ceiling: of the true answer where it is known, else of different persons, floor: of one "
    "person where persons are known, else of one picture",
    "truth_distance": "mean absolute difference of the pixels, 0 to 1, to the true answer; lower "
    "is better; ceiling: its first-stage reconstruction, floor: to the answer of another pair",
    "geometry_transfer": "mean IoU with the mask of the reference, its geometry asked for and no "
    "mask given",
    "geometry_gain": "what the reference adds to that",
    "appearance_adherence": "balanced accuracy of the attributes of appearance that were given "
    "meanwhile",
    "appearance_leak": "balanced accuracy of the reference's attributes of appearance beyond that "
    "of an unrelated face's, beyond the same of the given ones; 0 is no leak, lower is better",
    "appearance_leak_gain": "what the reference adds to that; lower is better",
    "both_layout": "mean IoU with the mask of one picture, whose geometry is taken, while the "
    "appearance is another's; nothing else is given",
    "both_appearance": "balanced accuracy of that other's attributes of appearance",
    "both_truth_distance": "the distance to the true answer of that",
    "geometry_truth_distance": "the distance to the true answer where the geometry is taken",
}
"""What a metric says; names that begin with one of these share it."""

TITLES: dict[str, str] = {
    "adherence": "Do samples show what was asked for?",
    "mask_adherence": "Do samples show what was asked for?",
    "against_test": "How far are they from the real test pictures?",
    "fidelity": "How far are they from real pictures?",
    "spread": "Do they look like real pictures, and cover them all?",
    "memorisation": "Are they copies?",
    "selectivity": "Does one thing change at a time?",
    "openness": "What becomes of what is left open?",
    "diversity": "Do samples of one condition differ?",
    "references": "Do they take from a reference what was asked, and nothing else?",
}
"""The question that a probe asks."""

VERDICTS = {
    "yes": "May be compared",
    "with care": "May be compared with care",
    "no": "Not comparable",
}
EMPTY: Mapping[str, Any] = dict.fromkeys(("score", "low", "high", "share"))
TO_TEST = (
    "the distance to the real pictures of the conditions themselves, as papers take it; lower is "
    "better, and there is no ceiling"
)
READING = (
    "Ceiling: real test pictures through the same judge. Floor: the same samples against the "
    "conditions of other rows. Both where nothing else is said; higher is better where nothing "
    "else is said."
)


def markdown(
    rows: Sequence[Mapping[str, Any]],
    notes: Sequence[str] = (),
    comparisons: Sequence[Comparison] = (),
    warnings: Sequence[str] = (),
) -> str:
    """All tables and notes as Markdown, with how to read them; warnings come first."""
    parts = [f"**Warning: {warning}.**" for warning in warnings]
    parts += [_markdown(score_table(rows)), READING]
    parts.append("\n".join(f"- `{name}`: {text}." for name, text in meanings(rows).items()))
    for title, table in (
        ("How much it depends on the judge", judge_table(rows)),
        ("By group", group_table(rows)),
    ):
        if table[1]:
            parts += [f"## {title}", _markdown(table)]
    if comparisons:
        parts.append("## Beside published figures")
        for heading, table in published_tables(comparisons):
            parts += [f"{heading}.", _markdown(table)]
    found = all_notes(rows, notes)
    if found:
        parts += ["## Notes", "\n".join(f"- {note}." for note in found)]
    return "\n\n".join(parts) + "\n"


def score_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line for each score of all faces together."""
    head = ["metric", "score", "95% interval", "floor", "ceiling", "share of the way", "n"]
    return head, [cells(row) for row in rows if row["score"] is not None and "group" not in row]


def judge_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Both judges and their difference; empty with one judge."""
    head = ["metric", "first judge", "second judge", "difference (95%)"]
    head += ["of the way: first", "second"]
    body = []
    for row in rows:
        if row.get("second"):
            gap, second = row["difference"], row["second"]
            change = f"{number(gap['score'])}{_interval(gap)}"
            body.append(
                [row["metric"], number(row["score"]), number(second["score"]), change,
                 percent(row["share"]), percent(second["share"])]
            )  # fmt: skip
    return head, body


def group_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One column for each group: scores with their intervals, shares of the way, and on how many
    faces the scores and the effects rest."""
    figures: dict[str, dict[str, Mapping[str, Any]]] = {}
    groups = list(dict.fromkeys(row["group"] for row in rows if "group" in row))
    for row in rows:
        if "group" in row:
            figures.setdefault(row["metric"].partition("@")[0], {})[row["group"]] = row
    body = []
    for metric, by_group in figures.items():
        there = [by_group.get(group, EMPTY) for group in groups]
        body.append([metric, *(f"{number(row['score'])}{_interval(row)}" for row in there)])
        if any(row["share"] is not None for row in there):
            body.append(["of the way", *(percent(row["share"]) for row in there)])
    for title, has_floor in (("faces scored", True), ("faces turned", False)):
        counts = {
            row["group"]: str(row["n"])
            for by_group in figures.values()
            for row in by_group.values()
            if (row["share"] is not None) == has_floor
        }
        if counts:
            body.append([title, *(counts.get(group, "–") for group in groups)])
    return ["", *groups], body


def published_tables(comparisons: Sequence[Comparison]) -> list[tuple[str, Table]]:
    """Published figures beside ours, by whether they may be compared and why: heading and table,
    with one line for each model."""
    found: dict[str, list[Comparison]] = {}
    for each in comparisons:
        heading = ": ".join(filter(None, [VERDICTS[each.verdict], "; ".join(each.reasons)]))
        found.setdefault(heading, []).append(each)
    tables = []
    for heading, group in found.items():
        figures: dict[str, dict[str, str]] = {}
        head: dict[str, str] = {}
        told: dict[str, str] = {}
        for each in group:
            metric, model = each.published.metric, each.published.model
            digits = 2 if metric == "fid" else 3
            head[metric] = f"{metric} (ours {_digits(each.ours, digits)})"
            figures.setdefault(model, {})[metric] = f"{each.published.value:.{digits}f}"
            told[model] = f"{each.published.source} ({each.published.tag})"
        body = [
            [model, *(by_metric.get(metric, "–") for metric in head), told[model]]
            for model, by_metric in figures.items()
        ]
        tables.append((heading, (["model", *head.values(), "read in"], body)))
    return tables


def meanings(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the metrics of these rows say."""
    names = [row["metric"] for row in rows if row["score"] is not None]
    to_test = {name: TO_TEST for name in names if name.endswith("_to_test")}
    return to_test | {
        key: text
        for key, text in MEANINGS.items()
        if any(name == key or name.startswith(f"{key}_") for name in names if name not in to_test)
    }


def meaning(metric: str) -> str:
    """What one metric says; empty where nothing is told."""
    for end, text in (("_reconstruction", "the same for first-stage reconstructions"),
                      ("_real", "the same for real test pictures"),
                      ("_to_test", TO_TEST),
                      ("_without", "the same without the reference")):  # fmt: skip
        if metric.endswith(end):
            return text
    keys = [key for key in MEANINGS if metric == key or metric.startswith(f"{key}_")]
    return MEANINGS[max(keys, key=len)] if keys else ""


def all_notes(rows: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()) -> list[str]:
    """Notes of the evaluation and of its rows, and what was not scored, without repeats."""
    found = list(notes)
    for row in rows:
        if row.get("note"):
            found.append(f"{row['metric']}: {row['note']}")
        for key, why in (("skipped", "too rare here, or not known to the judge"),
                         ("unseen", "the judge cannot tell them in real pictures")):  # fmt: skip
            if row.get(key):
                names = ", ".join(name.replace("_", " ") for name in row[key])
                found.append(f"attributes not scored ({why}): {names}")
    return list(dict.fromkeys(found))


def cells(row: Mapping[str, Any]) -> list[str]:
    """One row as text: metric, score, interval, floor, ceiling, share, n."""
    low, high = row.get("low"), row.get("high")
    return [
        row["metric"],
        number(row["score"]),
        "–" if low is None else f"{number(low)} – {number(high)}",
        number(row.get("floor")),
        number(row.get("ceiling")),
        percent(row.get("share")),
        str(row.get("n") or "–"),
    ]


def number(value: float | None) -> str:
    """Three digits after the point; small values get three that count."""
    if value is None:
        return "–"
    return f"{value:.3g}" if 0 < abs(value) < 0.01 else f"{value:.3f}"


def percent(value: float | None) -> str:
    """A share as per cent."""
    return "–" if value is None else f"{value:.0%}"


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["low"], row["high"]
    return "" if low is None else f" ({number(low)} – {number(high)})"


def _digits(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _markdown(table: Table) -> str:
    head, body = table
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
