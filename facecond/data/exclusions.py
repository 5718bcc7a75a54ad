"""`excluded.txt` of a data folder: the names to leave out, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facecond.data.text_files import read_text
from facecond.storage import write_text

FILE = "excluded.txt"


def read_exclusions(root: str | Path) -> dict[str, str]:
    """Name without suffix -> reason; {} when the folder has no such file."""
    path = Path(root) / FILE
    if not path.is_file():
        return {}
    rows = [line.partition("\t") for line in read_text(path).splitlines()]
    return {name.strip(): reason for name, _, reason in rows if name.strip() and name[0] != "#"}


def write_exclusions(root: str | Path, excluded: Mapping[str, str]) -> None:
    """Write the file: a line NAME<TAB>REASON per name."""
    write_text(Path(root) / FILE, "".join(f"{n}\t{r}\n" for n, r in sorted(excluded.items())))
