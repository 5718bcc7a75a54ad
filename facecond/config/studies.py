"""Study files: read, checked, expanded into named variants of one training."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from facecond.config.loading import find, load
from facecond.config.run import RunConfig
from facecond.config.study import StudyConfig
from facecond.errors import UserError, nearest

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=+-]{0,99}")
"""Names of variants are names of folders."""
OWNED = {"data.root": "data.root of the study", "train.seed": "seeds"}
"""Keys of a training that the study sets for all variants, and where."""


@dataclass(frozen=True)
class Variant:
    """A training as it differs from the base; `config` lacks the data folder and the seed."""

    name: str
    changes: Mapping[str, Any]
    config: RunConfig


@dataclass(frozen=True)
class Study:
    """A study with its trainings resolved.

    Attributes:
        name: of its file.
        base: the training that the variants change.
        reference: name of the variant that the others are compared with.
        init: name of the variant that the others begin from; empty: they begin from nothing.
    """

    name: str
    file: Path
    config: StudyConfig
    base: RunConfig
    variants: tuple[Variant, ...]
    reference: str
    init: str = ""

    def variant(self, name: str) -> Variant:
        """The variant of this name; an unknown one is a `UserError` with the nearest."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        names = [variant.name for variant in self.variants]
        raise UserError(f"there is no variant '{name}'", self.file, nearest(name, names))


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study file (a path, or the name of a shipped one) and resolve its trainings.

    Args:
        path: of the file.
        overrides: `key=value`; a key of the study (`evaluate.n`, `data.root`), or one of the base
            (`train.steps`), which all variants then share unless they change it themselves.

    Raises:
        UserError: what `load` raises; a missing base, a variant that names a missing key or one
            that the study owns, names that cannot be folders, variants or seeds that repeat.
    """
    file = _find(path)
    mine, theirs = _divide(overrides)
    config = load(StudyConfig, file, mine)
    if not config.base:
        raise UserError("no base is named", f"{file} (base)", "Add `base: CONFIG`.")
    ground = _base(file, config.base)
    _check_seeds(config, file)
    base = load(RunConfig, ground, theirs)
    if base.train.steps <= 0:
        raise UserError(
            "the base has a length in minutes, so its runs would differ in steps",
            f"{ground} (train.steps)",
            "Set train.steps, which makes all variants equally long.",
        )
    variants = []
    for name, changes in _named(config, file).items():
        where = f"{file} (variant '{name}')"
        for key in _leaves(changes):
            if key in OWNED:
                raise UserError(
                    f"'{key}' is the same for all variants", where, f"Set {OWNED[key]}."
                )
        resolved = load(RunConfig, ground, theirs, changes, where)
        variants.append(Variant(name, changes, resolved))
    _check_distinct(variants, file)
    names = [variant.name for variant in variants]
    reference = config.reference or names[0]
    if reference not in names:
        raise UserError(
            f"there is no variant '{reference}'", f"{file} (reference)", nearest(reference, names)
        )
    if config.init and config.init not in names:
        where = f"{file} (init)"
        raise UserError(f"there is no variant '{config.init}'", where, nearest(config.init, names))
    return Study(file.stem, file, config, base, tuple(variants), reference, config.init)


def _find(path: str | Path) -> Path:
    """A study file by path, or by name among the shipped ones."""
    try:
        return find(path)
    except UserError as error:
        try:
            return find(Path("ablations") / path)
        except UserError:
            raise error from None


def _base(study: Path, name: str) -> Path:
    """The base's file: beside the study, or as any other config is found."""
    near = study.parent / name
    for candidate in (near, near.with_name(f"{near.name}.yaml")):
        if os.path.isfile(candidate):
            return candidate
    return find(name)


def _divide(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Overrides of the study itself, and those of the base."""
    sections = {field.name for field in fields(StudyConfig)}
    inner = {key: set(value) for key, value in asdict(StudyConfig()).items() if key == "data"}
    mine: list[str] = []
    theirs: list[str] = []
    for override in overrides:
        parts = override.partition("=")[0].split(".")
        own = parts[0] in sections and (
            parts[0] not in inner or (len(parts) > 1 and parts[1] in inner[parts[0]])
        )
        (mine if own else theirs).append(override)
    return mine, theirs


def _named(config: StudyConfig, file: Path) -> dict[str, dict[str, Any]]:
    """Name -> changes: the variants, then the points of the grid."""
    named: dict[str, dict[str, Any]] = {}
    folded: dict[str, str] = {}
    for name, changes in [*config.variants.items(), *_points(config.grid, file)]:
        where = f"{file} (variant '{name}')"
        if not NAME.fullmatch(name):
            raise UserError(
                "this name cannot be a folder", where, "Use letters, digits and _ . , = + -."
            )
        if name.lower() in folded:
            other = folded[name.lower()]
            raise UserError(f"the name is taken (by '{other}')", where, "Give it another name.")
        if not isinstance(changes or {}, dict):
            raise UserError("a variant is a mapping", where, "Write `key.of.the.base: value`.")
        folded[name.lower()], named[name] = name, dict(changes or {})
    if not named:
        raise UserError("the study has no variants", f"{file} (variants)", "Name at least one.")
    return named


def _points(grid: Mapping[str, Any], file: Path) -> list[tuple[str, dict[str, Any]]]:
    """Every combination of the grid's values, named after them."""
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise UserError("a grid needs lists", f"{file} (grid.{key})", "Write [1, 2].")
    if not grid:
        return []
    points = []
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        words = [f"{key.rpartition('.')[2]}={_word(value)}" for key, value in point.items()]
        points.append((",".join(words), point))
    return points


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(map(_word, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _leaves(changes: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys of all values."""
    found = []
    for key, value in changes.items():
        inside = _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else []
        found += inside or [f"{prefix}{key}"]
    return found


def _check_seeds(config: StudyConfig, file: Path) -> None:
    for where, seeds in (("seeds", config.seeds), ("judges.seeds", config.judges.seeds)):
        if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise UserError(
                f"{seeds} is no list of different seeds", f"{file} ({where})", "Write [0, 1, 2]."
            )


def _check_distinct(variants: Sequence[Variant], file: Path) -> None:
    for index, variant in enumerate(variants):
        for other in variants[:index]:
            if variant.config == other.config:
                raise UserError(
                    f"variants '{other.name}' and '{variant.name}' are the same training",
                    file,
                    "Leave one out.",
                )
