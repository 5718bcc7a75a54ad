"""The `facecond` command: finds the command's module, imports only that, and reports errors.

A command is one module in `facecond/commands` with `configure(parser)` and `run(args)`, which
returns the exit code: 0 done; 1 a check found something; 2 the input is at fault (one line on
standard error); 130 and 143 interrupted, state saved.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from facecond import __version__
from facecond.errors import UserError, nearest
from facecond.memory import LESS, memory_faults

TABLE: dict[str, tuple[str, str]] = {
    "demo": ("demo", "everything, offline: rendered faces, training, samples, scores, a report"),
    "data render": ("data_render", "draw faces with exact masks and attributes"),
    "data prepare": ("data_prepare", "turn images, masks and attributes into a prepared folder"),
    "data doctor": ("data_doctor", "find what is wrong with a data folder"),
    "data faults": (
        "data_faults",
        "plant faults in copies of a folder, measure the doctor on them",
    ),
    "data label": ("data_label", "fill missing attributes and masks with judges, flagged"),
    "data pairs": ("data_pairs", "count the pairs of reference and target faces that rules find"),
    "train": ("train", "train the denoiser"),
    "train first-stage": ("train_first_stage", "train a first stage: pictures to latents and back"),
    "train judge": ("train_judge", "train a judge: the face parser or the attribute classifier"),
    "sample": ("sample", "draw faces that follow attributes and a mask"),
    "reproduce": ("reproduce", "draw a face again from its own file, and compare"),
    "edit": ("edit", "change attributes or the layout of a photo's face, keep the rest"),
    "explore": ("explore", "grids and interpolations: what each condition changes"),
    "mask random": ("mask_random", "a layout to start from: the mask of a random face"),
    "mask template": ("mask_template", "a layout to start from, by name: frontal, hat, smile, ..."),
    "mask from-photo": ("mask_from_photo", "the mask of a photo: face found, aligned, parsed"),
    "mask edit": ("mask_edit", "mirror a mask, open or replace classes by name"),
    "pack": ("pack", "store a model at half its size, to pass it on"),
    "studio": ("studio", "the web page: paint a mask, set attributes, see faces"),
    "parse": ("parse", "read the mask of a photo: face found, aligned, parsed"),
    "evaluate": ("evaluate", "score a model, with the ceiling and the floor of each score"),
    "evaluate first-stage": (
        "evaluate_first_stage",
        "say how much a first stage loses: it bounds everything after it",
    ),
    "evaluate steps": ("evaluate_steps", "quality and time by solver and number of steps"),
    "evaluate judge": ("evaluate_judge", "score a judge on real pictures with true labels"),
    "attribute-split": ("attribute_split", "measure which attributes the mask alone tells"),
    "sensitivity": ("sensitivity", "measure which layer answers to which source of conditions"),
    "ablate": ("ablate", "run a study: variants x seeds -> one table with error bars"),
    "benchmark": ("benchmark", "speed, side by side with peers: training, sampling, data, start"),
    "routing": ("routing", "show which source of conditions reaches which layer"),
}
"""Words of a command -> its module in `facecond.commands` and one line of help."""

NAMES = ("--attributes", "--set", "--to")
"""Options whose value may begin with a minus."""
USER_ERROR, INTERRUPTED, PIPE_CLOSED = 2, 130, 141
CHECK_FILE = "Check the path, its permissions and the free space."


class CommandParser(argparse.ArgumentParser):
    """Argument parser whose complaints are `UserError`s: one line instead of a page of usage."""

    def error(self, message: str) -> NoReturn:
        where, fix = self.prog, f"See '{self.prog} --help'."
        if message.startswith("argument "):
            option, _, message = message.removeprefix("argument ").partition(": ")
            where = f"{self.prog} {option}"
        raise UserError(message, where, fix)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of the process) and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        try:
            return _dispatch(words)
        finally:
            sys.stdout.flush()
    except UserError as error:
        print("facecond: error:", " ".join(str(error).split()), file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("facecond: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`facecond ... | head`): give the interpreter's own last flush a sink.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        parts = filter(None, [error.filename, error.strerror or str(error)])
        line = " ".join(f"{': '.join(map(str, parts))}. {CHECK_FILE}".split())
        print("facecond: error:", line, file=sys.stderr)
        return USER_ERROR


def available() -> dict[str, tuple[str, str]]:
    """The rows of `TABLE` whose module is installed."""
    folder = Path(__file__).parent / "commands"
    return {name: row for name, row in TABLE.items() if (folder / f"{row[0]}.py").is_file()}


def _dispatch(words: list[str]) -> int:
    commands = available()
    if not words or words[0] in ("-h", "--help"):
        print(_help(commands))
        return 0
    if words[0] == "--version":
        print(f"facecond {__version__}")
        return 0
    for length in (2, 1):  # `train judge ...` before `train ...`
        name = " ".join(words[:length])
        if name in commands:
            return _run(name, words[length:], commands)
    group = {name: row for name, row in commands.items() if name.startswith(f"{words[0]} ")}
    if group and words[1:2] in (["-h"], ["--help"]):
        print(_help(group))
        return 0
    if group and len(words) == 1:
        raise UserError("needs a second word", f"facecond {words[0]}", _choose(group))
    typed = " ".join(words[: 2 if group else 1])
    raise UserError(f"unknown command '{typed}'", "command line", nearest(typed, commands))


def _run(name: str, arguments: list[str], commands: dict[str, tuple[str, str]]) -> int:
    module_name, summary = commands[name]
    module = importlib.import_module(f"facecond.commands.{module_name}")
    longer = {other: row for other, row in commands.items() if other.startswith(f"{name} ")}
    parser = CommandParser(
        prog=f"facecond {name}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.configure(parser)
    if longer:
        told = [parser.epilog, _listing(longer, "see also:")]
        parser.epilog = "\n\n".join(filter(None, told))
    parsed, unknown = parser.parse_known_args(_joined(arguments))
    if unknown:
        options = [option for action in parser._actions for option in action.option_strings]
        word = unknown[0].partition("=")[0]
        fix = nearest(word, options) if word.startswith("-") else f"See '{parser.prog} --help'."
        raise UserError(f"unknown argument '{unknown[0]}'", parser.prog, fix)
    with memory_faults(parser.prog, LESS):
        return int(module.run(parsed))


def _joined(words: list[str]) -> list[str]:
    """`--attributes -Eyeglasses` -> `--attributes=-Eyeglasses`: there a minus is no option."""
    joined: list[str] = []
    for word in words:
        after_names = joined and joined[-1] in NAMES
        if after_names and word.startswith("-") and not word.startswith("--"):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _choose(commands: dict[str, tuple[str, str]]) -> str:
    return f"Choose from: {', '.join(commands)}."


def _help(commands: dict[str, tuple[str, str]]) -> str:
    lines = [
        "usage: facecond COMMAND ...",
        "",
        "Controllable face generation with routed conditions.",
        "",
        _listing(commands, "commands:"),
        "",
        "options:",
        "  -h, --help    this list, or the help of a command: facecond COMMAND --help",
        "  --version     the version",
    ]
    return "\n".join(lines)


def _listing(commands: dict[str, tuple[str, str]], title: str) -> str:
    width = max(len(name) for name in commands)
    return "\n".join([title, *(f"  {name:<{width}}  {row[1]}" for name, row in commands.items())])
