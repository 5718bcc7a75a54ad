"""What a killed run leaves, and which of it the next run keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.data.work_folder import WorkFolder
from facecond.errors import UserError

KEYS = {f"n{index}": f"key{index}" for index in range(6)}


class Killed(BaseException):
    """Stands for whatever ends a run."""


def _add(work: WorkFolder, names: list[str]) -> None:
    for name in names:
        work.add(name, KEYS[name], {f"{name}.txt": name.encode()}, {"row": name})


def _killed(out: Path, count: int, chunk: int = 2) -> None:
    """A run that ends after some entries."""
    with pytest.raises(Killed), WorkFolder(out, "identity", chunk) as work:
        work.restore(KEYS)
        _add(work, [name for name in KEYS if name not in work.entries][:count])
        raise Killed


def _kept(out: Path, identity: str = "identity", keys: dict[str, str] = KEYS) -> list[str]:
    with WorkFolder(out, identity, 2) as work:
        work.restore(keys)
        there = sorted(path.stem for path in work.folder.iterdir())
        assert there == sorted(work.entries)
        assert all(entry["row"] == {"row": name} for name, entry in work.entries.items())
        return there


def test_the_next_run_goes_on_and_publishes(tmp_path: Path) -> None:
    out = tmp_path / "x"
    _killed(out, 3)
    assert not out.exists()
    _killed(out, 2)
    with WorkFolder(out, "identity", 2) as work:
        work.restore(KEYS)
        assert list(work.entries) == ["n0", "n1", "n2", "n3", "n4"]
        _add(work, ["n5"])
        work.write("end.txt", b"end")
        work.publish()
    assert sorted(p.name for p in out.iterdir()) == ["end.txt", *(f"{n}.txt" for n in KEYS)]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_too_little_to_keep_leaves_nothing(tmp_path: Path) -> None:
    _killed(tmp_path / "x", 1)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(Killed), WorkFolder(tmp_path / "x", "identity", 2) as work:
        work.restore({})  # nobody could ask for these entries again
        _add(work, list(KEYS))
        raise Killed
    assert list(tmp_path.iterdir()) == []


def _overwrite(work: Path) -> None:
    (work / "data" / "n1.txt").write_text("n2")


def _lose(work: Path) -> None:
    (work / "data" / "n1.txt").unlink()


def _cut_journal(work: Path) -> None:
    """A power cut in the middle of a line."""
    lines = (work / "journal.jsonl").read_text().splitlines(keepends=True)
    assert json.loads(lines[2])["name"] == "n1"
    (work / "journal.jsonl").write_text(lines[0] + lines[1] + lines[2][:-9])


@pytest.mark.parametrize("damage", [_overwrite, _lose])
def test_only_intact_files_are_kept(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    _killed(tmp_path / "x", 4)
    damage(tmp_path / ".x.partial")
    assert _kept(tmp_path / "x") == ["n0", "n2", "n3"]


def test_a_journal_cut_short_keeps_what_it_names(tmp_path: Path) -> None:
    _killed(tmp_path / "x", 4)
    _cut_journal(tmp_path / ".x.partial")
    _killed(tmp_path / "x", 2)  # writes on after the cut line
    assert _kept(tmp_path / "x") == ["n0", "n1", "n2"]


def test_entries_of_other_keys_and_work_of_another_identity_are_dropped(tmp_path: Path) -> None:
    _killed(tmp_path / "x", 4)
    changed = KEYS | {"n2": "other"}
    with pytest.raises(Killed), WorkFolder(tmp_path / "x", "identity", 2) as work:
        work.restore(changed)
        assert list(work.entries) == ["n0", "n1", "n3"]
        raise Killed
    assert _kept(tmp_path / "x", "other identity") == []


def test_files_of_an_unfinished_entry_are_removed(tmp_path: Path) -> None:
    _killed(tmp_path / "x", 2)
    (tmp_path / ".x.partial" / "data" / "n4.txt").write_text("half")
    assert _kept(tmp_path / "x") == ["n0", "n1"]


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with WorkFolder(tmp_path / "x", "identity", 2) as work:
        work.restore(KEYS)
        _add(work, ["n0", "n1"])
        with pytest.raises(UserError, match="another run is writing this folder"):
            WorkFolder(tmp_path / "x", "identity", 2).__enter__()
        assert sorted(path.name for path in work.folder.iterdir()) == ["n0.txt", "n1.txt"]
        work.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
