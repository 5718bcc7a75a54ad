"""Arguments that several commands share: checked numbers, scales by source, a config."""

from __future__ import annotations

import argparse
import math

from facecond.boxed import NAME as BOXED
from facecond.labels import LARGEST_SCALE


def model_argument(parser: argparse.ArgumentParser) -> None:
    """Add `MODEL` (`args.model`); without it, the model in the box."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        default=BOXED,
        help="a folder that `facecond train` wrote (RUN/model); without one, the small model of "
        "drawn faces that comes with facecond",
    )


def positive_int(text: str) -> int:
    """Whole number from 1 up."""
    return _whole(text, lowest=1)


def sampling_steps(text: str) -> int:
    """Whole number from 1 to 1000, the number of steps that schedulers count."""
    return _whole(text, lowest=1, highest=1000)


def condition_count(text: str) -> int:
    """Whole number from 2 up: scores compare each face with the condition of another."""
    if (count := _whole(text, lowest=1)) < 2:
        raise argparse.ArgumentTypeError(
            "at least 2 are needed: the floor pairs each face with the condition of another"
        )
    return count


def non_negative_int(text: str) -> int:
    """Whole number from 0 up."""
    return _whole(text, lowest=0)


def positive_number(text: str) -> float:
    """Finite number above 0."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"must be above 0, not '{text}'")
    return value


def non_negative_number(text: str) -> float:
    """Finite number from 0 up."""
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or above, not '{text}'")
    return value


def share(text: str) -> float:
    """Number from 0 to 1."""
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, not '{text}'")
    return value


def share_of_one(text: str) -> float:
    """Number above 0 and up to 1."""
    value = positive_number(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"must be a share up to 1, not '{text}'")
    return value


def source_scales(text: str) -> dict[str, float]:
    """`"mask=2,attributes=3"` -> `{"mask": 2.0, "attributes": 3.0}`: scales from 0 to
    `LARGEST_SCALE`.

    Which sources there are is the model's to say, so their names are checked where it is loaded.
    """
    scales: dict[str, float] = {}
    for pair in text.split(","):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(
                f"must look like mask=2,attributes=3, but has the part '{pair.strip()}'"
            )
        if name in scales:
            raise argparse.ArgumentTypeError(f"names '{name}' twice")
        scales[name] = _number(value)
        if scales[name] < 0:
            raise argparse.ArgumentTypeError(f"'{name}' must be 0 or above, not '{value}'")
        if scales[name] > LARGEST_SCALE:
            raise argparse.ArgumentTypeError(
                f"'{name}' must be up to {LARGEST_SCALE:g}, not '{value}'"
            )
    return scales


def tau_window(text: str) -> tuple[float, float]:
    """`"0.2:0.9"` -> (0.2, 0.9): noise levels in tau, 0 <= lo < hi <= 1."""
    lo, colon, hi = text.partition(":")
    try:
        window = float(lo), float(hi)
    except ValueError:
        window = (1.0, 0.0)
    if not (colon and 0 <= window[0] < window[1] <= 1):
        raise argparse.ArgumentTypeError(
            f"must be LO:HI with 0 <= LO < HI <= 1 (1 = noise), not '{text}'"
        )
    return window


def tau_windows(text: str) -> dict[str, tuple[float, float]]:
    """`"mask=0.3:1,attributes=0:0.8"` -> a window by source."""
    windows: dict[str, tuple[float, float]] = {}
    for pair in text.split(","):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not (name and equals) or name in windows:
            raise argparse.ArgumentTypeError(f"must look like mask=0.3:1, not '{text}'")
        windows[name] = tau_window(value)
    return windows


def weaker_model(text: str) -> tuple[str, float]:
    """`"DIR:1.5"` -> (`"DIR"`, 1.5), a scale from 1 (below, it would lead towards the model) to
    `LARGEST_SCALE`. Without a scale it is 2."""
    path, colon, scale = text.rpartition(":")
    try:
        value = _number(scale) if colon else None
    except argparse.ArgumentTypeError:  # a colon of the path
        value = None
    if value is None:
        return text, 2.0
    if value < 1:
        raise argparse.ArgumentTypeError(f"its scale must be 1 or above, not '{scale}'")
    if value > LARGEST_SCALE:
        raise argparse.ArgumentTypeError(
            f"its scale must be up to {LARGEST_SCALE:g}, not '{scale}'"
        )
    return path, value


def override(text: str) -> str:
    """`"section.key=value"`, passed on as it is to the config."""
    key, equals, _ = text.partition("=")
    if not (key.strip() and equals):
        raise argparse.ArgumentTypeError(
            f"must look like section.key=value, not '{text}' (CONFIG goes before --set)"
        )
    return text


def override_argument(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add `--set` (`args.overrides`: list of str); `purpose` is its help."""
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        type=override,
        nargs="+",
        action="extend",
        default=[],
        help=purpose,
    )


def config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `CONFIG` (`args.config`), `--set` (`args.overrides`: list of str) and `--dry-run`."""
    parser.add_argument(
        "config", metavar="CONFIG", help="a YAML file, or the name of a shipped one: rendered_64"
    )
    override_argument(parser, "change values of the config, e.g. --set data.root=DIR")
    parser.add_argument("--dry-run", action="store_true", help="show the resolved run and stop")


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a training into a run folder takes: `config_arguments`, `--out` and `--resume`."""
    config_arguments(parser)
    parser.add_argument("--out", metavar="RUN", help="run folder (default: runs/NAME_OF_CONFIG)")
    parser.add_argument(
        "--resume",
        default="auto",
        metavar="auto|never|PATH",
        help="auto: go on from the newest whole checkpoint of the run; never: start anew",
    )


def _whole(text: str, lowest: int, highest: float = math.inf) -> int:
    try:
        value = int(text)
    except ValueError:
        value = lowest - 1
    if not lowest <= value <= highest:
        bounds = f"from {lowest} {'up' if highest == math.inf else f'to {highest}'}"
        raise argparse.ArgumentTypeError(f"must be a whole number {bounds}, not '{text}'")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"must be a finite number, not '{text}'")
    return value
