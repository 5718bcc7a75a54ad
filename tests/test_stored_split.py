"""The stored split of the attributes and the evidence that it rests on."""

from __future__ import annotations

import subprocess
import sys

from facecond import attribute_split
from facecond.labels import ATTRIBUTES


def test_every_attribute_is_of_one_kind_in_celebas_order() -> None:
    geometry, appearance = attribute_split.geometry(), attribute_split.appearance()
    assert not set(geometry) & set(appearance)
    assert sorted((*geometry, *appearance), key=ATTRIBUTES.index) == list(ATTRIBUTES)
    for kind in (geometry, appearance):
        assert kind and list(kind) == sorted(kind, key=ATTRIBUTES.index)


def test_the_kinds_follow_from_the_figures() -> None:
    evidence = attribute_split.evidence()
    assert evidence["schema"] == attribute_split.SCHEMA
    for name, told in evidence["attributes"].items():
        first = told["measured"][0]
        score, low, high = first["score"], first["low"], first["high"]
        assert (score is not None and score > evidence["threshold"]) == (
            told["kind"] == "geometry"
        ), name
        if score is None or min(first["present"], first["absent"]) < 30:
            assert told["uncertain"], name
        else:
            assert told["uncertain"] == (low <= evidence["threshold"] <= high), name


def test_the_evidence_is_of_real_faces_first_and_its_control_is_chance() -> None:
    evidence = attribute_split.evidence()
    first = evidence["data"][0]
    assert first["source"] != "rendered" and "rendered" in {d["source"] for d in evidence["data"]}
    assert first["faces"] == 4764 and first["with_true_attributes"] == 1116
    for place, data in enumerate(evidence["data"]):
        figures = [told["measured"][place] for told in evidence["attributes"].values()]
        known = [figure for figure in figures if figure["score"] is not None]
        assert abs(sum(figure["control"] for figure in known) / len(known) - 0.5) < 0.02
        for figure in figures:
            assert 0 <= figure["present"] + figure["absent"] <= data["with_true_attributes"]


def test_what_a_mask_draws_is_geometry() -> None:
    """The mask has classes for the former; in nothing of it does the colour of hair show."""
    assert {"Eyeglasses", "Wearing_Hat"} <= set(attribute_split.geometry())
    assert {"Black_Hair", "Brown_Hair"} <= set(attribute_split.appearance())


def test_reading_the_split_needs_no_numpy() -> None:
    probe = "import sys; from facecond import attribute_split as a; a.geometry(); print('numpy' in "
    done = subprocess.run(
        [sys.executable, "-c", probe + "sys.modules)"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
