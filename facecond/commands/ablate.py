"""`facecond ablate STUDY`: variants x seeds -> runs -> one table with error bars.

It may be stopped in any way and started again: finished runs stay, half-done ones go on.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from facecond.commands.arguments import (
    non_negative_int,
    non_negative_number,
    override_argument,
    positive_int,
)
from facecond.errors import UserError

if TYPE_CHECKING:
    from facecond.analysis.ablation.tasks import Engine
    from facecond.config import Study

SOME_FAILED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond ablate conditions --dry-run\n"
        "         facecond ablate conditions --seeds 0 1 --set train.steps=50 evaluate.n=64"
    )
    parser.add_argument(
        "study", metavar="STUDY", help="a study file, or the name of a shipped one: routing"
    )
    parser.add_argument(
        "--out", metavar="DIR", help="folder of the study (default: runs/ablations/NAME)"
    )
    parser.add_argument("--workers", type=positive_int, default=1, help="runs at a time (1)")
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local: processes of this machine; ray: a Ray cluster (--out on a shared disk)",
    )
    parser.add_argument(
        "--num-gpus", type=non_negative_number, default=0.0, metavar="G", help="of a run under Ray"
    )
    parser.add_argument(
        "--retries",
        type=non_negative_int,
        default=1,
        help="more tries of a run whose process dies (1)",
    )
    parser.add_argument(
        "--seeds", type=non_negative_int, nargs="+", metavar="N", help="in place of the study's"
    )
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="VARIANT", help="do only the runs of these"
    )
    override_argument(parser, "change the study (evaluate.n=64) or its base (train.steps=50)")
    parser.add_argument(
        "--dry-run", action="store_true", help="list runs, parameters, states and time, and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Sweep and report; 1 when runs failed, 130 or 143 when a signal stopped it."""
    from facecond.config import load_study

    study = load_study(args.study, args.overrides)
    for name in args.only:
        study.variant(name)
    if args.seeds and len(set(args.seeds)) < len(args.seeds):
        raise UserError("a seed is given twice", "--seeds", "Give each once.")
    if args.num_gpus and args.engine != "ray":
        raise UserError("it is for Ray", "--num-gpus", "Add --engine ray, or leave it out.")
    out = Path(args.out or Path("runs") / "ablations" / study.name)
    if args.dry_run:
        from facecond.analysis.ablation.preview import preview

        print(preview(study, out, seeds=args.seeds, only=args.only, workers=args.workers))
        return 0
    from facecond.analysis.ablation.sweep import sweep

    found = sweep(
        study, out, engine_of(args), seeds=args.seeds, only=args.only, workers=args.workers
    )
    if found.done:
        report(study, out, args)
    if found.signum:
        print(f"{out}: stopped, {found.done} of {found.total} runs done; the same command goes on")
        return 128 + found.signum
    for name, error in found.failed.items():
        print(f"failed {name}: {error} ({out / 'runs' / name / 'log.txt'})")
    print(f"{out}: {found.done} of {found.total} runs done")
    return SOME_FAILED if found.failed else 0


def engine_of(args: argparse.Namespace) -> Engine:
    """Where the runs are done."""
    if args.engine == "ray":
        from facecond.analysis.ablation.cluster import Ray

        return Ray(args.workers, args.retries, args.num_gpus)
    from facecond.analysis.ablation.local import Local

    return Local(args.workers, args.retries)


def report(study: Study, out: Path, args: argparse.Namespace) -> None:
    """Write the report of all finished runs of the study and print the table."""
    from facecond.analysis.ablation.hparams import write_hparams
    from facecond.analysis.ablation.manifest import Manifest
    from facecond.analysis.ablation.plan import plan_runs
    from facecond.analysis.ablation.report import write_reports
    from facecond.analysis.ablation.report_tables import overview_text
    from facecond.analysis.ablation.table import collect

    entries = Manifest.open(study, out).runs
    seeds = {entry["seed"] for entry in entries.values()} | set(study.config.seeds)
    runs = [
        run
        for run in plan_runs(study, out, sorted(seeds))
        if entries.get(run.name, {}).get("state") == "done"
    ]
    table = collect(study, runs)
    files = [*write_reports(out, table, command_of(args)), write_hparams(out, table)]
    print(overview_text(table))
    print("\n".join(map(str, files)))


def command_of(args: argparse.Namespace) -> str:
    """The command line that gives these results."""
    words = ["facecond", "ablate", args.study]
    words += ["--out", args.out] if args.out else []
    words += ["--seeds", *map(str, args.seeds)] if args.seeds else []
    words += ["--set", *args.overrides] if args.overrides else []
    return shlex.join(words)
