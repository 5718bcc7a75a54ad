"""`facecond evaluate MODEL --data DIR`: scores with ceilings and floors.

Under torchrun (`torchrun --nproc_per_node=N -- tools/evaluate.py MODEL ...`; without the `--` it
takes `--n` for its own) the processes share the sampling; the pictures are those of one process,
bit for bit.
"""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from facecond.commands.arguments import (
    condition_count,
    non_negative_int,
    positive_int,
    sampling_steps,
    source_scales,
)
from facecond.errors import UserError

if TYPE_CHECKING:
    from facecond.data.prepared import PreparedFolder
    from facecond.evaluation.protocol import Evaluation
    from facecond.evaluation.published import Comparison
    from facecond.evaluation.report_parts import Report

RANDOM = "random"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = (
        "example: facecond evaluate demo/run/model --data demo/data --judges demo/judges --n 128"
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model folder")
    parser.add_argument("--data", required=True, metavar="DIR", help="prepared folder")
    parser.add_argument(
        "--judges",
        nargs="+",
        default=["judges"],
        metavar="DIR",
        help="holds parser/ and attributes/; a second one of another seed shows how much the "
        "scores depend on the judge",
    )
    parser.add_argument(
        "--protocol",
        choices=("quick", "full", "references", "papers"),
        default="quick",
        help="quick: masks, attributes, Fréchet distance on up to 512 conditions; full: every "
        "probe on all test faces; references: what is taken from a reference face, on up to 512 "
        "pairs; papers: masks alone, up to 2,000, as published",
    )
    parser.add_argument(
        "--features",
        default="judge",
        metavar="judge|inception:PATH|timm:NAME:PATH",
        help="what distances are taken in beside the judge's features; only Inception gives an FID",
    )
    parser.add_argument(
        "--lpips-trunk",
        default=RANDOM,
        metavar="FILE|random",
        help="torchvision's AlexNet weights for LPIPS; a random trunk is never called LPIPS",
    )
    parser.add_argument(
        "--embedder",
        default="judge",
        metavar="judge|mobilefacenet:PATH",
        help="what tells persons apart, for what leaks of a reference's identity; the judge's "
        "features tell looks more than persons",
    )
    parser.add_argument(
        "--n", type=condition_count, help="test conditions, instead of the protocol's (2 or more)"
    )
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of rows and noise")
    parser.add_argument(
        "--guidance",
        type=source_scales,
        metavar="mask=2,attributes=3",
        help="scale per source in place of the model's own; a source that is not named has 1",
    )
    parser.add_argument("--steps", type=sampling_steps, help="sampling steps")
    parser.add_argument(
        "--routing",
        metavar="FILE|PRESET",
        help="evaluate under another routing, without training; only what was trained may be on",
    )
    parser.add_argument("--batch-size", type=positive_int, default=32, help="faces at a time")
    parser.add_argument("--out", default="evaluation", metavar="DIR", help="folder of the results")
    parser.add_argument("--keep-images", action="store_true", help="save every sample as PNG")
    parser.add_argument(
        "--card", action="store_true", help="write the table into the model's card (README.md)"
    )


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table and write the results."""
    from facecond.evaluation.reference_showcase import write_picture
    from facecond.evaluation.report import write_report

    report = assess(args)
    if report is not None:
        write_report(f"{args.out}/report.html", report)
        print(f"{args.out}/report.html")
        if report.taken is not None:
            write_picture(f"{args.out}/references.png", report.taken)
            print(f"{args.out}/references.png")
    return 0


def assess(args: argparse.Namespace) -> Report | None:
    """Evaluate, write the rows and the table, and return what the report shows; None from all
    processes but the first."""
    from pathlib import Path

    from facecond.card import card_of, write_into_card
    from facecond.data.prepared import PreparedFolder
    from facecond.evaluation import independence
    from facecond.evaluation.gallery import build_report
    from facecond.evaluation.generation import Processes
    from facecond.evaluation.judges import Judges
    from facecond.evaluation.parts import removed_on_fault
    from facecond.evaluation.protocol import evaluate
    from facecond.evaluation.results import write_results
    from facecond.models.face_embedding import load_face_embedder
    from facecond.models.feature_extractors import load_extractor
    from facecond.pipeline import load_pipeline
    from facecond.storage import check_folder_target

    if len(args.judges) > 2:
        raise UserError(f"{len(args.judges)} judges are given", "--judges", "Give one or two.")
    out = Path(args.out)
    check_folder_target(out)
    if args.card:
        card_of(args.model)
    processes = Processes()
    folder = PreparedFolder.open(args.data)
    judges = [Judges.load(Path(place), processes.device) for place in args.judges]
    trained_on = independence.trained_on(args.model, judges)
    judged = independence.check_judges(judges, folder, trained_on)
    if processes.main:
        for warning in judged.warnings:
            print(f"warning: {warning}")
        for note in judged.notes:
            print(f"note: {note}")
    extractor = None
    if args.features != "judge":
        extractor = load_extractor(args.features, judges[0].classifier.model)
    distance = None if args.protocol == "quick" else perceptual_distance(args, processes.device)
    embedding = None
    if args.embedder != "judge":
        embedding = load_face_embedder(args.embedder, device=processes.device)
    pipeline = load_pipeline(args.model).to(processes.device)
    independence.check_evidence(judges, pipeline.evidence_encoder)
    if args.routing:
        pipeline.use_routing(args.routing)
    with removed_on_fault(out / "unfinished", out, out / "images"):
        found = evaluate(
            pipeline,
            folder,
            judges,
            protocol=args.protocol,
            n=args.n,
            seed=args.seed,
            guidance=args.guidance,
            num_inference_steps=args.steps,
            batch_size=args.batch_size,
            extractor=extractor,
            distance=distance,
            embedding=embedding,
            images_out=out / "images" if args.keep_images else None,
            unfinished=out / "unfinished",
        )
    found.provenance["trained_on"] = trained_on
    if not processes.main:
        return None
    comparisons = compare_published(found, folder, trained_on)
    table = write_results(out, found, judged, comparisons)
    print(table)
    if args.card:
        print(write_into_card(args.model, command_of(args), table))
    found.context.parts.clear()
    return build_report(
        found,
        args.model,
        commands=[command_of(args)],
        warnings=judged.warnings,
        notes=judged.notes,
        comparisons=comparisons,
    )


def perceptual_distance(args: argparse.Namespace, device: Any) -> Any:
    """The distance of the diversity probe."""
    from facecond.models.lpips_distance import LpipsDistance

    return LpipsDistance("alex", args.lpips_trunk).to(device)


def compare_published(
    found: Evaluation, folder: PreparedFolder, trained_on: dict[str, str | None]
) -> list[Comparison]:
    """Published figures beside those of the protocol `papers`; nothing for the other protocols."""
    from facecond.evaluation.independence import data_names
    from facecond.evaluation.published import Setting, compare

    told = found.provenance
    if told["protocol"] != "papers":
        return []
    return compare(
        found.rows,
        Setting(
            source=folder.source,
            split=str(folder.manifest.get("details", {}).get("split", "")),
            trained_images=len(folder.indices("generator")),
            n=told["n"],
            image_size=folder.image_size,
            features=told["features"],
            distance=told["perceptual_distance"],
            samples=found.context.amounts.samples,
            trained_on_split=trained_on["the model"] in data_names(folder),
        ),
    )


def command_of(args: argparse.Namespace) -> str:
    """The command line that gives these results."""
    words: list[Any] = ["facecond evaluate", shlex.quote(args.model)]
    words += ["--data", shlex.quote(args.data), "--judges", *map(shlex.quote, args.judges)]
    words += ["--protocol", args.protocol]
    if args.features != "judge":
        words += ["--features", shlex.quote(args.features)]
    if args.embedder != "judge":
        words += ["--embedder", shlex.quote(args.embedder)]
    if args.protocol != "quick" and args.lpips_trunk != RANDOM:
        words += ["--lpips-trunk", shlex.quote(args.lpips_trunk)]
    if args.n:
        words += ["--n", args.n]
    words += ["--seed", args.seed]
    if args.guidance:
        words += ["--guidance", ",".join(f"{s}={w:g}" for s, w in args.guidance.items())]
    if args.steps:
        words += ["--steps", args.steps]
    if args.routing:
        words += ["--routing", shlex.quote(args.routing)]
    words += ["--batch-size", args.batch_size]
    return " ".join(map(str, words))
