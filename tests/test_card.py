"""A model's card: what it must say, and where scores are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from facecond.card import ORIGINS, SCORES, card_of, model_card, write_into_card
from facecond.errors import UserError

FACTS: dict[str, Any] = {
    "image_size": 64,
    "sources": ("attributes", "mask"),
    "parameters": 4_570_000,
    "trained": "1500 steps of 16",
    "objective": "flow on flow, p2 weight",
    "routing": "all_all",
    "grid": "layer  attributes  mask",
    "data_hash": "9f99bf4928b0ef178b7f",
    "commit": "abc",
}


@pytest.mark.parametrize("source", sorted(ORIGINS))
def test_the_card_says_whose_faces_they_are(source: str) -> None:
    card = model_card(source=source, **FACTS)
    for told in ("4.6 M", "1500 steps of 16", "64 px", "`attributes`, `mask`", "9f99bf4928b0ef17"):
        assert told in card
    for heading in ("Data and licence", "Measured", "Meant for", "Limits", "Ethics"):
        assert f"\n## {heading}\n" in card
    assert card.startswith("---\n") and f"license: {ORIGINS[source].licence}\n" in card
    free = "apache-2.0" in card
    assert free == (source == "rendered") and ("non-commercial" in card) == (source == "celebamask")


def test_scores_replace_those_before(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(model_card(source="rendered", **FACTS), encoding="utf-8")
    before, _, after = path.read_text(encoding="utf-8").split(SCORES)
    assert write_into_card(tmp_path, "facecond evaluate old", "| old |\n\n## Notes\n") == path
    write_into_card(tmp_path, "facecond evaluate new", "| new |\n\n## Notes\n")
    text = path.read_text(encoding="utf-8")
    assert "| new |" in text and "evaluate new" in text and "old" not in text
    assert "\n### Notes\n" in text  # below the card's own heading
    assert text.split(SCORES)[0] == before and text.split(SCORES)[2] == after


def test_a_card_without_a_place_for_scores_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no place for scores"):
        card_of(tmp_path)
    (tmp_path / "README.md").write_text("# mine\n")
    with pytest.raises(UserError, match=r"README\.md"):
        card_of(tmp_path)


def test_the_card_says_which_files_carry_a_mark() -> None:
    ethics = model_card(source="rendered", **FACTS).split("## Ethics")[1]
    for told in ("facecond sample", "facecond edit", "explore", "pil", "MP4", "no mark"):
        assert told in ethics
    assert "every picture" not in ethics
