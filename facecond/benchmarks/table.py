"""The results as a Markdown table per device, in a file that later runs add to.

A row belongs to a device, a case, its settings and a commit: measured again, the rows of all its
contenders are replaced. Whatever stands above the first device is left as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facecond.storage import make_folder, write_text

HEAD = (
    "case", "settings", "contender", "median", "min – max", "n", "per second", "peak MiB",
    "time / first", "commit",
)  # fmt: skip
DEVICE = "## Device: "
KEY = (0, 1, 9)
"""Columns that say which rows a new measurement replaces."""
TITLE = "# Benchmarks\n\nWritten by `facecond benchmark --table FILE`.\n"
Cells = tuple[str, ...]


def cells_of(found: Mapping[str, Any]) -> list[Cells]:
    """What one case gives, a row per contender."""
    settings = settings_text(found)
    rows: list[Cells] = []
    for row in found["rows"]:
        ratio = "1 (first)"
        if "ratio" in row:
            ratio = (
                f"{_short(row['ratio'])} ({_short(row['ratio_min'])}–{_short(row['ratio_max'])})"
            )
        peak = f"{row['peak_mib']:.0f}" if "peak_mib" in row else "–"
        rows.append(
            (
                found["case"], settings, contender_text(row), seconds_text(row["median_s"]),
                f"{seconds_text(row['min_s'])} – {seconds_text(row['max_s'])}", str(row["n"]),
                f"{_short(row['per_second'])} {row['unit']}", peak, ratio,
                found["commit"][:9] + ("+" if found["commit"].endswith("+") else ""),
            )
        )  # fmt: skip
    return rows


def contender_text(row: Mapping[str, Any]) -> str:
    """Its name; where quality was measured, its setting and its scores with their intervals; where
    a soak was, what became of the requests and of the memory."""
    facts = row.get("facts", {})
    if "p95_s" in facts:
        memory = f"{facts['first_quarter_mib']:.0f} to {facts['last_quarter_mib']:.0f} MiB"
        late = f"p95 {seconds_text(facts['p95_s'])}"
        return f"{row['contender']} ({late}; {facts['lost']} lost; {memory})"
    if "solver" not in facts:
        return str(row["contender"])
    words = {"mask_miou": "mIoU", "attribute_bacc": "attributes", "frechet_judge": "FD"}
    told = [f"{facts['solver']}-{facts['steps']}"]
    for score, word in words.items():
        value, low, high = facts[score]
        told.append(f"{word} {_short(value)} [{_short(low)}, {_short(high)}]")
    if not facts.get("as_good_as_all", True):
        told.append("not as good as its peers")
    return f"{row['contender']} ({'; '.join(told)})"


def settings_text(found: Mapping[str, Any]) -> str:
    """Number format, threads, and what else changes the figures."""
    settings = found["settings"]
    parts = [settings["precision"], f"{found['threads']} threads"]
    parts += ["compiled"] if settings["compile"] else []
    parts += ["quick"] if settings["quick"] else []
    return ", ".join(parts)


def merged(text: str, device: str, new: list[Cells]) -> str:
    """The file's text with these rows under this device, in place of those of the same key."""
    preamble, devices = parsed(text)
    old = devices.setdefault(device, [])
    keys = {tuple(row[column] for column in KEY) for row in new}
    places = [i for i, row in enumerate(old) if tuple(row[c] for c in KEY) in keys]
    place = places[0] if places else len(old)
    kept = [row for i, row in enumerate(old) if i not in places]
    devices[device] = kept[:place] + new + kept[place:]
    sections = [f"{DEVICE}{name}\n\n{_table(rows)}" for name, rows in devices.items()]
    return "\n".join([preamble.rstrip("\n") + "\n", *sections])


def parsed(text: str) -> tuple[str, dict[str, list[Cells]]]:
    """What stands above the devices, and the rows of each."""
    devices: dict[str, list[Cells]] = {}
    preamble: list[str] = []
    rows: list[Cells] | None = None
    for line in text.splitlines():
        if line.startswith(DEVICE):
            rows = devices.setdefault(line.removeprefix(DEVICE).strip(), [])
        elif rows is None:
            preamble.append(line)
        elif line.startswith("|"):
            cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
            if len(cells) == len(HEAD) and cells != HEAD and not set(cells[0]) <= set("-: "):
                rows.append(cells)
    return "\n".join(preamble) + "\n", devices


def write_table(path: str | Path, found: Mapping[str, Any]) -> None:
    """Add one case to the table, atomically; a file that is not there begins with a title."""
    path = Path(path)
    make_folder(path.parent)
    text = path.read_text("utf-8") if path.is_file() else TITLE
    write_text(path, merged(text, found["device"], cells_of(found)))


def _table(rows: list[Cells]) -> str:
    lines = [f"| {' | '.join(HEAD)} |", "|---|---|---|--:|--:|--:|--:|--:|--:|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def seconds_text(seconds: float) -> str:
    """`1.23 ms`, `4.5 s`, `2.1 h`: three digits."""
    for unit, size in (("h", 3600.0), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds * 1e6)} µs"


def _short(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"
