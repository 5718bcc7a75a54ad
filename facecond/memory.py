"""Memory that runs out: how it shows, and work that goes on with less at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from facecond.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

WHAT = "the memory ran out"
LESS = "Do less at a time, close other programs, or take a machine with more memory."
_WORDS = (
    "can't allocate memory", "not enough memory", "CUDA out of memory", "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
)  # fmt: skip
"""What torch says where it raises another RuntimeError."""


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory ran out, the processor's or a GPU's."""
    if isinstance(error, RuntimeError):  # torch's own is one; its name spares the import
        told = str(error)
        return type(error).__name__ == "OutOfMemoryError" or any(word in told for word in _WORDS)
    return isinstance(error, MemoryError)


@contextmanager
def memory_faults(where: str, fix: str) -> Iterator[None]:
    """Where memory runs out in the block, a `UserError` says what helps."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        raise UserError(WHAT, where, fix) from None


class FewerAtATime:
    """Works through batches whole; where memory runs out, in halves from then on, down to one item.

    Attributes:
        most: items that went at a time since then; None = memory has sufficed.
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def __call__(
        self, work: Callable[[Sequence[Item]], Result], batch: Sequence[Item]
    ) -> Iterator[tuple[Sequence[Item], Result]]:
        """Yield the parts of a batch in order, each with what `work` made of it.

        Raises:
            UserError: memory runs out with a single item.
        """
        start = 0
        while start < len(batch):
            part = batch[start : start + (self.most or len(batch))]
            try:
                result = work(part)
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                if len(part) == 1:
                    raise UserError(WHAT, "a single face", LESS) from None
                self.most = len(part) // 2
                print(f"warning: {WHAT}: {self.most} faces at a time from here on", file=sys.stderr)
            else:
                start += len(part)
                yield part, result
                continue
            _free()  # after the error is gone, and with it what its frames held


def _free() -> None:
    """Give memory that a GPU's allocator holds back to it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
