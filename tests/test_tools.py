"""The doors in tools/: each opens on its command and stays a door."""

from __future__ import annotations

from pathlib import Path

import pytest

DOORS = {
    "train": "train",
    "sample": "sample",
    "evaluate": "evaluate",
    "ablate": "ablate",
    "prepare_data": "data prepare",
    "plant_faults": "data faults",
    "attribute_split": "attribute-split",
    "sensitivity": "sensitivity",
    "benchmark": "benchmark",
}
TOOLS = sorted((Path(__file__).resolve().parent.parent / "tools").glob("*.py"))


def test_every_door_is_named_here():
    assert {path.stem for path in TOOLS} == set(DOORS)


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_door_opens_on_its_command(path, python):
    done = python(path, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: facecond {DOORS[path.stem]} ")


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_door_passes_on_the_exit_code(path, python):
    done = python(path, "--no-such-option")
    assert done.returncode == 2
    assert done.stderr.startswith("facecond: error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_door_is_thin(path):
    assert len(path.read_text().splitlines()) <= 40
