"""`facecond evaluate first-stage STAGE --data DIR`: what a first stage loses."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from facecond.commands.arguments import condition_count, non_negative_int, positive_int
from facecond.errors import UserError

if TYPE_CHECKING:
    from facecond.models.judges import AttributeClassifier, FaceParser

FETCH = "fetch"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond evaluate first-stage demo/run/model --data demo/data \\\n"
        "             --judges demo/judges"
    )
    parser.add_argument(
        "stage",
        metavar="STAGE",
        help="a first stage or model that was trained here, an autoencoder of diffusers (folder or "
        "hub id), or 'linear', fitted to the data",
    )
    parser.add_argument("--data", required=True, metavar="DIR", help="prepared folder")
    parser.add_argument(
        "--judges", metavar="DIR", help="holds parser/, attributes/ or both (default: no judges)"
    )
    parser.add_argument("--net", default="alex", help="network of LPIPS: alex, vgg, squeeze")
    parser.add_argument(
        "--trunk",
        metavar="FILE|fetch|random",
        help="torchvision's weights of that network: a file, or fetched; 'random' leaves it "
        "untrained, which is not LPIPS (default: no perceptual distance)",
    )
    parser.add_argument("--patch-size", type=positive_int, default=4, help="of 'linear' (4)")
    parser.add_argument("--latent-channels", type=positive_int, default=12, help="of 'linear' (12)")
    parser.add_argument("--n", type=condition_count, help="test pictures (default: all)")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of the rows")
    parser.add_argument("--batch-size", type=positive_int, default=32, help="pictures at a time")
    parser.add_argument("--out", default="first_stage", metavar="DIR", help="folder of the results")


def run(args: argparse.Namespace) -> int:
    """Reconstruct, print the table and write the results."""
    import shlex
    from pathlib import Path

    import torch

    from facecond.data.prepared import PreparedFolder
    from facecond.evaluation.reconstruction import assess_stage
    from facecond.evaluation.reconstruction_report import markdown, page, summary
    from facecond.evaluation.stage_opening import open_stage
    from facecond.models.lpips_distance import LpipsDistance
    from facecond.storage import (
        check_folder_target,
        make_folder,
        read_json,
        write_json,
        write_text,
    )

    check_folder_target(args.out)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = PreparedFolder.open(args.data)
    parser, classifier = _judges(args.judges)
    distance = None
    if args.trunk:
        distance = LpipsDistance(args.net, "" if args.trunk == FETCH else args.trunk).to(device)
    for judge in (parser, classifier):
        if judge is not None:
            judge.to(device)
    stage = open_stage(args.stage, folder, args.patch_size, args.latent_channels)
    report = assess_stage(
        stage,
        folder,
        parser=parser,
        classifier=classifier,
        distance=distance,
        n=args.n,
        seed=args.seed,
        batch_size=args.batch_size,
    )
    origin = Path(args.stage) / "provenance.json"
    report.provenance["stage"] = args.stage
    report.provenance["trained_on"] = (
        read_json(origin).get("data_hash") if origin.is_file() else None
    )
    out = make_folder(args.out)
    words = ["facecond", "evaluate", "first-stage", args.stage, "--data", args.data]
    words += ["--judges", args.judges] if args.judges else []
    words += ["--net", args.net, "--trunk", args.trunk] if args.trunk else []
    if args.stage == "linear":
        words += ["--patch-size", args.patch_size, "--latent-channels", args.latent_channels]
    words += ["--n", report.provenance["n"], "--seed", args.seed, "--batch-size", args.batch_size]
    command = " ".join(shlex.quote(str(word)) for word in words)
    write_json(out / "results.json", summary(report))
    table = markdown(report)
    write_text(out / "results.md", table)
    write_text(out / "report.html", page("What the first stage loses", report, command))
    print(f"{table}\n{out}/report.html")
    return 0


def _judges(place: str | None) -> tuple[FaceParser | None, AttributeClassifier | None]:
    """Those of the two judges that the folder holds."""
    from pathlib import Path

    from facecond.models.judges import load_classifier, load_parser

    if place is None:
        return None, None
    folders = Path(place) / "parser", Path(place) / "attributes"
    if not any(folder.is_dir() for folder in folders):
        fix = "Train judges with 'facecond train judge'."
        raise UserError("holds neither parser/ nor attributes/", place, fix)
    parser = load_parser(folders[0]) if folders[0].is_dir() else None
    classifier = load_classifier(folders[1]) if folders[1].is_dir() else None
    return parser, classifier
