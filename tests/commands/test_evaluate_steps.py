"""`facecond evaluate steps`: lists that name nothing."""

from __future__ import annotations

import pytest

from facecond.cli import main


@pytest.mark.parametrize("option", ["--schedulers", "--steps"])
def test_empty_lists_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "steps", "model", "--data", "data", option, ","]) == 2
    assert option in capsys.readouterr().err
