"""What a step does with its gradients: clip, check, update the weights and their average."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facecond.config import OptimConfig
from facecond.errors import UserError
from facecond.training.average import WeightAverage
from facecond.training.optim import build_optimizers, gradient_norm

MAX_SKIPPED_STEPS = 10
"""Steps in a row with a gradient that is not finite before training gives up."""


class Updates:
    """The optimisers of a run, and the average of its model's weights.

    Args:
        model: trained by `optimizers`, and averaged; on its device.
        clip_norm: largest gradient norm.
        ema_decay: of the average.
        out: run folder, named in errors.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        clip_norm: float,
        ema_decay: float,
        out: Path,
    ) -> None:
        self.model, self.clip_norm, self.out = model, clip_norm, out
        self.skipped = self.skipped_since_asked = 0
        self._parts: list[list[nn.Parameter]] = []
        self._rates: list[list[float]] = []
        self.optimizers: list[torch.optim.Optimizer] = []
        self.add(model, optimizers)
        self.ema = WeightAverage(self._parts[0], ema_decay)

    @classmethod
    def of(cls, model: nn.Module, config: OptimConfig, out: Path) -> Updates:
        """With the optimisers that a config asks for."""
        optimizers = build_optimizers(
            model,
            config.optimizer,
            config.learning_rate,
            config.adam_learning_rate,
            config.weight_decay,
        )
        return cls(model, optimizers, config.clip_norm, config.ema_decay, out)

    def add(self, module: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Train another module too; its gradients are clipped by themselves."""
        self._parts.append(list(module.parameters()))
        for optimizer in optimizers:
            self.optimizers.append(optimizer)
            self._rates.append([group["lr"] for group in optimizer.param_groups])

    def apply(self, factor: float, step: int, faces: Callable[[], Sequence[str]] = tuple) -> Tensor:
        """Take the step number `step` at `factor` times the learning rates.

        A step with a gradient that is not finite is skipped and counted, the average too.

        Args:
            faces: names of those in the step's last batch, asked for where training gives up.

        Returns:
            The gradient norm of the model, before it was clipped.

        Raises:
            UserError: too many steps in a row were skipped.
        """
        norms = [gradient_norm(part, self.clip_norm) for part in self._parts]  # 0 without gradients
        finite = all(math.isfinite(float(norm)) for norm in norms)
        for optimizer, rates in zip(self.optimizers, self._rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            if finite:
                optimizer.step()
            optimizer.zero_grad()
        if finite:
            self.ema.step(self._parts[0])
        self.skipped = 0 if finite else self.skipped + 1
        self.skipped_since_asked += not finite
        if self.skipped >= MAX_SKIPPED_STEPS:
            what = f"the loss was not finite for {self.skipped} steps in a row (step {step}"
            fix = "Start anew with a lower optim.learning_rate (--resume never)"
            if names := faces():
                what += f", the last with the faces {shortened(names)}"
                fix += ", or look at these faces"
            raise UserError(f"{what})", self.out, f"{fix}.")
        return norms[0]

    def skips(self) -> int:
        """Steps skipped since this was last asked."""
        found, self.skipped_since_asked = self.skipped_since_asked, 0
        return found

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights in place of the trained ones, in evaluation mode."""
        self.ema.store(self._parts[0])
        self.ema.copy_to(self._parts[0])
        self.model.eval()
        try:
            yield
        finally:
            self.ema.restore(self._parts[0])
            self.model.train()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        return {"ema": self.ema.state_dict(), "optimizers": optimizers}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.ema.resume(state["ema"], self._parts[0])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def shortened(names: Sequence[str], shown: int = 8) -> str:
    """The first names of a list, and that there are more."""
    return ", ".join(names[:shown]) + (" ..." if len(names) > shown else "")
