"""A saved model folder -> pipeline, or one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import logging

from facecond.boxed import NAME, model_folder
from facecond.errors import UserError, reason
from facecond.sampling.checksums import require_checksums


@contextmanager
def _quiet() -> Iterator[None]:
    """No bar over four small parts, no pages on weights that are checked here."""
    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()


def loaded(kind: Any, model: str | Path) -> Any:
    """Load a pipeline of a class from its folder, for sampling; see `pipeline.load_pipeline`."""
    path = model_folder(model)
    if not (path / "model_index.json").is_file():
        raise UserError(
            "not a model folder (no model_index.json)", path, "Name what `facecond train` wrote."
        )
    if str(model) == NAME:
        require_checksums(path)  # `from_pretrained` compares those that there are
    try:
        with _quiet():
            pipeline = kind.from_pretrained(str(path), local_files_only=True)
    except UserError:
        raise
    except Exception as error:  # diffusers, safetensors and json raise many kinds
        raise UserError(
            f"the model cannot be loaded ({reason(error)})",
            path,
            "Its files are damaged or of another version: train or copy it anew.",
        ) from None
    for name in ("unet", "condition_encoder", "first_stage"):
        module = getattr(pipeline, name)
        module.eval().requires_grad_(False)
        for key, value in module.state_dict().items():
            if value.is_meta:  # diffusers only warns
                fix = "It is of another version of facecond: train it anew."
                raise UserError(f"{key} is not among its weights", path / name, fix)
            if not torch.isfinite(value).all():
                raise UserError(f"{key} holds NaN or infinity", path / name, "Train it anew.")
    return pipeline
