"""Selectors: every form, names that only begin alike, measured ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facecond.errors import UserError
from facecond.models.routing import Layer, checksum
from facecond.models.routing.selectors import select

MANY = tuple(
    [Layer(f"down.{i}.attentions.{j}", "down", 16 >> i) for i in range(2) for j in range(12)]
    + [Layer("mid.attentions.0", "mid", 4)]
)
IDS = [layer.id for layer in MANY]


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("*", IDS),
        ("down.0.attentions.1", ["down.0.attentions.1"]),  # not attentions.10
        ("down.*.attentions.1", ["down.0.attentions.1", "down.1.attentions.1"]),
        ("down.1.**", IDS[12:24]),
        ("down.0.attentions.1?", ["down.0.attentions.10", "down.0.attentions.11"]),
        ("*.attentions.0", ["mid.attentions.0"]),  # `*` stands within one segment
        ("stage:mid", IDS[24:]),
        ("res<=4", IDS[24:]),
        ("res < 16", IDS[12:]),
        ("res=16", IDS[:12]),
        ("res>=8", IDS[:24]),
        ("res>8", IDS[:12]),
        ("group:coarse", IDS[12:]),
        ("group:fine", IDS[:12]),
    ],
)
def test_what_a_selector_means(selector: str, wanted: list[str]) -> None:
    assert list(select(selector, MANY, "here")) == wanted


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("down.0.attentions", "there is no layer 'down.0.attentions'.*Did you mean"),
        ("down.*", r"'down\.\*' matches no layer.*resolutions \[4, 8, 16\]"),
        ("up.**", "matches no layer"),
        ("res<=2", "matches no layer"),
        ("res<=x", "there is no layer"),
        ("stage:middle", "unknown stage 'middle'.*'mid'"),
        ("stage:up", "matches no layer"),
        ("group:all", "unknown group"),
        ("rank:f.json:mask:top", "is not a rank"),
        ("rank:f.json:mask:best:0.4", "is not a rank"),
        ("rank:f.json:mask:top:0", "not in"),
        ("rank:f.json:mask:top:1.5", "not in"),
        ("rank:f.json:mask:top:0.4.3", "is no number"),
        ("rank:missing.json:mask:top:0.4", "missing.json"),
    ],
)
def test_bad_selectors_name_the_rule(selector: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        select(selector, MANY, "rule 7")
    assert "rule 7" in str(caught.value) or "missing.json" in str(caught.value)


def sensitivity(path: Path, **changes: Any) -> Path:
    order = IDS[::-1]
    value = {
        "schema": "facecond.sensitivity/1",
        "checksum": checksum(MANY),
        "layers": IDS,
        "order": {"mask": order, "attributes:geometry": IDS, "attributes": IDS},
        "rank": {"mask": order[:20], "attributes:geometry": IDS[:3], "attributes": []},
    }
    path.write_text(json.dumps(value | changes))
    return path


def test_ranks(tmp_path: Path) -> None:
    file = sensitivity(tmp_path / "a:b.json")  # a colon in the path is no separator

    def ranked(source: str, end: str) -> list[str]:
        return list(select(f"rank:{file}:{source}:{end}", MANY, "here"))

    assert ranked("mask", "top:0.2") == IDS[-5:]  # in order of execution
    assert ranked("mask", "bottom:0.2") == IDS[:5]
    drawn = {tuple(ranked("mask", f"random:0.2:{seed}")) for seed in range(5)}
    assert all(len(set(layers)) == 5 for layers in drawn) and len(drawn) > 1
    assert ranked("mask", "random:0.2:3") == ranked("mask", "random:0.2:3")
    # No more layers than beat their control, and as many in each of the three.
    assert ranked("attributes:geometry", "top:0.5") == IDS[:3]
    assert ranked("attributes:geometry", "bottom:0.5") == IDS[-3:]
    assert len(ranked("attributes:geometry", "random:0.5")) == 3
    with pytest.raises(UserError, match="no layer's score for 'attributes' beats its control"):
        ranked("attributes", "top:0.4")
    with pytest.raises(UserError, match=r"no source 'attributes:appearance'.*geometry"):
        ranked("attributes:appearance", "top:0.4")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    for changes, message in (
        ({"schema": "other"}, "not a sensitivity file"),
        ({"checksum": "0" * 16}, "another architecture"),
    ):
        file = sensitivity(tmp_path / "s.json", **changes)
        with pytest.raises(UserError, match=message) as caught:
            select(f"rank:{file}:mask:top:0.4", MANY, "rule 2")
        assert "rule 2" in str(caught.value) and str(file) in str(caught.value)
