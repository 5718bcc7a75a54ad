"""`facecond routing show`: a model, a file, a preset; a typo gets the nearest name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facecond.cli import main
from facecond.models.routing import PRESETS


def test_model_file_and_preset_print_a_grid(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = json.loads((model / "unet" / "config.json").read_text())["routing"]
    file = tmp_path / "routing.json"
    file.write_text(json.dumps(table))
    shown = []
    for subject in (model, file):
        assert main(["routing", "show", str(subject)]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    for layer, _, _ in table["layers"]:
        assert layer in shown[0]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_shows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", "show", name]) == 0
    printed = capsys.readouterr().out
    assert f"routing '{name}'" in printed and ("absent" in printed) == (name != "all_all")


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", "show", "al_all"]) == 2
    assert "Did you mean 'all_all'" in capsys.readouterr().err
    assert main(["routing", "shew", "all_all"]) == 2
    (tmp_path / "broken.json").write_text('{"schema": "something"}')
    assert main(["routing", "show", str(tmp_path / "broken.json")]) == 2
    assert "not a routing table" in capsys.readouterr().err
