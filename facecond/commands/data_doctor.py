"""`facecond data doctor DIR`: what is wrong with a data folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from facecond.commands.arguments import positive_int
from facecond.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond data doctor demo/data --html doctor.html"
    parser.add_argument(
        "root",
        metavar="DIR",
        help="prepared folder, plain folder (images/, masks/, CSV), or CelebAMask-HQ as downloaded",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every finding as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="name the faces at fault in DIR/excluded.txt, which every reader leaves out",
    )
    parser.add_argument("--workers", type=positive_int, help="processes (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Examine, and print what was found; 1 when anything was, 0 when nothing."""
    from facecond.storage import check_file_target, write_json, write_text

    for option, path in (("--json", args.json), ("--html", args.html)):
        if path is not None and not path.parent.is_dir():
            raise UserError(
                "not a place for a file", f"{option} {path}", "Name a file in a folder."
            )
        if path is not None:
            check_file_target(path)
    from facecond.data.doctor.examine import examine
    from facecond.data.doctor.page import html_report, text_table

    report = examine(args.root, args.workers)
    if args.json:
        write_json(args.json, report.as_json())
    if args.html:
        write_text(args.html, html_report(report))
    print(text_table(report))
    if args.fix:
        added = report.quarantine()
        left = sum(not finding.leave_out for finding in report.findings)
        words = f"{len(added)} name{'' if len(added) == 1 else 's'} added"
        print(f"{args.root}/excluded.txt: {words}; findings that need your hand: {left}")
    return 1 if report.findings else 0
