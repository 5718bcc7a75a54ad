"""A studio as a process of its own, and a visitor who draws there over HTTP, as the page does."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Any

from facecond.benchmarks.checks import CheckFailed
from facecond.benchmarks.processes import free_port

READY = "the studio is at "
HOST, CALL = "127.0.0.1", "/gradio_api/call/draw"
PATIENCE_S = 300.0
"""A request without an answer for so long is lost."""


class ServedStudio:
    """`facecond studio MODEL` on a free port of this machine; ends with its `with` block.

    Args:
        model: folder of a saved model.
        folder: takes what the process says, and files that it makes on the way.
        device: `cpu` hides GPUs from it.

    Raises:
        CheckFailed: this is not Linux, or the process ended before it served.
    """

    def __init__(self, model: str | Path, folder: Path, device: str = "") -> None:
        if not Path("/proc/self/status").is_file():
            what = "needs Linux: memory is read from /proc, visitors have loopback addresses"
            raise CheckFailed(what)
        self.port, self.files, self._log = free_port(), folder / "files", folder / "studio.log"
        # Files of an earlier studio on this machine would count as this one's.
        environment = os.environ | {"GRADIO_TEMP_DIR": str(self.files)}
        if device == "cpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        words = ["-m", "facecond", "studio", str(model), "--port", str(self.port)]
        with open(self._log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, *words], stdout=subprocess.PIPE, stderr=log, text=True,
                env=environment, preexec_fn=partial(_end_with_parent, ctypes.CDLL(None)),
            )  # fmt: skip

    def __enter__(self) -> ServedStudio:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(READY):
                return self
        self._end()
        raise CheckFailed(f"the studio did not start: {self.last_words()}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.process.kill()
        self.process.communicate()

    def last_words(self) -> str:
        """The last line of its log."""
        return (self._log.read_text("utf-8", "replace").strip().splitlines() or ["no word"])[-1]

    def memory(self, field: str) -> float:
        """Resident memory in MiB: `VmRSS` now, `VmHWM` the most so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
        raise CheckFailed(f"the studio ended: {self.last_words()}")

    def open_files(self) -> int:
        """Files and connections that it holds open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def draw(self, wish: Mapping[str, Any], visitor: int) -> dict[str, Any]:
        """Ask for a drawing and wait for it; its last event.

        Args:
            wish: what the page sends.
            visitor: 0 to 200; each has an address of its own, as people have.

        Raises:
            OSError, http.client.HTTPException, ValueError: no answer, or one that cannot be read.
        """
        here = (f"127.0.0.{2 + visitor}", 0)
        connection = HTTPConnection(HOST, self.port, timeout=PATIENCE_S, source_address=here)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", CALL, json.dumps({"data": [wish]}), headers)
            event = json.loads(_answer(connection))["event_id"]
            connection.request("GET", f"{CALL}/{event}")
            lines = _answer(connection).splitlines()
        finally:
            connection.close()
        told = [line for line in lines if line.startswith("data: [")]
        if not told:
            raise ValueError("no event came")
        last: dict[str, Any] = json.loads(told[-1].removeprefix("data: "))[0]
        return last


def _end_with_parent(libc: Any) -> None:
    """Have Linux kill this process when the one that started it dies, however it dies."""
    libc.prctl(1, int(signal.SIGKILL))  # 1: PR_SET_PDEATHSIG


def _answer(connection: HTTPConnection) -> str:
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise ValueError(f"status {answer.status}: {text[:200]}")
    return text
