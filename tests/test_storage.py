"""Writes that survive a crash, hashes, and folders that cannot be written."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from facecond import storage
from facecond.errors import UserError
from facecond.seeding import numpy_generator


class Crash(Exception):
    """Planted failure inside a write."""


def test_atomic_file_replaces_only_on_success(tmp_path):
    path = tmp_path / "state.json"
    storage.write_text(path, "old")
    with pytest.raises(Crash), storage.atomic_file(path) as temporary:
        temporary.write_text("half of the n")
        raise Crash
    assert path.read_text() == "old"
    with storage.atomic_file(path) as temporary:
        assert temporary.parent == path.parent and temporary.suffix == path.suffix
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder_replaces_only_on_success(tmp_path):
    path = tmp_path / "model"
    with storage.atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text("old")
    with pytest.raises(Crash), storage.atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text("half")
        raise Crash
    assert (path / "a.txt").read_text() == "old"
    with storage.atomic_folder(path) as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "b.txt").write_text("new")
        assert (path / "a.txt").read_text() == "old"
    assert [str(p.relative_to(path)) for p in sorted(path.rglob("*"))] == ["deep", "deep/b.txt"]
    assert list(tmp_path.iterdir()) == [path]


def test_safetensors_faults_are_those_of_the_system(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(FileNotFoundError) as fault, storage.atomic_file(path):
        save_file({"a": torch.zeros(9)}, tmp_path / "missing" / "weights.safetensors")
    assert fault.value.filename == str(path)
    assert list(tmp_path.iterdir()) == []
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    with pytest.raises(SafetensorError), storage.atomic_file(path):  # no fault of the system
        load_file(broken)


def test_written_files_have_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    storage.write_text(tmp_path / "atomic", "text")
    (tmp_path / "plain_folder").mkdir()
    with storage.atomic_folder(tmp_path / "atomic_folder"):
        pass
    for usual, ours in (("plain", "atomic"), ("plain_folder", "atomic_folder")):
        modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (usual, ours)]
        assert modes[0] == modes[1]


WRITER = """
import sys
from pathlib import Path
from facecond import storage

kind, target = sys.argv[1], Path(sys.argv[2])
print("ready", flush=True)
turn = 0
while True:
    text = f"{turn % 10}" * 400_000
    if kind == "file":
        storage.write_text(target, text)
    else:
        with storage.atomic_folder(target) as folder:
            for name in "abc":
                (folder / name).write_text(text)
    turn += 1
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_kill_during_writes_leaves_one_whole_version(kind, tmp_path):
    target = tmp_path / "target"
    for attempt in range(6):
        writer = [sys.executable, "-c", WRITER, kind, str(target)]
        with subprocess.Popen(writer, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while not target.exists():  # the first version of all
                assert process.poll() is None
            delay = numpy_generator(0, kind, attempt).uniform(0.0, 0.15)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(delay)
            process.kill()
        parts = _version(target)
        assert all(len(part) == 400_000 and len(set(part)) == 1 for part in parts)
        assert len(set(parts)) == 1


def _version(target: Path) -> list[str]:
    """Contents at `target`; a folder killed between its two renames has stepped aside, whole, as
    the last to do so: before it may lie others, killed while they were removed."""
    if target.is_file():
        return [target.read_text()]
    if not target.is_dir():
        aside = target.parent.glob(".target.old.*/target")
        target = max(aside, key=lambda folder: folder.parent.stat().st_mtime_ns)
    return [(target / name).read_text() for name in "abc"]


def test_json_round_trip(tmp_path):
    value = {"b": [1, 2.5, None, True], "a": {"ü": "text"}}
    storage.write_json(tmp_path / "x.json", value)
    assert storage.read_json(tmp_path / "x.json") == value


def test_json_that_is_not_finite_is_refused_and_nothing_lost(tmp_path):
    path = tmp_path / "x.json"
    storage.write_json(path, {"loss": 1.0})
    with pytest.raises(ValueError):
        storage.write_json(path, {"loss": float("nan")})
    assert storage.read_json(path) == {"loss": 1.0}


@pytest.mark.parametrize("content", [None, b'{"half": ', b"\xff\xfe\x00"])
def test_unreadable_json_is_named(content, tmp_path):
    path = tmp_path / "manifest.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"manifest\.json") as caught:
        storage.read_json(path)
    assert caught.value.where == str(path)


def test_sha256_is_of_the_bytes(tmp_path):
    data = numpy_generator(0, "bytes").bytes(3_000_000)
    (tmp_path / "x").write_bytes(data)
    assert storage.sha256(tmp_path / "x") == hashlib.sha256(data).hexdigest()


def test_hash_of_values():
    value = {"a": 1, "b": {"c": [1, 2], "d": "x"}}
    assert storage.hash_of(value) == storage.hash_of({"b": {"d": "x", "c": [1, 2]}, "a": 1})
    others = [{"a": 2, "b": value["b"]}, {"a": 1}, {"a": 1, "b": {"c": [2, 1], "d": "x"}}]
    assert len({storage.hash_of(v) for v in [value, *others]}) == 4


def test_make_folder(tmp_path):
    made = storage.make_folder(tmp_path / "a" / "b")
    assert made.is_dir() and storage.make_folder(made) == made
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot create the folder"):
        storage.make_folder(tmp_path / "file" / "inside")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_is_not_writable(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    with pytest.raises(UserError, match="not writable"):
        storage.make_folder(locked)
    with pytest.raises(UserError, match="cannot create the folder"):
        storage.make_folder(locked / "inside")


def test_json_lines_leave_out_a_last_line_that_was_cut_short(tmp_path):
    path = tmp_path / "rows.jsonl"
    whole = '{"step": 1}\n{"step": 2, "name": "Fréchet"}\n'.encode()
    rows = [{"step": 1}, {"step": 2, "name": "Fréchet"}]
    path.write_bytes(whole)
    assert storage.read_json_lines(path) == rows
    for torn in (b'{"step": 3, "na', b"{", b'{"name": "Fr\xc3'):
        path.write_bytes(whole + torn)
        assert storage.read_json_lines(path) == rows
    path.write_bytes(b"")
    assert storage.read_json_lines(path) == []


def test_json_lines_damaged_in_the_middle_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step": 1}\n{"ste\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"rows\.jsonl: line 2"):
        storage.read_json_lines(path)
    with pytest.raises(UserError, match="missing"):
        storage.read_json_lines(tmp_path / "none.jsonl")


def test_a_write_that_fails_names_what_the_user_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "x.json", tmp_path / "file" / "x.json"):
        for write in (storage.atomic_file, storage.atomic_folder):
            with pytest.raises(OSError) as caught, write(path):
                pass
            assert caught.value.filename == str(path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        storage.write_text(tmp_path / "folder", "text")
    assert caught.value.filename == str(tmp_path / "folder") and ".folder." not in str(caught.value)
    target = tmp_path / "model"
    with pytest.raises(OSError) as caught, storage.atomic_folder(target) as temporary:
        (temporary / "gone" / "a.txt").write_text("")
    assert caught.value.filename == str(target)
    with pytest.raises(UserError) as told, storage.atomic_folder(target) as temporary:
        storage.read_json(temporary / "gone.json")
    assert (told.value.where, told.value.what) == (str(target), "the file is missing")
    with pytest.raises(OSError) as caught, storage.atomic_file(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(target)
    with pytest.raises(OSError) as caught, storage.atomic_file(target):
        (tmp_path / "other" / "x").read_text()
    assert caught.value.filename == str(tmp_path / "other" / "x")  # somebody else's fault


@pytest.mark.parametrize("check", [storage.check_file_target, storage.check_folder_target])
def test_places_that_cannot_be_written_are_found_early(check, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for good in (tmp_path / "new", tmp_path / "a" / "b" / "new.json"):
        check(good)
    taken = tmp_path / ("folder" if check is storage.check_file_target else "file")
    for bad in (taken, tmp_path / "file" / "x.json", tmp_path / "a" / ("n" * 300)):
        with pytest.raises(UserError) as caught:
            check(bad)
        assert caught.value.where == str(bad)
    check(tmp_path / ("file" if check is storage.check_file_target else "folder"))
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("check", [storage.check_file_target, storage.check_folder_target])
def test_a_locked_folder_is_found_early(check, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(UserError, match="cannot be written"):
        check(tmp_path / "locked" / "x")
