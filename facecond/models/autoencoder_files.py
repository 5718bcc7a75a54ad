"""Where a pretrained autoencoder lies, and its weights: a local folder, or one of the hub."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from facecond.errors import UserError, reason

WEIGHTS = "diffusion_pytorch_model"
INSIDE = ("first_stage", "vae")
"""Folders in which pipelines (ours, diffusers') keep their autoencoder."""
_WANTED = [
    f"{place}{name}"
    for place in ("", "vae/")
    for name in ("config.json", f"{WEIGHTS}*.safetensors", f"{WEIGHTS}*.index.json")
]


def find_autoencoder(path: str) -> Path:
    """The folder with config and weights: `path` itself, a part of the pipeline there, or the
    snapshot of a hub id (from the cache if it is there, else downloaded).

    Raises:
        UserError: there is none.
    """
    if Path(path).is_dir():
        if (place := _within(Path(path))) is None:
            raise UserError("no autoencoder found: no config.json there", path, "Check the path.")
        return place
    if Path(path).exists():
        raise UserError("this is a file, not a folder", path, "Name the folder it lies in.")
    for local_files_only in (True, False):
        try:
            with _quiet("huggingface_hub"):
                found = snapshot_download(
                    path, local_files_only=local_files_only, allow_patterns=_WANTED
                )
            if (place := _within(Path(found))) is not None:
                return place
            what, fix = "it holds no config.json", "Check the id."
        except HFValidationError:
            what, fix = "there is no such folder", "Check the path."
            break
        except LocalEntryNotFoundError:
            what = "there is no such folder, and the hub could not be reached"
            fix = "Check the path; a hub id needs the network at its first use."
        except (HfHubHTTPError, OSError) as error:
            what = f"there is no such folder, and the hub does not give it ({reason(error)})"
            fix = "Check the path or id."
    raise UserError(f"no autoencoder found: {what}", path, fix)


def load_weights(kind: Any, folder: Path, where: str | Path) -> Any:
    """The model of a class of diffusers' kind in a local folder, in float32, frozen.

    Raises:
        UserError: no safetensors, or they lack something, do not fit the class, or hold NaN.
    """
    options: dict[str, Any] = {}
    if not list(folder.glob(f"{WEIGHTS}.safetensors*")):
        variants = sorted(folder.glob(f"{WEIGHTS}.*.safetensors"))
        if not variants:
            others = ", ".join(sorted(path.name for path in folder.glob("*.bin"))) or "none at all"
            raise UserError(
                f"its weights cannot be loaded (no {WEIGHTS}.safetensors; found: {others})",
                where,
                "Take weights in the safetensors format.",
            )
        options["variant"] = variants[0].name.split(".")[1]  # such as fp16
    fix = "Copy or train it anew."
    try:
        with _quiet("diffusers"):  # it would only warn of what is checked below
            model, found = kind.from_pretrained(
                folder,
                torch_dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                low_cpu_mem_usage=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # diffusers and safetensors raise many kinds
        raise UserError(
            f"its weights cannot be loaded ({reason(error, 200)})", where, fix
        ) from None
    if lost := sorted(found["missing_keys"]):
        raise UserError(f"its weights lack {len(lost)} tensors, such as {lost[0]}", where, fix)
    for name, tensor in model.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{name} holds NaN or infinity", where, fix)
    return model.requires_grad_(False).eval()


def _within(folder: Path) -> Path | None:
    """The folder, or the part of the pipeline in it, that holds an autoencoder's config."""
    places = (folder, *(folder / part for part in INSIDE))
    return next((place for place in places if (place / "config.json").is_file()), None)


@contextlib.contextmanager
def _quiet(library: str) -> Iterator[None]:
    """Without the warnings of a library."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
