"""`facecond benchmark [CASE ...]`: speed, side by side."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facecond.benchmarks.cases import CASES, chosen
from facecond.benchmarks.settings import (
    QUICK_REPEATS,
    QUICK_REQUESTS,
    REPEATS,
    REQUESTS,
    QualitySettings,
    Settings,
)
from facecond.commands.arguments import (
    condition_count,
    non_negative_int,
    override_argument,
    positive_int,
    sampling_steps,
)
from facecond.errors import UserError

FAILED = 1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    listed = "\n".join(f"  {name:<16}{case.words}" for name, case in CASES.items())
    parser.epilog = f"cases (default: all but equal-quality and studio-soak):\n{listed}"
    add("cases", nargs="*", metavar="CASE", help="what to measure")
    add("--cases", dest="more", metavar="A,B", default="", help="the same, as one word")
    add("--peer", dest="peers", action="append", default=[], metavar="NAME[=PATH]",
        help="compare with ldm=CHECKOUT, or with diffusers; may be given again")  # fmt: skip
    add("--precision", choices=("fp32", "bf16"), default="fp32", help="number format (fp32)")
    add("--compile", action="store_true", help="run networks through torch.compile")
    add("--threads", type=positive_int, metavar="N", help="of torch (default: its own choice)")
    add("--repeats", type=positive_int, metavar="N", help=f"rounds ({REPEATS})")
    add("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    add("--quick", action="store_true", help="tiny sizes: does it run?")
    add("--seed", type=non_negative_int, default=0, help="of weights and inputs (0)")
    add("--out", default="benchmarks", metavar="DIR", help="folder of CASE.json (benchmarks)")
    add("--table", metavar="FILE", help="table to add to (default: OUT/benchmarks.md)")
    add("--model", default="", metavar="DIR", help="saved model that the studio draws with")
    add("--requests", type=positive_int, metavar="N", help=f"of studio-soak ({REQUESTS})")
    quality = parser.add_argument_group("equal-quality")
    add = quality.add_argument
    add("--data", default="", metavar="DIR", help="prepared folder")
    add("--judges", default="", metavar="DIR", help="holds parser/ and attributes/")
    add("--models", nargs="+", default=[], metavar="NAME=DIR",
        help="trained models (facecond, ldm, diffusers); the others are trained")  # fmt: skip
    usual = QualitySettings()
    add("--config", default=usual.config, help=f"of the trainings ({usual.config})")
    override_argument(parser, "change values of that config, e.g. --set train.steps=2000")
    add("--conditions", type=condition_count, default=usual.conditions, metavar="N",
        help=f"test conditions ({usual.conditions})")  # fmt: skip
    add("--steps", type=_steps, default=usual.steps, metavar="4,8", help="steps to try")
    add("--solvers", type=_words, default=usual.solvers, metavar="A,B", help="solvers to try")
    add("--shipped", type=_setting, default=usual.shipped, metavar="SOLVER:STEPS",
        help="how peers are used by their authors (ddim:50)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Measure, print, write; 1 where the check of a case failed."""
    from facecond.benchmarks.peers import PUBLISHED, parse_peers
    from facecond.benchmarks.runner import run_cases
    from facecond.benchmarks.table import write_table
    from facecond.storage import check_file_target

    named = [word.strip() for word in args.more.split(",") if word.strip()]
    cases = chosen([*args.cases, *named])
    peers = parse_peers(args.peers)
    out = Path(args.out)
    table = Path(args.table) if args.table else out / "benchmarks.md"
    check_file_target(table)
    settings = Settings(
        repeats=args.repeats or (QUICK_REPEATS if args.quick else REPEATS),
        precision=args.precision,
        compile=args.compile,
        threads=args.threads or 0,
        quick=args.quick,
        device=args.device or "",
        peers=peers,
        model=args.model,
        requests=args.requests or (QUICK_REQUESTS if args.quick else REQUESTS),
        folder=str(out),
        seed=args.seed,
        quality=QualitySettings(
            _models(args.models), args.data, args.judges, args.config, tuple(args.overrides),
            args.conditions, args.steps, args.solvers, args.shipped,
        ),
    )  # fmt: skip
    failed = False
    for found in run_cases(settings, cases, out):
        if "failed" in found:
            failed = True
            print(f"{found['case']}: not measured: {found['failed']}", flush=True)
            continue
        write_table(table, found)
        print("\n".join(report(found)), flush=True)
        if found["case"] in PUBLISHED:
            print(f"  {PUBLISHED[found['case']]}")
    print(f"{table}")
    return FAILED if failed else 0


def report(found: Mapping[str, Any]) -> list[str]:
    """What one case gives, in lines."""
    from facecond.benchmarks.table import cells_of

    told = found["work"]
    lines = [f"{found['case']} on {found['device']}, {cells_of(found)[0][1]}"]
    lines += [f"  same work: {told}"] if told else []
    width = max(len(row["contender"]) for row in found["rows"])
    for row, cells in zip(found["rows"], cells_of(found), strict=True):
        name = row["contender"]
        _, _, _, median, spread, n, rate, peak, ratio, _ = cells
        facts = " ".join(f"{key}={value}" for key, value in row["facts"].items())
        lines.append(
            f"  {name:<{width}}  {median} ({spread}, n = {n})  {rate}/s  peak {peak} MiB  "
            f"time / first: {ratio}  {facts}".rstrip()
        )
    return lines


def _models(words: list[str]) -> dict[str, str]:
    from facecond.benchmarks.peers import PEERS
    from facecond.errors import nearest

    found = {}
    for word in words:
        name, equals, path = word.partition("=")
        known = ("facecond", *PEERS)
        if name not in known:
            raise UserError(f"unknown contender '{name}'", "--models", nearest(name, known))
        if not (equals and (Path(path) / "model_index.json").is_file()):
            raise UserError("not a model folder", f"--models {word}", "Write NAME=DIR.")
        found[name] = path
    return found


def _steps(text: str) -> tuple[int, ...]:
    return tuple(sorted({sampling_steps(word) for word in text.split(",")}))


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _setting(text: str) -> tuple[str, int]:
    solver, _, steps = text.partition(":")
    return solver, sampling_steps(steps)
