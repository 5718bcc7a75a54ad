"""How long `facecond --help` takes in a fresh process, beside an interpreter that does nothing."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from torch import Tensor

from facecond.benchmarks.checks import CheckFailed
from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.settings import Settings

GOAL_S = 0.5


def entries(settings: Settings, case: str) -> Entries:
    """The command, a command with many options, and Python alone."""
    commands = {
        "facecond --help": ["-m", "facecond", "--help"],
        "facecond sample --help": ["-m", "facecond", "sample", "--help"],
        "python alone": ["-c", "print('nothing')"],
    }
    return {name: partial(_contender, words) for name, words in commands.items()}


def _contender(words: list[str]) -> Contender:
    def run(given: None, out: Tensor) -> None:
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
        if done.returncode:
            raise CheckFailed(f"{' '.join(words)} ended with {done.returncode}: {done.stderr}")
        out[0] = len(done.stdout)

    return Contender(
        lambda repeat: None, run, (1,), 1, "starts", facts={"goal_s": GOAL_S}, fresh=False
    )
