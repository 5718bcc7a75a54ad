"""`excluded.txt` of a data folder: the faces to leave out, one `NAME<TAB>REASON` a line.

Nothing is moved or deleted: taking a line out brings its face back.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from facecond.errors import UserError
from facecond.storage import write_text

FILE = "excluded.txt"
_HEADER = "# Faces that facecond leaves out, with the reason. Remove a line to take a face back."


def read_exclusions(root: str | Path) -> dict[str, str]:
    """Name without suffix -> reason, in the order of the file; {} when the folder has none.

    Empty lines and lines that start with # are passed over; a name may stand without a reason.

    Raises:
        UserError: the file is not UTF-8 text.
    """
    rows = (line.partition("\t") for line in _lines(Path(root) / FILE) if line.strip())
    return {name.strip(): why.strip() for name, _, why in rows if not name.startswith("#")}


def write_exclusions(root: str | Path, excluded: Mapping[str, str]) -> None:
    """Write the file anew: a line per name, sorted; comments that were there are kept.

    Raises:
        UserError: a name cannot stand in the file (it starts with # or holds a tab or line break).
    """
    path = Path(root) / FILE
    for name in excluded:
        if name.startswith("#") or not name.strip() or len(name.splitlines()) > 1 or "\t" in name:
            raise UserError(f"cannot hold the name {name!r}", path, "Rename the file.")
    comments = [line for line in _lines(path) if line.startswith("#")] or [_HEADER]
    rows = [f"{name}\t{' '.join(why.split())}" for name, why in sorted(excluded.items())]
    write_text(path, "\n".join([*comments, *rows]) + "\n")


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        return path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text ({error.reason})", path, "Save it as UTF-8.") from None
