"""The one error a user sees: what is wrong, where, and how to fix it."""

from __future__ import annotations

import difflib
import reprlib
import textwrap
from collections.abc import Iterable
from pathlib import Path

LONGEST_NAME = 64
"""Letters up to which a word is compared with known names: difflib's time grows with the square."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60


class UserError(Exception):
    """Input at fault. The command line prints it on one line and exits with code 2; line breaks
    that came with what is quoted become spaces.

    Args:
        what: what is wrong, in words a user of the tool understands.
        where: the file, field or option at fault.
        fix: what to do about it.
    """

    def __init__(self, what: str, where: str | Path, fix: str) -> None:
        parts = (" ".join(part.splitlines()) for part in (what, str(where), fix))
        self.what, self.where, self.fix = parts
        super().__init__(f"{self.where}: {self.what}. {self.fix}")

    def __reduce__(self) -> tuple[type[UserError], tuple[str, str, str]]:
        """Pickle by the three parts, so that the error survives a worker process."""
        return UserError, (self.what, self.where, self.fix)


def reason(error: Exception, longest: int = 120) -> str:
    """What an error of a library says, on one line of whole words, for use in a `UserError`."""
    words = " ".join(str(error).split())
    return textwrap.shorten(words, longest, placeholder=" ...") or type(error).__name__


def quoted(value: object) -> str:
    """A value as a message shows it: `repr`, with what is long left out."""
    return _SHORT.repr(value)


def nearest(name: str, choices: Iterable[str]) -> str:
    """Advice for a mistyped name: the closest choice, or all of them when none is close."""
    choices = list(choices)
    folded = {choice.lower(): choice for choice in choices}
    close = []
    if len(name) <= LONGEST_NAME:
        close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{folded[close[0]]}'?"
    return f"Choose from: {', '.join(choices)}."
