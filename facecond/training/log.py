"""What training reports: loss by noise level, learning rate, gradient norm, throughput."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from facecond.diffusion.objective import NUM_BINS, Objective, bin_of
from facecond.models.routing import Routing, flow_log_snr
from facecond.models.unet import FaceUNet
from facecond.storage import read_json_lines, write_text

SHOWN_TAU = (0.1, 0.5, 0.9)


class RunLog:
    """Rows of figures in `metrics.jsonl` and TensorBoard; a resumed run takes back later rows."""

    def __init__(self, out: Path, step: int) -> None:
        self.tensorboard = SummaryWriter(str(out / "tensorboard"), purge_step=step)
        self.file = out / "metrics.jsonl"
        if self.file.exists():  # rows past the checkpoint will be written again
            kept = [row for row in read_json_lines(self.file) if row["step"] <= step]
            write_text(self.file, "".join(json.dumps(row) + "\n" for row in kept))

    def append(self, row: dict[str, Any]) -> None:
        """Add a row to the file; values that are not finite become null."""
        finite = {key: _finite(value) for key, value in row.items()}
        with open(self.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(finite) + "\n")


class TrainingLog(RunLog):
    """Loss by noise level, rates and throughput."""

    def __init__(self, out: Path, objective: Objective | None, step: int) -> None:
        super().__init__(out, step)
        shares = objective.effective_weight() if objective is not None else ()
        for index, share in enumerate(shares):
            self.tensorboard.add_scalar("effective_weight_by_bin", share, index)
        self.norm, self.images, self.began = 0.0, 0, time.monotonic()
        self.perceptual: list[float] | None = None  # sum and number of samples, where there is one
        self._clear()

    def gates(self, routing: Routing) -> None:
        """Record the gates, one curve per source over the layers in order of execution; where they
        depend on the noise level, one for each of `SHOWN_TAU` (of the flow path)."""
        levels = {"": None} if routing.is_constant else {f" tau {t}": t for t in SHOWN_TAU}
        for name, tau in levels.items():
            at = None if tau is None else np.array([flow_log_snr(tau)])
            table = routing.gates(at).reshape(len(routing.layers), len(routing.sources))
            for column, source in enumerate(routing.sources):
                for layer, gate in enumerate(table[:, column]):
                    self.tensorboard.add_scalar(f"gates_by_layer/{source}{name}", gate, layer)

    def learned_gates(self, unet: FaceUNet, step: int) -> None:
        """Record 2 sigmoid(gamma) of every learned gate."""
        for row, attention in enumerate(unet.cross_attentions()):
            for source, gamma in attention.gamma.items():
                gate = 2 * float(gamma.detach().sigmoid())
                self.tensorboard.add_scalar(f"learned_gates/{source}/{row}", gate, step)

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

    def write(
        self, step: int, optimizers: list[torch.optim.Optimizer], skipped: int = 0
    ) -> dict[str, str]:
        """Write what was collected; returns what the progress bar shows.

        Args:
            skipped: steps since the last row whose gradient was not finite.
        """
        speed = self.images / (time.monotonic() - self.began)
        loss = float(self.sums.sum() / self.counts.sum())
        by_bin = (self.sums / self.counts).tolist()  # nan where a bin was not drawn
        row: dict[str, Any] = {
            "step": step,
            "loss": loss,
            "images_per_second": speed,
            "gradient_norm": self.norm,
            "learning_rate": optimizers[0].param_groups[0]["lr"],
            "loss_by_bin": by_bin,
        }
        names = ["loss", "images_per_second", "gradient_norm", "learning_rate"]
        if self.perceptual is not None:
            total, count = self.perceptual
            row["perceptual_loss"] = total / count if count else math.nan
            names.append("perceptual_loss")
        for name in names:
            if math.isfinite(row[name]):
                self.tensorboard.add_scalar(name, row[name], step)
        for index, value in enumerate(by_bin):
            if not math.isnan(value):
                self.tensorboard.add_scalar(f"loss_by_bin/{index / NUM_BINS:.1f}", value, step)
        shown = {"loss": f"{loss:.3f}", "img/s": f"{speed:.0f}"}
        if skipped:
            row["skipped_steps"] = skipped
            shown["skipped"] = str(skipped)
        self.append(row)
        self._clear()
        return shown

    def _clear(self) -> None:
        self.sums, self.counts = torch.zeros(NUM_BINS), torch.zeros(NUM_BINS)
        self.norm, self.images, self.began = 0.0, 0, time.monotonic()
        self.perceptual = None


class MeansLog(RunLog):
    """Means of named scalars since the last row, rates and throughput; the scalars are those of the
    main process."""

    def __init__(self, out: Path, step: int) -> None:
        super().__init__(out, step)
        self._clear()

    def collect(self, scalars: dict[str, Tensor], images: int) -> None:
        """Take in one step: scalars by name (not the same ones every time) and pictures seen."""
        for name, value in scalars.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value.detach().double(), count + 1)
        self.images += images

    def write(
        self, step: int, optimizers: list[torch.optim.Optimizer], skipped: int = 0
    ) -> dict[str, float]:
        """Write what was collected; returns the means. `skipped` as in `TrainingLog`."""
        speed = self.images / (time.monotonic() - self.began)
        means = {name: float(total / count) for name, (total, count) in self.sums.items()}
        rate = optimizers[0].param_groups[0]["lr"]
        row = {"step": step, **means, "images_per_second": speed, "learning_rate": rate}
        for name, value in row.items():
            if name != "step" and math.isfinite(value):
                self.tensorboard.add_scalar(name, value, step)
        self.append(row | ({"skipped_steps": skipped} if skipped else {}))
        self._clear()
        return means

    def _clear(self) -> None:
        self.sums: dict[str, tuple[Tensor | float, int]] = {}
        self.images, self.began = 0, time.monotonic()


def _finite(value: Any) -> Any:
    """JSON has no word for nan or infinity."""
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
