"""The list of cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.benchmarks.cases import CASES, chosen
from facecond.errors import UserError


def test_every_case_has_its_module() -> None:
    import facecond.benchmarks as package

    folder = Path(str(package.__file__)).parent
    for case in CASES.values():
        function = "entries" if case.in_rounds else "rows"
        assert f"\ndef {function}(" in (folder / f"{case.module}.py").read_text()


def test_cases_by_name() -> None:
    assert chosen(["train-64", "studio", "train-64"]) == ["train-64", "studio"]
    assert set(CASES) - set(chosen([])) == {"equal-quality", "studio-soak"}
    with pytest.raises(UserError, match=r"unknown case 'forwards-64'. Did you mean 'forward-64'"):
        chosen(["forwards-64"])
