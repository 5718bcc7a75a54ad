"""`facecond data faults DIR`: plant faults in copies of a folder and measure the doctor on them."""

from __future__ import annotations

import argparse
from pathlib import Path

from facecond.commands.arguments import positive_int, share_of_one
from facecond.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond data render --layout folder --out photos --count 400 --size 64\n"
        "         facecond data faults photos --share 0.02 --seeds 1 --out faults"
    )
    parser.add_argument("root", metavar="DIR", help="plain folder: images/, masks/, a CSV")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="for the copies")
    parser.add_argument(
        "--share", type=share_of_one, default=0.01, help="of the faces per fault (default 0.01)"
    )
    parser.add_argument("--count", type=positive_int, help="faces to copy (default all)")
    parser.add_argument("--seeds", type=positive_int, default=3, help="plantings (default 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write counts and misses as JSON")
    parser.add_argument("--workers", type=positive_int, help="processes (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Plant, examine, and print the table of what was found."""
    from facecond.data.doctor.trial import run_trial
    from facecond.storage import check_file_target, make_folder, write_json

    if args.json is not None and not args.json.parent.is_dir():
        raise UserError("no such folder", f"--json {args.json.parent}", "Make it first.")
    if args.json is not None:
        check_file_target(args.json)
    make_folder(args.out)
    seeds = range(args.seeds)
    trial = run_trial(args.root, args.out, seeds, args.share, args.count, workers=args.workers)
    if args.json:
        write_json(args.json, trial.as_json())
    print(trial.markdown())
    return 0
