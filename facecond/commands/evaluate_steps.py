"""`facecond evaluate steps MODEL --data DIR`: quality and time by solver and number of steps."""

from __future__ import annotations

import argparse

from facecond.commands.arguments import (
    condition_count,
    non_negative_int,
    positive_int,
    sampling_steps,
    source_scales,
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    parser.epilog = (
        "example: facecond evaluate steps demo/run/model --data demo/data --judges demo/judges \\\n"
        "             --steps 4,8,20"
    )
    add("model", metavar="MODEL", help="a saved model folder")
    add("--data", required=True, metavar="DIR", help="prepared folder")
    add("--judges", default="judges", metavar="DIR", help="holds parser/ and attributes/")
    add("--steps", type=_steps, default=_steps("2,4,6,8,12,20,50"), metavar="2,4,8",
        help="numbers of steps (2,4,6,8,12,20,50)")  # fmt: skip
    add("--schedulers", type=_names, default=_names("unipc,euler,heun,dpm++"), metavar="NAMES",
        help="solvers (unipc,euler,heun,dpm++)")  # fmt: skip
    add(
        "--feature-reuse",
        type=_steps,
        default=[1],
        metavar="1,2",
        help="also with the deep blocks run at every N-th step only (1: at every step)",
    )
    add("--few-step", metavar="MODEL", help="a model distilled from it, in the same table")
    add("--guidance", type=source_scales, metavar="mask=2", help="in place of the model's own")
    add("--n", type=condition_count, default=256, help="test conditions (256)")
    add("--seed", type=non_negative_int, default=0, help="of rows and noise")
    add("--batch-size", type=positive_int, default=32, help="faces at a time")
    add("--out", default="steps", metavar="DIR", help="folder; a stopped table goes on there")


def _steps(text: str) -> list[int]:
    return sorted({sampling_steps(word) for word in text.split(",")})


def _names(text: str) -> list[str]:
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not names:
        raise argparse.ArgumentTypeError(f"must name a solver, not '{text}'")
    return names


def run(args: argparse.Namespace) -> int:
    """Measure what is missing; print and write the table."""
    import json

    from facecond.data.prepared import PreparedFolder
    from facecond.evaluation.generation import Processes
    from facecond.evaluation.judges import Judges
    from facecond.evaluation.step_table import StepTable, step_rows, step_table, table_path
    from facecond.pipeline import load_pipeline
    from facecond.storage import make_folder, read_json_lines, write_text

    device = Processes().device
    folder = PreparedFolder.open(args.data)
    pipeline = load_pipeline(args.model).to(device)
    few_step = load_pipeline(args.few_step).to(device) if args.few_step else None
    judges = Judges.load(args.judges, device)
    out = make_folder(args.out)
    path = table_path(out)
    rows = read_json_lines(path) if path.is_file() else []
    table = StepTable(
        pipeline, folder, judges, args.schedulers, args.steps, args.n, args.seed, args.guidance,
        args.batch_size, few_step, args.feature_reuse,
    )  # fmt: skip
    for row in step_rows(table, rows):
        rows.append(row)
        write_text(path, "".join(json.dumps(each) + "\n" for each in rows))
        write_text(out / "steps.md", step_table(table.own(rows)))
    told = step_table(table.own(rows))
    write_text(out / "steps.md", told)
    print(told, end="")
    return 0
