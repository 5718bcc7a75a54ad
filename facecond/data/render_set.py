"""Rendered faces as a data set on disk: prepared, or plain images + masks + CSV."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from facecond.data.factors import Factors
from facecond.data.parallel import ordered_map
from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import RenderedFace, render
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
    variations: int = 1,
) -> PreparedFolder:
    """Render `count` faces of `size` pixels into a prepared folder.

    Face i is `render(seed, i, size)`, whatever the number of workers. The other arguments are
    those of `prepare_folder`; `correlated` is that of `render`. A run that was killed is continued.

    With `variations` v > 1 the faces come in blocks of v * v: v faces of the series, each geometry
    with each appearance (`render(..., appearance=...)`). A block is in one split, and factors.csv
    says which geometry and which appearance each face has, as numbers in the series.

    Raises:
        UserError: `out` cannot be written or is in use, a share is out of range, or `count` is
            not a number of whole blocks.
    """
    check_blocks(count, variations)
    names = [_name(place) for place in range(count)]
    drawn = [variation(place, variations) for place in range(count)]
    blocks = {name: str(place // variations**2) for place, name in enumerate(names)}
    splits = assign_splits(names, seed, judges_fraction, test_fraction, blocks)
    draw = partial(_draw_variation, seed=seed, size=size, correlated=correlated)
    details: dict[str, int | bool] = {"seed": seed, "correlated": correlated}
    factors = None
    if variations > 1:
        details["variations"] = variations
        pairs = zip(names, drawn, strict=True)
        factors = {name: Factors(str(shape), str(look)) for name, (shape, look) in pairs}
    plan = {
        name: PlannedFace((place, *drawn[place]), splits[place], hash_of([place, details]))
        for place, name in enumerate(names)
    }
    described = (out, size, "rendered", details, plan)
    write_faces(*described, draw, workers, "rendering", factors=factors)
    return PreparedFolder.open(out)


def check_blocks(count: int, variations: int) -> None:
    """Raise `UserError` unless `count` is a number of whole blocks of variations * variations."""
    block = variations**2
    if variations < 1:
        raise UserError(f"{variations} is out of range", "--variations", "Give 1 or more.")
    if count % block:
        low = count // block * block
        near = f"{low} or {low + block}" if low else str(block)
        what = f"{count} faces are no whole blocks of {variations} x {variations} faces"
        raise UserError(what, "--count", f"Give a multiple of {block}, such as {near}.")


def variation(place: int, variations: int) -> tuple[int, int]:
    """Geometry and appearance of the face at `place`, as numbers in the series of faces."""
    block, within = divmod(place, variations**2)
    geometry, appearance = divmod(within, variations)
    return block * variations + geometry, block * variations + appearance


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


def _draw_variation(
    place: tuple[int, int, int], seed: int, size: int, correlated: bool
) -> EncodedFace:
    """A face from its place in the folder, geometry and appearance; runs in a worker process."""
    number, shape, look = place
    face = render(seed, shape, size, correlated=correlated, appearance=look)
    return _encoded(_name(number), face)


def _draw(index: int, seed: int, size: int, correlated: bool) -> EncodedFace:
    """Runs in a worker process."""
    return _encoded(_name(index), render(seed, index, size, correlated=correlated))


def _encoded(name: str, face: RenderedFace) -> EncodedFace:
    return EncodedFace(name, encode_png(face.image), encode_png(face.mask), face.attributes)
