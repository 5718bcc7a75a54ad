"""Sharing work in fixed parts, and the measurements that are kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facecond.errors import UserError
from facecond.evaluation.generation import Arrays, Processes, Requests, Sampler
from facecond.evaluation.parts import Parts, removed_on_fault


class OneOf(Processes):
    """Process `rank` of `world`; what it would get from the others is given."""

    def __init__(
        self, rank: int, world: int, others: Sequence[Any] = (), first: Any = None
    ) -> None:
        self.rank, self.world, self.others, self.first = rank, world, others, first

    def gather(self, found: list[Any]) -> list[Any]:
        self.found = found
        return [*found, *self.others] if self.main else []

    def broadcast(self, value: Any) -> Any:
        return value if self.main else self.first


def squares(part: slice) -> Arrays:
    numbers = np.arange(part.start, part.stop)
    return {"square": numbers**2, "part": np.array([part.stop - part.start])}


def test_parts_are_fixed_and_joined_in_order() -> None:
    alone = Processes().share(11, 3, squares, "", progress=False)
    assert alone["square"].tolist() == [i * i for i in range(11)]
    assert alone["part"].tolist() == [3, 3, 3, 2]
    for world in (2, 3, 5):
        findings: list[Any] = []
        for rank in reversed(range(world)):
            process = OneOf(rank, world, findings)
            joined = process.share(11, 3, squares, "", progress=False)
            findings = [*process.found, *findings]
            assert [start for start, _ in process.found] == list(range(0, 11, 3))[rank::world]
            if rank:
                assert joined == {}  # the first process alone gets what was measured
        assert {name: part.tolist() for name, part in joined.items()} == {
            name: part.tolist() for name, part in alone.items()
        }


def test_a_sampler_measures_whole_groups_and_samples_in_batches() -> None:
    calls: list[int] = []

    def pipeline(
        attributes: np.ndarray, mask: np.ndarray, seeds: list[int], scale: int
    ) -> SimpleNamespace:
        calls.append(len(seeds))
        assert len(attributes) == len(mask) == len(seeds) <= 4 and scale == 2
        told = np.stack([attributes[:, 0], mask[:, 0, 0], np.array(seeds)], -1)
        return SimpleNamespace(images=np.broadcast_to(told[:, None, None], (len(seeds), 1, 1, 3)))

    requests = Requests(
        attributes=np.arange(18)[:, None],
        masks=lambda part: np.arange(part.start, part.stop)[:, None, None] + 100,
        seeds=list(range(200, 218)),
        group=3,
    )
    parts: list[slice] = []

    def measure(images: np.ndarray, part: slice) -> Arrays:
        parts.append(part)
        return {"told": images[:, 0, 0]}

    for batch_size, lengths in ((4, [3] * 6), (2, [2, 1] * 6)):
        calls.clear(), parts.clear()
        sample = Sampler(pipeline, batch_size, {"scale": 2}, Processes(), progress=False)
        told = sample(requests, measure, "")["told"]
        assert told[:, 0].tolist() == list(range(18))
        assert told[:, 1].tolist() == list(range(100, 118))
        assert told[:, 2].tolist() == list(range(200, 218))
        assert calls == lengths
        assert [part.stop - part.start for part in parts] == [3] * 6


def test_a_sampler_goes_on_with_fewer_where_memory_runs_out() -> None:
    def pipeline(attributes: np.ndarray, mask: np.ndarray, seeds: list[int]) -> SimpleNamespace:
        if len(seeds) > 3:
            raise MemoryError
        assert attributes[:, 0].tolist() == mask[:, 0, 0].tolist() == seeds
        told = np.array(seeds)[:, None, None, None]
        return SimpleNamespace(images=np.broadcast_to(told, (len(seeds), 1, 1, 3)))

    requests = Requests(
        attributes=np.arange(9)[:, None],
        masks=lambda part: np.arange(part.start, part.stop)[:, None, None],
        seeds=list(range(9)),
    )
    sample = Sampler(pipeline, 8, {}, Processes(), progress=False)
    told = sample(requests, lambda images, part: {"told": images[:, 0, 0, 0]}, "")["told"]
    assert told.tolist() == list(range(9)) and sample.fewer.most == 2


def test_parts_are_made_once_and_kept(tmp_path: Path) -> None:
    made: list[int] = []

    def make() -> Arrays:
        made.append(1)
        return {"numbers": np.arange(4.0), "names": np.array([True, False])}

    def parts(identity: str, folder: Path | None = tmp_path / "kept") -> Parts:
        return Parts(folder, identity, Processes())

    first = parts("a")
    assert first.get("x", make) is first.get("x", make)
    again = parts("a").get("x", make)
    assert len(made) == 1
    assert again["numbers"].tolist() == [0, 1, 2, 3] and again["names"].dtype == bool
    assert set(again) == {"numbers", "names"}
    parts("b").get("x", make)
    assert len(made) == 2  # of another identity
    (tmp_path / "kept" / "x.npz").write_bytes(b"torn")
    parts("b").get("x", make)
    assert len(made) == 3
    first.clear()
    assert not (tmp_path / "kept").exists()
    parts("a", None).get("x", make)
    assert len(made) == 4 and not list(tmp_path.iterdir())


def test_only_the_first_process_reads_and_writes(tmp_path: Path) -> None:
    found = {"numbers": np.arange(3)}
    second = Parts(tmp_path, "a", OneOf(1, 2, first=True))
    assert second.get("x", lambda: pytest.fail("was found by the first")) == {}
    other = Parts(tmp_path, "a", OneOf(1, 2, first=False))
    made: list[int] = []
    other.get("y", lambda: made.append(1) or {})
    assert made == [1] and not list(tmp_path.iterdir())
    Parts(tmp_path, "a", OneOf(0, 2)).get("y", lambda: found)
    assert [path.name for path in tmp_path.iterdir()] == ["y.npz"]


def test_nothing_is_measured_when_the_others_have_gone(tmp_path: Path) -> None:
    parts = Parts(None, "a", Processes())
    parts.get("x", lambda: {"numbers": np.arange(3)})
    parts.closed = True
    assert parts.get("x", dict)["numbers"].tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="'y' is read by a score"):
        parts.get("y", dict)


@pytest.mark.parametrize("sampled", [False, True])
def test_a_fault_leaves_nothing_but_samples(tmp_path: Path, sampled: bool) -> None:
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "deep" / "out", tmp_path / "there"):
        unfinished = out / "unfinished"
        with (
            pytest.raises(UserError, match="goes on from" if sampled else r"^a: b\. c\.$"),
            removed_on_fault(unfinished, out),
        ):
            Parts(unfinished, "a", Processes()).get("samples" if sampled else "real", dict)
            raise UserError("b", "a", "c.")
        assert unfinished.exists() == sampled
    assert (tmp_path / "there").exists() and (tmp_path / "deep").exists() == sampled
    with pytest.raises(KeyboardInterrupt), removed_on_fault(tmp_path / "x" / "unfinished"):
        Parts(tmp_path / "x" / "unfinished", "a", Processes()).get("real", dict)
        raise KeyboardInterrupt
    assert (tmp_path / "x" / "unfinished" / "real.npz").is_file()
