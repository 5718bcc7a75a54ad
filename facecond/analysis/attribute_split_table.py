"""The evidence of the attribute split as a table in Markdown."""

from __future__ import annotations

from typing import Any


def markdown(record: dict[str, Any]) -> str:
    """One row per attribute, the best told first, from what `split_record` gives."""
    data = record["data"]
    lines = [
        f"{place}. {one['name']}: {one['with_true_attributes']} faces scored"
        f" ({one['faces']} of {one['image_size']} px, {one['with_predicted_attributes_only']} more"
        f" learned from, {one['excluded']} left out), {one['folds']} folds,"
        f" {one['recipe']['steps']} steps; mean {_mean(record, place - 1, 'score')},"
        f" control {_mean(record, place - 1, 'control')}"
        for place, one in enumerate(data, 1)
    ]
    titles = ["attribute", "kind"]
    for one in data:
        titles += [one["name"], "95 %", "control", "same sex", "present / absent"]
    lines += ["", "| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    rows = sorted(record["attributes"].items(), key=lambda row: -(_first(row[1]) or 0))
    for name, told in rows:
        cells = [name, told["kind"] + (" (uncertain)" if told["uncertain"] else "")]
        for figure in told["measured"]:
            cells += _cells(figure)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _first(told: dict[str, Any]) -> float | None:
    return told["measured"][0]["score"]


def _cells(figure: dict[str, Any]) -> list[str]:
    cases = f"{figure['present']} / {figure['absent']}"
    if figure["score"] is None:
        return ["", "", "", "", cases]
    between = f"{figure['low']:.3f} to {figure['high']:.3f}"
    alike = "" if figure["same_sex"] is None else f"{figure['same_sex']:.3f}"
    return [f"{figure['score']:.3f}", between, f"{figure['control']:.3f}", alike, cases]


def _mean(record: dict[str, Any], place: int, key: str) -> str:
    values = [told["measured"][place][key] for told in record["attributes"].values()]
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.3f}" if known else "unknown"
