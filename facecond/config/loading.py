"""Config files: found, read, merged in order, checked, written out again."""

from __future__ import annotations

import dataclasses
import math
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facecond.config.first_stage import FirstStageRunConfig
from facecond.config.judge import JudgeConfig
from facecond.config.ranges import RANGES
from facecond.config.run import DataConfig, RunConfig
from facecond.config.study import StudyConfig
from facecond.errors import UserError, nearest

Config = TypeVar("Config", RunConfig, JudgeConfig, FirstStageRunConfig, StudyConfig)


def load(
    kind: type[Config],
    path: str | Path,
    overrides: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
    changed_by: str = "",
) -> Config:
    """Read a config file (a path, or the name of a shipped one) and apply `a.b=value` overrides.

    Args:
        changes: dotted key -> value, applied last.
        changed_by: who asks for the changes: what an error names.

    Raises:
        UserError: the file is missing or not YAML, a key is unknown, a value has the wrong type or
            is out of range.
    """
    file = find(path)
    layers = [(str(file), read_mapping(file))]
    base = layers[0][1].pop("base", None) if kind is not StudyConfig else None
    if base is not None:
        ground = find(file.parent / str(base))
        layers.insert(0, (str(ground), read_mapping(ground)))
        if "base" in layers[0][1]:
            raise UserError("a base has a base itself", ground, "Use one level.")
    for where, layer in layers:
        _check_keys(kind, layer, where)
    for override in overrides:
        key, separator, _ = override.partition("=")
        if not separator:
            raise UserError(f"'{override}' is not of the form key=value", "--set", "Add '='.")
        _check_path(kind, key)
        layers.append(("--set", _parse(override)))
        _check_keys(kind, layers[-1][1], "--set")
    for key, value in (changes or {}).items():
        _check_path(kind, key, changed_by)
        layers.append((changed_by, _nested(key, value)))
        _check_keys(kind, layers[-1][1], changed_by)
    try:
        merged = OmegaConf.merge(OmegaConf.structured(kind), *(layer for _, layer in layers))
        config: Config = OmegaConf.to_object(merged)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "config"
        reason = str(error).splitlines()[0]
        where = changed_by or str(file)
        raise UserError(reason, f"{where} ({key})", "Correct the value.") from None
    _check_values(config, layers)
    return config


def find(path: str | Path) -> Path:
    """A config file by path, or by name among those shipped with the package."""
    path = Path(path)
    if os.path.isfile(path):  # also where its name is too long
        return path
    shipped = Path(str(resources.files("facecond"))) / "configs"
    if not shipped.is_dir():  # an editable install reads the checkout
        shipped = Path(__file__).resolve().parents[2] / "configs"
    relative = Path(*path.parts[1:]) if path.parts[:1] == ("configs",) else path
    for candidate in (shipped / relative, shipped / f"{relative}.yaml"):
        if os.path.isfile(candidate):
            return candidate
    names = sorted(str(p.relative_to(shipped)) for p in shipped.rglob("*.yaml"))
    raise UserError("there is no such config", path, nearest(path.name, names))


def dump(config: Any) -> str:
    """The resolved config as YAML."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def read_mapping(file: str | Path) -> dict[str, Any]:
    """What a YAML or JSON file holds; raises `UserError` unless that is a mapping."""
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(file))
    except FileNotFoundError:
        raise UserError("the file is missing", file, "Check the path.") from None
    except Exception as error:  # PyYAML and OmegaConf raise many kinds
        reason = " ".join(str(error).split())
        raise UserError(f"not valid YAML ({reason})", file, "Correct the file.") from None
    if not isinstance(loaded, dict):
        raise UserError("it holds no mapping of keys to values", file, "See configs/.")
    return {str(key): value for key, value in loaded.items()}


def _parse(override: str) -> dict[str, Any]:
    """One `a.b=value` as nested mappings."""
    try:
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([override]))
    except Exception as error:  # PyYAML and OmegaConf raise many kinds
        reason = f"cannot read '{override}' ({' '.join(str(error).split())})"
        raise UserError(reason, "--set", "Put the value in quotes.") from None
    assert isinstance(parsed, dict)
    return {str(key): value for key, value in parsed.items()}


def _nested(key: str, value: Any) -> dict[str, Any]:
    """`"a.b"`, value -> `{"a": {"b": value}}`."""
    for part in reversed(key.split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


def _check_keys(kind: type, values: dict[str, Any], where: str, prefix: str = "") -> None:
    for key, value in values.items():
        section = _check_path(kind, f"{prefix}{key}", where, root=prefix)
        if dataclasses.is_dataclass(section):
            if not isinstance(value, dict):
                reason = f"'{prefix}{key}' is a section, not a value"
                raise UserError(reason, where, "Name a key of it.")
            _check_keys(kind, value, where, f"{prefix}{key}.")


def _check_path(kind: type, path: str, where: str = "--set", root: str = "") -> Any:
    """Type of the field at a dotted path; an unknown part is an error with the nearest name."""
    current: Any = kind
    for part in path.split("."):
        if not dataclasses.is_dataclass(current):
            return current  # a free mapping such as sampling.guidance
        hints = get_type_hints(current)
        if part not in hints:
            raise UserError(f"unknown key '{path}'", where, nearest(part, hints))
        current = hints[part]
    return current


def _check_values(config: Any, layers: list[tuple[str, dict[str, Any]]]) -> None:
    """Every value lies in its range, and no variation is asked for that would not happen."""

    def origin(section: str, name: str) -> str:
        return next(w for w, layer in reversed(layers) if name in layer.get(section, {}))

    for interval, keys in RANGES.items():
        low, high = (float(end) for end in interval[1:-1].split(","))
        over = operator.gt if interval[0] == "(" else operator.ge
        under = operator.lt if interval[-1] == ")" else operator.le
        above = f"{'above' if over is operator.gt else 'at least'} {low:g}"
        word = "below" if under is operator.lt else "at most"
        below = "" if high == math.inf else f", {word} {high:g}"
        for section, name in (key.split(".") for key in keys.split()):
            value = getattr(getattr(config, section, None), name, [])
            items = value if isinstance(value, list) else [value]
            if not all(over(item, low) and under(item, high) for item in items):
                where = f"{origin(section, name)} ({section}.{name})"
                raise UserError(f"{value} is out of range", where, f"Allowed: {above}{below}.")
    if hasattr(config.data, "variants"):
        _check_variants(config.data, lambda name: origin("data", name))


def _check_variants(data: DataConfig, origin: Callable[[str], str]) -> None:
    for name in ("flip", "affine", "jitter"):
        if data.variants == 1 and getattr(data, name):
            reason = f"'data.{name}' has no effect while data.variants is 1"
            raise UserError(reason, origin(name), "Raise data.variants.")
    most = 1 + data.flip  # a flip has one outcome, not many
    if data.variants > most and not (data.affine or data.jitter):
        others = "only its mirror" if data.flip else "no other version"
        reason = f"{data.variants} variants, but without affine or jitter a picture has {others}"
        raise UserError(reason, origin("variants"), f"Set data.variants={most}.")
