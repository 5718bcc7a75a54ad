"""A study in TensorBoard's HParams: settings that it varies, and scores, for each run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from facecond.analysis.ablation.plan import flat
from facecond.analysis.ablation.table import Table, varied


def write_hparams(out: Path, table: Table) -> Path:
    """Write OUT/tensorboard anew: a run for each run. Returns the folder."""
    folder, keys = out / "tensorboard", varied(table.study)
    shutil.rmtree(folder, ignore_errors=True)
    for found in table.runs:
        values = flat(found.run.config)
        settings: dict[str, Any] = {"variant": found.run.variant, "seed": found.run.seed}
        settings |= {key: _simple(values[key]) for key in keys}
        scores = {f"score/{metric}": float(row["score"]) for metric, row in found.rows.items()}
        with SummaryWriter(str(folder / found.run.name)) as writer:
            for part in hparams(settings, scores):  # `add_hparams` would open a second writer
                writer.file_writer.add_summary(part)
            for name, score in scores.items():
                writer.add_scalar(name, score)
    return folder


def _simple(value: Any) -> bool | int | float | str:
    return value if isinstance(value, (bool, int, float, str)) else str(value)
