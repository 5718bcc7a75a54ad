"""Planted contenders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from facecond.benchmarks import peers
from facecond.benchmarks.contender import Contender
from facecond.benchmarks.settings import Settings


@pytest.fixture
def planted() -> Callable[..., Contender]:
    """A contender that writes its inputs; `run` and other fields may be replaced."""

    def make(**changes: Any) -> Contender:
        def run(given: Tensor, out: Tensor) -> None:
            out.copy_(given)

        usual: dict[str, Any] = {
            "prepare": lambda repeat: torch.full((2, 3), float(repeat)),
            "run": run,
            "shape": (2, 3),
            "units": 2,
            "unit": "images",
        }
        return Contender(**(usual | changes))

    return make


@pytest.fixture
def quick(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Tiny, on the CPU, with diffusers as peer; what is registered is forgotten afterwards."""
    monkeypatch.setattr(peers, "_registered", {})
    settings = Settings(
        repeats=2, quick=True, device="cpu", peers={"diffusers": ""}, folder=str(tmp_path)
    )
    peers.register(settings.peers)
    return settings
