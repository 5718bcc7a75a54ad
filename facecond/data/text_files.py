"""Text files as others write them: with or without a byte order mark, any line ends."""

from __future__ import annotations

from pathlib import Path

from facecond.errors import UserError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file without its byte order mark.

    Raises:
        UserError: the file is missing, unreadable or not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8 text ({error.reason})", path, "Save it as UTF-8.") from None
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "Check the file.") from None


def numbered_lines(path: Path) -> list[tuple[int, list[str]]]:
    """The lines of a file that hold anything, as (line number, words)."""
    lines = enumerate(read_text(path).splitlines(), 1)
    return [(number, line.split()) for number, line in lines if line.strip()]
