"""Checkpoints: exact round trip, damage, pruning, and a process killed at any moment."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from facecond.errors import UserError
from facecond.storage import hash_of
from facecond.training import checkpoint


def state(value: float = 1.0) -> dict[str, Any]:
    return {"weights": {"a": torch.full((50,), value)}, "step": int(value), "rate": value / 3}


def assert_same(first: Any, second: Any) -> None:
    """Equal in value, type and bits; lists and tuples are one kind."""
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype and first.shape == second.shape
        assert torch.equal(first.nan_to_num(7), second.nan_to_num(7))
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for a, b in zip(first, second, strict=True):
            assert_same(a, b)
    else:
        assert type(first) is type(second) and first == second


def test_nested_state_round_trip(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, betas=(0.9, 0.99))
    module[1](module[0](torch.randn(2, 3, 3, 3)).flatten(1)).sum().backward()
    optimizer.step()
    saved = {
        "model": module.state_dict(),
        "optimizers": [optimizer.state_dict()],  # integer keys, None, bools, tuples of floats
        "values": [None, True, False, 3, -0.1, 1e-300, 2.0**53 + 2, math.pi, "text", ""],
        "empty": [{}, [], torch.zeros(0), torch.tensor(1.5)],
        "kinds": [
            torch.arange(5),
            torch.tensor([True, False]),
            torch.randn(3).bfloat16(),
            torch.tensor([float("nan"), float("inf")]),
            torch.randn(2, 3, dtype=torch.float64).T,  # not contiguous
            torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        ],
        "odd/key": {"a/b": torch.ones(1), "a": {"b": torch.zeros(1)}, 3: {"3": 1}},
    }
    path = checkpoint.save(tmp_path, 12, saved, 2)
    assert path.name == "step-00000012"
    step, loaded = checkpoint.load(path)
    assert step == 12
    assert_same(dict(saved), loaded)
    optimizer.load_state_dict(loaded["optimizers"][0])


def test_a_saved_state_does_not_change_with_its_source(tmp_path: Path) -> None:
    source = state()
    path = checkpoint.save(tmp_path, 1, source, 2)
    source["weights"]["a"].zero_()
    assert checkpoint.load(path)[1]["weights"]["a"].eq(1).all()


def test_no_checkpoints_is_none(tmp_path: Path) -> None:
    assert checkpoint.load_newest(tmp_path) is None
    assert checkpoint.load_newest(tmp_path / "nowhere") is None


def test_newest_is_by_step_and_pruning_keeps_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 30, 200):
        checkpoint.save(tmp_path, step, state(step), 3)
    names = ["step-00000002", "step-00000030", "step-00000200"]
    assert [path.name for path in checkpoint.steps(tmp_path)] == names
    found = checkpoint.load_newest(tmp_path)
    assert found is not None
    path, step, loaded, warnings = found
    assert (path.name, step, warnings) == ("step-00000200", 200, [])
    assert_same(state(200), loaded)
    assert sorted(p.name for p in tmp_path.iterdir()) == names  # nothing else is left behind


def test_fewer_than_two_are_never_kept(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, state(1), 2)
    for keep in (1, 0, -1):
        with pytest.raises(UserError, match="at least 2"):
            checkpoint.save(tmp_path, 2, state(2), keep)
    for step in (2, 3, 4):
        checkpoint.save(tmp_path, step, state(step), 2)
        assert len(checkpoint.steps(tmp_path)) == 2


def test_a_step_may_be_saved_again(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 5, state(1), 2)
    checkpoint.save(tmp_path, 5, state(2), 2)
    found = checkpoint.load_newest(tmp_path)
    assert found is not None
    assert_same(state(2), found[2])


def flip(file: Path, position: float) -> None:
    data = bytearray(file.read_bytes())
    data[int(position * (len(data) - 1))] ^= 1
    file.write_bytes(bytes(data))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    header = json.loads(file.read_text())
    change(header)
    file.write_text(json.dumps(header))


TENSORS, HEADER = "tensors.safetensors", "state.json"
DAMAGE: dict[str, Callable[[Path], Any]] = {
    "flipped start": lambda p: flip(p / TENSORS, 0),
    "flipped middle": lambda p: flip(p / TENSORS, 0.5),
    "flipped end": lambda p: flip(p / TENSORS, 1),
    "truncated": lambda p: truncate(p / TENSORS),
    "empty": lambda p: (p / TENSORS).write_bytes(b""),
    "deleted": lambda p: (p / TENSORS).unlink(),
    "header truncated": lambda p: truncate(p / HEADER),
    "header deleted": lambda p: (p / HEADER).unlink(),
    "header empty": lambda p: (p / HEADER).write_bytes(b""),
    "header not text": lambda p: (p / HEADER).write_bytes(b"\xff\xfe\x00"),
    "header of another kind": lambda p: (p / HEADER).write_text("[1]"),
    "header without hash": lambda p: edit(p / HEADER, lambda h: h.pop("sha256")),
    "header without state": lambda p: edit(p / HEADER, lambda h: h.pop("state")),
    "header with another step": lambda p: edit(p / HEADER, lambda h: h.update(step=999)),
    "header with another value": lambda p: (p / HEADER).write_text(
        (p / HEADER).read_text().replace("0.666", "0.667")
    ),
    "other schema": lambda p: edit(p / HEADER, lambda h: h.update(schema="facecond.checkpoint/0")),
    "folder emptied": lambda p: [file.unlink() for file in p.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_falls_back_to_the_one_before(damage: Callable[[Path], Any], tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, state(1), 2)
    newest = checkpoint.save(tmp_path, 2, state(2), 2)
    damage(newest)
    with pytest.raises(UserError):
        checkpoint.load(newest)
    found = checkpoint.load_newest(tmp_path)
    assert found is not None
    path, step, loaded, warnings = found
    assert (path.name, step) == ("step-00000001", 1)
    assert_same(state(1), loaded)
    assert len(warnings) == 1 and str(newest) in warnings[0]


@pytest.mark.parametrize("position", [i / 23 for i in range(24)])
def test_any_flipped_bit_of_the_header_is_noticed(position: float, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 2, state(2), 2)
    flip(path / HEADER, position)
    try:
        step, loaded = checkpoint.load(path)
    except UserError:
        return
    assert step == 2  # white space between two values may differ
    assert_same(state(2), loaded)


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    for step in (1, 2):
        truncate(checkpoint.save(tmp_path, step, state(step), 2) / TENSORS)
    with pytest.raises(UserError, match="every checkpoint is damaged"):
        checkpoint.load_newest(tmp_path)


def test_checkpoints_of_another_version_are_told_as_such(tmp_path: Path) -> None:
    def older(header: dict[str, Any]) -> None:
        header.pop("checksum")
        header["schema"] = "facecond.checkpoint/1"
        header["checksum"] = hash_of(header)

    for step in (1, 2):
        edit(checkpoint.save(tmp_path, step, state(step), 2) / HEADER, older)
    with pytest.raises(UserError, match=r"another version of facecond.*--resume never"):
        checkpoint.load(tmp_path / "step-00000002")
    with pytest.raises(UserError, match=r"another version of facecond.*--resume never"):
        checkpoint.load_newest(tmp_path)
    checkpoint.save(tmp_path, 3, state(3), 3)
    found = checkpoint.load_newest(tmp_path)
    assert found is not None and found[1] == 3


@pytest.mark.parametrize(
    "removal",
    [
        lambda folder: checkpoint.save(folder, 4, state(4), keep=2),
        lambda folder: checkpoint.discard_after(folder, 2),
    ],
)
def test_a_kill_amid_a_removal_leaves_only_whole_ones(
    removal: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path, **_: Any) -> None:
        for file in Path(folder).glob("*"):  # none where a save has published its folder
            file.unlink()
            raise KeyboardInterrupt

    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, state(step), keep=3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint.shutil, "rmtree", killed)
        removal(tmp_path)
    assert list(tmp_path.glob(".step-*"))
    left = [checkpoint.load(path)[0] for path in checkpoint.steps(tmp_path)]
    assert left in ([2, 3, 4], [1, 2])
    checkpoint.save(tmp_path, 5, state(5), keep=2)
    assert not list(tmp_path.glob(".step-*"))


def test_half_written_folders_are_ignored(tmp_path: Path) -> None:
    whole = checkpoint.save(tmp_path, 1, state(1), 2)
    shutil.copytree(whole, tmp_path / ".step-00000002.abc123")
    (tmp_path / ".step-00000002.abc123" / HEADER).unlink()
    (tmp_path / "step-00000003").write_text("not a folder")
    assert checkpoint.steps(tmp_path) == [whole]
    found = checkpoint.load_newest(tmp_path)
    assert found is not None and found[1] == 1 and not found[3]


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from facecond.training import checkpoint

folder, kills = Path(sys.argv[1]), int(sys.argv[2])


def state(step):
    return {"w": torch.full((20_000,), float(step)), "step": step}


checkpoint.save(folder, 1, state(1), 2)
newest, before = 1, 1
random.seed(0)
for kill in range(kills):
    child = os.fork()
    if child == 0:  # save for ever
        step = newest
        while True:
            step += 1
            checkpoint.save(folder, step, state(step), 2)
    time.sleep(random.uniform(0.01, 0.08))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    path, step, loaded, warnings = checkpoint.load_newest(folder)
    assert not warnings, warnings
    assert step >= newest and loaded["step"] == step, (step, newest)
    assert bool((loaded["w"] == step).all())
    newest = step
print(newest)
"""


def test_kill_at_any_moment_leaves_a_whole_checkpoint(
    python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    kills = 20
    done = python("-c", KILLED, tmp_path / "checkpoints", kills)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > kills / 2  # the children did save
