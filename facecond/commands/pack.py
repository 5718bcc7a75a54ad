"""`facecond pack MODEL --out DIR`: a model at half its size, to pass on."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from facecond.boxed import model_folder
from facecond.errors import UserError
from facecond.storage import (
    atomic_folder,
    check_folder_target,
    make_folder,
    read_json,
    write_json,
)

DTYPES = ("float16", "bfloat16")
MEGABYTE = 1e6


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.epilog = "example: facecond pack demo/run/model --out packed"
    add(
        "model",
        metavar="MODEL",
        help="a folder that `facecond train` wrote (RUN/model), or boxed: the small model of drawn "
        "faces that comes with facecond",
    )
    add("--out", metavar="DIR", required=True, help="folder of the packed model")
    add("--dtype", choices=DTYPES, default=DTYPES[0], help="number of the weights (float16)")


def run(args: argparse.Namespace) -> int:
    """Round the weights, write them with the card and the provenance, and say what was saved."""
    source, out = model_folder(args.model), Path(args.out)
    if out.resolve() == source.resolve():
        fix = "Name another folder: rounded weights are no good to train on."
        raise UserError("the packed model would replace the model", out, fix)
    check_folder_target(out)
    from facecond.pipeline import load_pipeline

    pipeline = load_pipeline(args.model)
    _round(pipeline, args.dtype, source)
    make_folder(out.parent)
    with atomic_folder(out) as temporary:
        pipeline.save_pretrained(temporary)  # its card and provenance go along
        if (temporary / "provenance.json").is_file():
            told = read_json(temporary / "provenance.json") | {"weights": args.dtype}
            write_json(temporary / "provenance.json", told)
    before, after = (_size(folder) / MEGABYTE for folder in (source, out))
    print(f"{out}: {after:.1f} MB of {args.dtype} weights in place of {before:.1f} MB")
    return 0


def _round(pipeline: Any, dtype: str, source: Path) -> None:
    import torch

    for name, part in pipeline.components.items():
        if not isinstance(part, torch.nn.Module):
            continue
        torch.nn.Module.to(part, getattr(torch, dtype))  # diffusers' own `to` warns of nothing
        for key, value in part.state_dict().items():
            if not torch.isfinite(value).all():
                where = f"{source}, {name}.{key}"
                raise UserError(f"a weight is too large for {dtype}", where, "Take bfloat16.")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
