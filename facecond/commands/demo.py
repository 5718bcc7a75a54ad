"""`facecond demo`: from nothing to controllable faces, offline, in minutes.

It runs the normal commands, one after the other, and adds up what they wrote:

    data render -> train judge (twice) -> train -> sample -> evaluate -> report.html, results.json

A demo that was interrupted goes on where it was: each stage leaves a whole result or none.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import shlex
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from facecond.commands.arguments import non_negative_int, positive_number
from facecond.devices import zero_denormals
from facecond.errors import UserError
from facecond.storage import make_folder, read_json, write_json

CONFIG = "rendered_64"
SIZE = 64
FACES_PER_MINUTE, MOST_FACES = 1250, 10_000
"""Rendered faces per minute of the demo; 30% go to the judges, 10% to the test split."""
MOST_SCORED = 384
"""Test conditions that the model is scored on."""
JUDGE_SHARE = 0.30
TEST_SHARE = 0.10
LEAST_TRAINING_MINUTES = 0.4
SETUP_MINUTES = 0.5
"""Fitting the first stage, writing latents, saving the model, and sample grids on the way."""
SCORING_MINUTES = 1.4
"""Sampling, scoring and the report, which come on top of the minutes that the user gives."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond demo --minutes 4 --out quick"
    parser.add_argument(
        "--minutes",
        type=positive_number,
        default=8.0,
        help="time up to the trained model (8); sampling and scoring come on top, about 1.4",
    )
    parser.add_argument("--out", metavar="DIR", default="demo", help="folder for all of it (demo)")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of data and training")


@zero_denormals()  # from here on: the judges' training makes the threads that the model's uses
def run(args: argparse.Namespace) -> int:
    """Run the stages that are not done yet, then write the report."""
    from facecond.evaluation.report import write_report

    out = make_folder(args.out)
    stages = Stages(out, args.minutes, args.seed)
    expected = args.minutes + SCORING_MINUTES
    print(f"facecond demo: about {expected:g} minutes into {out}/ (it may be interrupted)")
    data, judges, model = out / "data", out / "judges", out / "run" / "model"

    count = int(min(MOST_FACES, max(1500, FACES_PER_MINUTE * args.minutes)))
    shares = ["--judges-fraction", str(JUDGE_SHARE), "--test-fraction", str(TEST_SHARE)]
    render = ["--out", str(data), "--count", str(count), "--size", str(SIZE)]
    stages.run("render", data / "manifest.json", "data_render", [*render, *shares, *stages.seeded])
    for kind in ("attributes", "parser"):
        words = [kind, f"judge_{kind}_64", "--out", str(judges / kind)]
        steps = [f"judge.steps={stages.judge_steps(kind)}"] if args.minutes < 6 else []
        settings = ["--set", f"data.root={data}", f"judge.seed={args.seed + 1}", *steps]
        stages.run(f"judge_{kind}", judges / kind / "scores.json", "train_judge", words + settings)
    minutes = stages.remaining_for_training()
    words = [CONFIG, "--out", str(out / "run"), "--set", f"data.root={data}"]
    words += [f"train.minutes={minutes:.2f}", f"train.seed={args.seed}"]
    code = stages.run("train", model / "model_index.json", "train", words)
    if code:
        return code
    words = [str(model), "--mask", "random", "--data", str(data), "--n", "32"]
    words += ["--out", str(out / "samples"), *stages.seeded]
    stages.run("sample", out / "samples" / "samples.json", "sample", words)
    n = min(MOST_SCORED, int(count * TEST_SHARE))
    words = [str(model), "--data", str(data), "--judges", str(judges), "--n", str(n)]
    words += ["--out", str(out), *stages.seeded]
    if (out / "report.html").is_file():
        summarise(out, stages)
        return 0
    command, parsed = stages.announce("evaluate", "evaluate", words)
    with stages.timed("evaluate"):
        report = command.assess(parsed)
    write_report(
        out / "report.html",
        replace(
            report,
            title="facecond: faces with these attributes in this layout",
            introduction="Everything on this page was made by one command, offline: the faces it "
            "learned from are drawn by a program, so every mask and attribute is exactly true.",
            seconds=stages.state["seconds"],
            commands=list(stages.state["commands"].values()),
        ),
    )
    summarise(out, stages)
    return 0


class Stages:
    """Runs commands as stages, each once; remembers how long each took, over interruptions."""

    def __init__(self, out: Path, minutes: float, seed: int) -> None:
        self.file, self.minutes = out / "demo.json", minutes
        self.seeded = ["--seed", str(seed)]
        self.state: dict[str, Any] = {"seconds": {}, "commands": {}}
        self.state |= {"minutes": minutes, "seed": seed}
        if self.file.is_file():
            before = read_json(self.file)
            for key in ("minutes", "seed"):
                if before[key] != self.state[key]:
                    raise UserError(
                        f"holds a demo with --{key} {before[key]}", out, "Choose another --out."
                    )
            self.state = before

    def run(self, name: str, result: Path, module: str, words: list[str]) -> int:
        """Run one command unless its result is there; returns its exit code."""
        if result.exists() and name in self.state["seconds"]:
            print(f"{name}: done before ({self.state['seconds'][name]:.0f} s)")
            return 0
        command, args = self.announce(name, module, words)
        with self.timed(name):
            return int(command.run(args))

    def announce(self, name: str, module: str, words: list[str]) -> tuple[Any, argparse.Namespace]:
        """Say what comes and what time is left; the command's module and parsed arguments."""
        spoken = f"facecond {module.replace('_', ' ')}"
        self.state["commands"][name] = f"{spoken} {shlex.join(words)}"
        left = (self.minutes + SCORING_MINUTES) * 60 - sum(self.state["seconds"].values())
        print(
            f"\n{self.state['commands'][name]}\n  (about {max(left, 0) / 60:.1f} min left in all)"
        )
        command = importlib.import_module(f"facecond.commands.{module}")
        parser = argparse.ArgumentParser(prog=spoken)
        command.configure(parser)
        return command, parser.parse_args(words)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the time of the block to the stage's, also when it is interrupted."""
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = self.state["seconds"]
            seconds[name] = seconds.get(name, 0.0) + time.monotonic() - began
            write_json(self.file, self.state)

    def judge_steps(self, kind: str) -> int:
        """Fewer steps for the judges of a short demo."""
        from facecond import config

        full = config.load(config.JudgeConfig, f"judge_{kind}_64").judge.steps
        return max(60, int(full * self.minutes / 6))

    def remaining_for_training(self) -> float:
        """Minutes for the training: what the stages before it have left. Fixed once."""
        if "training_minutes" not in self.state:
            spent = sum(self.state["seconds"].values()) / 60
            left = self.minutes - spent - SETUP_MINUTES
            self.state["training_minutes"] = max(LEAST_TRAINING_MINUTES, left)
            write_json(self.file, self.state)
        return float(self.state["training_minutes"])


def summarise(out: Path, stages: Stages) -> None:
    """Add times, sizes and commands to `results.json`, and say where to look."""
    results = read_json(out / "results.json")
    run = read_json(out / "run" / "model" / "provenance.json")
    results |= {
        "seconds": {name: round(value, 1) for name, value in stages.state["seconds"].items()},
        "parameters": run["parameters"],
        "steps": run["steps"],
        "seed": run["seed"],
        "versions": run["versions"],
        "commands": list(stages.state["commands"].values()),
    }
    write_json(out / "results.json", results)
    total = sum(stages.state["seconds"].values())
    for metric in ("mask_miou", "attribute_bacc"):
        score, floor, ceiling = (results[f"{metric}{end}"] for end in ("", "_floor", "_ceiling"))
        print(f"{metric:<15} {score:.3f}  (floor {floor:.3f}, ceiling {ceiling:.3f})")
    print(
        f"frechet_judge   {results['frechet_judge']:.2f}  "
        f"(reconstructions {results['frechet_judge_reconstruction']:.2f})"
    )
    print(f"\n{total / 60:.1f} minutes. Open {out / 'report.html'} and {out / 'samples/grid.png'}")
