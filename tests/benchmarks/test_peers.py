"""Peers are named by the user, and only the user."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.benchmarks import peers
from facecond.errors import UserError


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ldm", "needs a path. Give --peer ldm=CHECKOUT"),
        ("ldm=nowhere", "no checkout of ldm"),
        ("diffusers=here", "takes no path"),
        ("difusers", "Did you mean 'diffusers'"),
    ],
)
def test_what_cannot_be_a_peer(word: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        peers.parse_peers([word])


def test_a_checkout_is_known_by_its_files(tmp_path: Path) -> None:
    file = tmp_path / "ldm" / "modules" / "diffusionmodules" / "openaimodel.py"
    file.parent.mkdir(parents=True)
    file.touch()
    assert peers.parse_peers([f"ldm={tmp_path}", "diffusers"]) == {
        "ldm": str(tmp_path), "diffusers": "",
    }  # fmt: skip


def test_nothing_is_imported_that_was_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_registered", {})
    with pytest.raises(UserError, match=r"the peer 'ldm': is needed here\. Add --peer"):
        peers.require("ldm")
    peers.register({"diffusers": ""})
    peers.require("diffusers")
    assert peers.commit_of("diffusers")[0].isdigit()
