"""What training reports: loss by noise level, learning rate, gradient norm, throughput."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from facecond.diffusion.objective import NUM_BINS, Objective, bin_of
from facecond.models.routing import Routing
from facecond.storage import read_json_lines, write_text


class TrainingLog:
    """Loss by noise level, rates and throughput: TensorBoard and `metrics.jsonl`."""

    def __init__(self, out: Path, objective: Objective, step: int) -> None:
        self.tensorboard = SummaryWriter(str(out / "tensorboard"), purge_step=step)
        self.file = out / "metrics.jsonl"
        if self.file.exists():  # rows past the checkpoint will be written again
            kept = [row for row in read_json_lines(self.file) if row["step"] <= step]
            write_text(self.file, "".join(json.dumps(row) + "\n" for row in kept))
        for index, share in enumerate(objective.effective_weight()):
            self.tensorboard.add_scalar("effective_weight_by_bin", share, index)
        self.norm, self.images, self.began = 0.0, 0, time.monotonic()
        self.perceptual: list[float] | None = None  # sum and number of samples, where there is one
        self._clear()

    def gates(self, routing: Routing) -> None:
        """Record the gates, one curve per source over the layers in order of execution."""
        for column, source in enumerate(routing.sources):
            for layer, gate in enumerate(routing.gates()[:, column]):
                self.tensorboard.add_scalar(f"gates_by_layer/{source}", gate, layer)

    def collect(self, t: Tensor, losses: Tensor, norm: Tensor, images: int) -> None:
        """Take in one step: noise levels [B], losses [B], gradient norm, pictures seen."""
        bins = bin_of(t.detach()).cpu()
        self.sums.index_add_(0, bins, losses.detach().float().cpu())
        self.counts.index_add_(0, bins, torch.ones_like(bins, dtype=torch.float))
        self.norm, self.images = float(norm), self.images + images

    def collect_perceptual(self, losses: Tensor, active: Tensor) -> None:
        """Take in the latent perceptual loss of one step [B], and which samples have one [B]."""
        self.perceptual = self.perceptual or [0.0, 0.0]
        self.perceptual[0] += float(losses.detach().sum())
        self.perceptual[1] += float(active.sum())

    def write(self, step: int, optimizers: list[torch.optim.Optimizer]) -> dict[str, str]:
        """Write what was collected; returns what the progress bar shows."""
        speed = self.images / (time.monotonic() - self.began)
        loss = float(self.sums.sum() / self.counts.sum())
        by_bin = (self.sums / self.counts).tolist()  # nan where a bin was not drawn
        row: dict[str, Any] = {
            "step": step,
            "loss": _finite(loss),
            "images_per_second": speed,
            "gradient_norm": _finite(self.norm),
            "learning_rate": optimizers[0].param_groups[0]["lr"],
            "loss_by_bin": [_finite(value) for value in by_bin],
        }
        names = ["loss", "images_per_second", "gradient_norm", "learning_rate"]
        if self.perceptual is not None:
            total, count = self.perceptual
            row["perceptual_loss"] = _finite(total / count) if count else None
            names.append("perceptual_loss")
        for name in names:
            if row[name] is not None:
                self.tensorboard.add_scalar(name, row[name], step)
        for index, value in enumerate(by_bin):
            if not math.isnan(value):
                self.tensorboard.add_scalar(f"loss_by_bin/{index / NUM_BINS:.1f}", value, step)
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._clear()
        return {"loss": f"{loss:.3f}", "img/s": f"{speed:.0f}"}

    def _clear(self) -> None:
        self.sums, self.counts = torch.zeros(NUM_BINS), torch.zeros(NUM_BINS)
        self.norm, self.images, self.began = 0.0, 0, time.monotonic()
        self.perceptual = None


def _finite(value: float) -> float | None:
    """JSON has no word for nan or infinity."""
    return value if math.isfinite(value) else None
