"""`facecond data label DIR`: fill missing attributes and masks with judges, flagged."""

from __future__ import annotations

import argparse
from typing import Any

from facecond.commands.arguments import share

SHIFT = 0.05
"""Least difference between two rates that is said."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond data render --out more --count 600 --size 64 --seed 1\n"
        "         facecond data label more --parser demo/judges/parser \\\n"
        "             --attributes demo/judges/attributes"
    )
    parser.add_argument("folder", metavar="DIR", help="prepared folder")
    parser.add_argument("--parser", metavar="DIR", help="parser, for faces without mask")
    parser.add_argument(
        "--attributes", metavar="DIR", help="classifier, for attributes that are unspecified"
    )
    parser.add_argument(
        "--min-confidence",
        type=share,
        default=0.8,
        metavar="X",
        help="leave attributes open that are less certain than this (0.8)",
    )


def run(args: argparse.Namespace) -> int:
    """Label, and say what was checked and what was filled."""
    import torch

    from facecond.data.prepared import PreparedFolder
    from facecond.errors import UserError
    from facecond.evaluation.annotate import label_folder
    from facecond.evaluation.judges import open_classifier, open_parser

    if not (args.parser or args.attributes):
        raise UserError(
            "no judge is given", "facecond data label", "Add --parser, --attributes or both."
        )
    folder = PreparedFolder.open(args.folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"

    manifest = label_folder(
        folder,
        open_parser(args.parser, device) if args.parser else None,
        open_classifier(args.attributes, device) if args.attributes else None,
        min_confidence=args.min_confidence,
    )
    if args.attributes:
        print(attribute_table(manifest["attributes"]))
    if args.parser:
        print(mask_table(manifest["masks"]))
    print(PreparedFolder.open(args.folder, labels="all").summary())
    return 0


def attribute_table(section: dict[str, Any]) -> str:
    """What the check of the attributes found, and how many values were filled."""
    head = ("attribute", "accuracy", "95 % interval", "filled", "present", "confidence", "")
    rows = [head]
    for name, found in section["per_attribute"].items():
        interval = f"{_share(found['low'])} to {_share(found['high'])}" if found["low"] else "-"
        rows.append(
            (
                name,
                _share(found["accuracy"]),
                interval,
                str(found["filled"]) if found["used"] else "left open",
                str(found["filled_present"]) if found["used"] else "",
                _share(found["mean_confidence"]) if found["used"] else "",
                found["left_open"] or "",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *map(str.rjust, row[1:-1], widths[1:-1]), row[-1]]
        ).rstrip()
        for row in rows
    ]
    every = section["per_attribute"].values()
    here = [found["accuracy"] for found in every if found["checked_on"] == "folder"]
    if here:
        made, own = section["calibration"], section["scores"].get("attribute_bacc")
        lines.append(
            f"attributes: checked on {section['faces_checked']} faces with true attributes: "
            f"balanced accuracy {_share(sum(here) / len(here))}"
            f"{f' (its own validation: {_share(own)})' if own else ''}; "
            f"{sum(found['used'] for found in every)} of {len(every)} are used; "
            f"confidence {_share(made['mean_confidence'])}, right {_share(made['share_right'])}, "
            f"expected calibration error {_share(made['error'])} (cross-fitted)"
        )
    else:
        lines.append(
            "warning: no true attributes to check this judge on; how often its values are right is "
            "known of its own held-out faces, and holds only for pictures of that kind among which "
            "an attribute is as common"
        )
    if unlike := _unlike_rates(section):
        lines.append(
            "warning: these attributes are read here at another rate than among the faces that the "
            f"confidence comes from (here, there), so it may be wrong: {unlike}"
        )
    lines.append(
        f"attributes: {sum(found['filled'] for found in every)} values filled in "
        f"{section['faces_filled']} faces (at least {section['min_confidence']:g} certain)"
    )
    return "\n".join(lines)


def _unlike_rates(section: dict[str, Any]) -> str:
    """Attributes that are used, and read at a rate that is far from the base rate; with both."""
    told = []
    for name, found in section["per_attribute"].items():
        if found["used"] and found["read_rate"] is not None:
            here, there = found["read_rate"], found["base_rate"]
            if abs(here - there) > max(SHIFT, min(there, 1 - there) / 2):
                told.append(f"{name} ({here:.2f}, {there:.2f})")
    return ", ".join(told)


def mask_table(section: dict[str, Any]) -> str:
    """What the check of the masks found, and how many were filled."""
    found, lines = section["check"], []
    if found:
        open_classes = [n for n, one in found["per_class"].items() if not one["used"]]
        lines.append(
            f"masks: checked on {found['faces']} true masks: mIoU {_share(found['mask_miou'])} "
            f"({_share(found['low'])} to {_share(found['high'])}), "
            f"{_share(found['pixel_accuracy'])} of the pixels right, "
            f"{_share(found['mean_confidence'])} expected; "
            f"left open: {', '.join(open_classes) or 'no class'}"
        )
    else:
        lines.append("warning: no true masks to check the parser on; its confidence is its own")
    sure = section["mean_confidence"]
    lines.append(
        f"masks: {section['faces_filled']} filled"
        + (f", mean confidence {_share(sure)}" if sure else "")
    )
    return "\n".join(lines)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
