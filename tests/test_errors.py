"""UserError and the advice for mistyped names."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.errors import UserError, nearest, quoted, reason


def test_message_says_where_what_and_how_to_fix():
    error = UserError("the mask is 32x32, the picture 64x64", Path("masks/7.png"), "Resize it.")
    assert str(error) == "masks/7.png: the mask is 32x32, the picture 64x64. Resize it."
    assert (error.what, error.where, error.fix) == (
        "the mask is 32x32, the picture 64x64",
        "masks/7.png",
        "Resize it.",
    )


@pytest.mark.parametrize("typed", ["Smilling", "smiling", "SMILING", "Smilin"])
def test_nearest_ignores_case_and_small_slips(typed):
    assert nearest(typed, ["Young", "Smiling", "Male"]) == "Did you mean 'Smiling'?"


def test_nearest_lists_all_when_none_is_close():
    assert nearest("zzz", (name for name in ("mask", "attributes"))) == (
        "Choose from: mask, attributes."
    )


def test_long_words_are_not_compared(monkeypatch):
    monkeypatch.setattr("difflib.get_close_matches", lambda *_, **__: pytest.fail("compared"))
    assert nearest("x" * 65, ["x" * 64, "mask"]) == f"Choose from: {'x' * 64}, mask."


def test_a_quoted_value_is_short():
    assert quoted("Smiling") == "'Smiling'" and quoted(2.5) == "2.5" and quoted(None) == "None"
    for value in (
        "x" * 10**6,
        ["x" * 100] * 10**5,
        {"a": {"b": {"c": "d" * 1000}}},
        [[[[1]]]] * 99,
    ):
        assert len(quoted(value)) < 600


def test_the_reason_of_an_error_is_one_line_of_whole_words():
    error = ValueError("the first line\n\n  and    the second")
    assert reason(error) == "the first line and the second"
    assert reason(error, 20) == "the first line ..."
    assert reason(KeyError()) == "KeyError"
