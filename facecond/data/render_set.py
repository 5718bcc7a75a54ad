"""Rendered faces as a data set on disk: prepared, or plain images + masks + CSV."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from facecond.data.parallel import ordered_map
from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import render
from facecond.data.splits import assign_splits
from facecond.data.writing import (
    EncodedFace,
    PlannedFace,
    attribute_csv,
    encode_png,
    write_faces,
)
from facecond.errors import UserError
from facecond.storage import atomic_folder, hash_of, make_folder

_CELEBA_CODING = {1: "1", 0: "-1", -1: ""}


def render_prepared(
    out: str | Path,
    count: int,
    size: int,
    seed: int = 0,
    correlated: bool = True,
    judges_fraction: float = 0.2,
    test_fraction: float = 0.1,
    workers: int | None = None,
) -> PreparedFolder:
    """Render `count` faces of `size` pixels into a prepared folder.

    Face i is `render(seed, i, size)`, whatever the number of workers. The other arguments are
    those of `prepare_folder`; `correlated` is that of `render`. A run that was killed is continued.

    Raises:
        UserError: `out` cannot be written or is in use, or a share is out of range.
    """
    names = [_name(index) for index in range(count)]
    splits = assign_splits(names, seed, judges_fraction, test_fraction)
    draw = partial(_draw, seed=seed, size=size, correlated=correlated)
    details = {"seed": seed, "correlated": correlated}
    plan = {
        name: PlannedFace(index, split, hash_of([index, details]))
        for index, (name, split) in enumerate(zip(names, splits, strict=True))
    }
    write_faces(out, size, "rendered", details, plan, draw, workers, "rendering")
    return PreparedFolder.open(out)


def render_plain(
    out: str | Path,
    count: int,
    size: int,
    seed: int = 0,
    correlated: bool = True,
    workers: int | None = None,
) -> None:
    """Render the same faces as images/, masks/ and attributes.csv in CelebA's coding (1, -1).

    Raises:
        UserError: `out` cannot be written or is not empty.
    """
    out = Path(out)
    make_folder(out.parent)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("is in use", out, "Choose a new folder.")
    draw = partial(_draw, seed=seed, size=size, correlated=correlated)
    rows = []
    with atomic_folder(out) as folder:
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
        for face in ordered_map(draw, range(count), workers, "rendering"):
            (folder / "images" / f"{face.name}.png").write_bytes(face.image)
            if face.mask is not None:
                (folder / "masks" / f"{face.name}.png").write_bytes(face.mask)
            rows.append((face.name, face.attributes))
        (folder / "attributes.csv").write_text(attribute_csv(rows, _CELEBA_CODING), "utf-8")


def _name(index: int) -> str:
    return f"{index:06d}"


def _draw(index: int, seed: int, size: int, correlated: bool) -> EncodedFace:
    """Runs in a worker process."""
    face = render(seed, index, size, correlated=correlated)
    return EncodedFace(_name(index), encode_png(face.image), encode_png(face.mask), face.attributes)
