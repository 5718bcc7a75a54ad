"""Routing files: a table, rules in YAML, and what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facecond.errors import UserError
from facecond.models.routing import Layer, load_routing, preset

RULES = """
name: mine
combine: joint
rules:
  - {source: mask, layers: 'res<=16'}
  - {source: attributes, layers: '*', tau: [0, 0.5], schedule: linear_late}
"""


def test_table_and_rules(sd15: tuple[Layer, ...], tmp_path: Path) -> None:
    table = preset("coarse_fine", sd15)
    (tmp_path / "table.json").write_text(json.dumps(table.to_dict()))
    assert load_routing(tmp_path / "table.json", sd15) == table
    (tmp_path / "rules.yaml").write_text(RULES)
    mine = load_routing(tmp_path / "rules.yaml", sd15, log_snr_of=lambda tau: -tau)
    assert (mine.name, mine.combine, mine.sources) == ("mine", "joint", ("attributes", "mask"))
    assert [state == "on" for _, state in mine.states()] == [x.resolution <= 16 for x in sd15]
    assert mine.rules[1].window.low == -0.5
    (tmp_path / "short.yaml").write_text("rules: [{source: mask, layers: 'stage:mid'}]")
    short = load_routing(tmp_path / "short.yaml", sd15, combine="concat")
    assert (short.name, short.sources, short.combine) == ("short", ("mask",), "concat")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "not valid YAML"),
        ("[1, 2]", "no mapping"),
        ("layers: 3", "not a routing table"),
        ("{schema: other}", "not a routing table"),
        ("{rules: [], sauces: []}", "unknown key 'sauces'.*'sources'"),
        ("rules: [{source: mask, layers: up}]", "rule 0 .*no layer 'up'"),
        ("{rules: [{source: mask, layers: '*'}], sources: [attributes]}", "unknown source 'mask'"),
    ],
)
def test_bad_files_are_named(
    sd15: tuple[Layer, ...], tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_routing(tmp_path / "r.yaml", sd15)
    assert "\n" not in str(caught.value)


def test_missing_file_and_other_layers(sd15: tuple[Layer, ...], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        load_routing(tmp_path / "none.yaml", sd15)
    table = preset("all_all", sd15[:7]).to_dict()
    (tmp_path / "table.json").write_text(json.dumps(table))
    with pytest.raises(UserError, match="another architecture"):
        load_routing(tmp_path / "table.json", sd15)
