"""Faces in a stream: fixed batches, shared among processes, measured and let go.

Batch b holds the requests b*B .. (b+1)*B - 1 whatever the number of processes, and process r of w
takes the batches with b % w == r. Seeds belong to requests. So each picture is made in the same
batch from the same noise, bit for bit, on one process or on many (with as many threads in each).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from tqdm import tqdm

from facecond.memory import FewerAtATime
from facecond.models.reference import Reference

Arrays = dict[str, np.ndarray]
"""Measurements by name; the first axis of each runs over what was measured."""


class Processes:
    """The processes that evaluate together (torchrun), or the only one."""

    def __init__(self) -> None:
        # Without `cpu`, processes on a machine without a GPU would not know of each other.
        self.state = PartialState(cpu=not torch.cuda.is_available())
        self.rank, self.world = self.state.process_index, self.state.num_processes

    @property
    def main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The device of this process."""
        return torch.device(self.state.device)

    def gather(self, found: list[Any]) -> list[Any]:
        """The lists of all processes, joined in their order, for the first process; the others
        get an empty one."""
        if self.world == 1:
            return found
        parts: list[Any] | None = [None] * self.world if self.main else None
        torch.distributed.gather_object(found, parts)
        return [item for part in parts or () for item in part]

    def broadcast(self, value: Any) -> Any:
        """What the first process has, for all of them."""
        if self.world == 1:
            return value
        box = [value]
        torch.distributed.broadcast_object_list(box)
        return box[0]

    def share(
        self,
        total: int,
        size: int,
        work: Callable[[slice], Arrays],
        title: str,
        *,
        progress: bool = True,
    ) -> Arrays:
        """Run `work` on fixed parts of 0..total-1, each on one process, and join what it returns
        on the first process; the others get nothing.

        Args:
            size: items in a part; the last one may be shorter.
            work: part -> arrays by name, the same names for every part.
            title: of the progress bar, which counts the items of the first process.
        """
        parts = [slice(start, min(start + size, total)) for start in range(0, total, size)]
        own = parts[self.rank :: self.world]
        if self.world > 1:
            title += f" (process 1 of {self.world})"
        items = sum(part.stop - part.start for part in own)
        shown = progress and self.main
        found = []
        with tqdm(total=items, desc=title, unit="img", disable=not shown) as bar:
            for part in own:
                found.append((part.start, work(part)))
                bar.update(part.stop - part.start)
        found = sorted(self.gather(found), key=lambda item: item[0])
        if not self.main:
            return {}
        return {name: np.concatenate([arrays[name] for _, arrays in found]) for name in found[0][1]}


@dataclass(frozen=True)
class Requests:
    """Faces to sample: conditions and noise of each, in a fixed order.

    Attributes:
        attributes: int8 [N, 40].
        masks: part -> uint8 [n, S, S]; read when the part is due.
        seeds: [N].
        group: this many successive faces belong together and are measured together.
        references: part -> faces to take something from, one for each request of the part; None:
            there are none.
    """

    attributes: np.ndarray
    masks: Callable[[slice], np.ndarray]
    seeds: Sequence[int]
    group: int = 1
    references: Callable[[slice], Sequence[Reference]] | None = None


@dataclass(frozen=True)
class Sampler:
    """A pipeline with its settings.

    Attributes:
        batch_size: faces sampled at a time.
        settings: keyword arguments of every call (`guidance`, `num_inference_steps`).
    """

    pipeline: Any
    batch_size: int
    settings: Mapping[str, Any]
    processes: Processes
    progress: bool = True
    fewer: FewerAtATime = field(default_factory=FewerAtATime)

    def __call__(
        self, requests: Requests, measure: Callable[[np.ndarray, slice], Arrays], title: str
    ) -> Arrays:
        """Sample all requests; `measure(images u8 [n, S, S, 3], part)` keeps what is wanted of
        each part, a whole number of groups. The pictures themselves are let go."""
        size = max(1, self.batch_size // requests.group) * requests.group

        def work(part: slice) -> Arrays:
            return measure(self.faces(requests, part), part)

        return self.processes.share(len(requests.seeds), size, work, title, progress=self.progress)

    def faces(self, requests: Requests, part: slice) -> np.ndarray:
        """The faces of a part, uint8 [n, S, S, 3], sampled by this process alone; fewer at a time
        where memory runs out."""
        masks, found = requests.masks(part), []

        def sample(rows: Sequence[int]) -> np.ndarray:
            piece = slice(rows[0], rows[-1] + 1)
            taken = {} if requests.references is None else {"reference": requests.references(piece)}
            images: np.ndarray = self.pipeline(
                attributes=requests.attributes[piece],
                mask=masks[piece.start - part.start : piece.stop - part.start],
                seeds=list(requests.seeds[piece]),
                **taken,
                **self.settings,
            ).images
            return images

        for low in range(part.start, part.stop, self.batch_size):
            rows = range(low, min(low + self.batch_size, part.stop))
            found += [images for _, images in self.fewer(sample, rows)]
        return np.concatenate(found)
