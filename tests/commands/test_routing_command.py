"""`facecond routing show`: a model, a file, a preset; a typo gets the nearest name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from facecond import boxed
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
def test_every_preset_shows(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["routing", "show", name]
    if name.startswith("rank_"):
        assert main(words) == 2
        assert "needs a sensitivity file" in capsys.readouterr().err
        main(["routing", "show", "all_all", "--out", str(tmp_path / "table.json")])
        table = json.loads((tmp_path / "table.json").read_text())
        order = {source: [row[0] for row in table["layers"]] for source in table["sources"]}
        found = {"schema": "facecond.sensitivity/1", "checksum": table["checksum"]}
        found |= {"order": order, "rank": order}
        (tmp_path / "s.json").write_text(json.dumps(found))
        words += ["--sensitivity", str(tmp_path / "s.json")]
        capsys.readouterr()
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert f"routing '{name}'" in printed
    assert ("absent" in printed) == (name not in ("all_all", "early_late", "mask_cut"))
    assert ("tau [" in printed) == (name in ("early_late", "mask_cut"))


def test_rules_of_a_file_on_a_config_with_picture_and_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(
        "rules: [{source: mask, layers: '*', tau: [0.85, 1]}, "
        "{source: attributes, layers: 'res<=16'}]"
    )
    picture, table = tmp_path / "mine.png", tmp_path / "mine.json"
    words = ["routing", "show", str(tmp_path / "mine.yaml"), "--on", "rendered_128"]
    assert main([*words, "--picture", str(picture), "--out", str(table)]) == 0
    printed = capsys.readouterr().out
    assert "routing 'mine'" in printed and "tau [0.85, 1]" in printed
    assert Image.open(picture).width > 200
    assert main(["routing", "show", str(table)]) == 0
    assert capsys.readouterr().out == printed


def test_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", "show", "al_all"]) == 2
    assert "Did you mean 'all_all'" in capsys.readouterr().err
    assert main(["routing", "shew", "all_all"]) == 2
    (tmp_path / "broken.json").write_text('{"schema": "something"}')
    assert main(["routing", "show", str(tmp_path / "broken.json")]) == 2
    assert "not a routing table" in capsys.readouterr().err


def test_the_model_in_the_box(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(boxed, "__file__", str(tmp_path / "box" / "__init__.py"))
    assert main(["routing", "show", boxed.NAME]) == 2
    assert "none came with this facecond" in capsys.readouterr().err
    shutil.copytree(model, tmp_path / "box" / "model")
    shown = []
    for subject in (boxed.NAME, str(model)):
        assert main(["routing", "show", subject]) == 0
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
