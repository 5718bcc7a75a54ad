"""`facecond evaluate MODEL --data DIR`: scores with ceilings and floors."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from facecond.commands.arguments import (
    condition_count,
    non_negative_int,
    positive_int,
    sampling_steps,
    source_scales,
)

if TYPE_CHECKING:
    from facecond.data.prepared import PreparedFolder
    from facecond.evaluation.protocol import Evaluation
    from facecond.evaluation.report import Report
    from facecond.pipeline import FacePipeline

PROTOCOLS = {"quick": 512, "full": None}
"""Test conditions of each protocol; None = every test face that has mask and attributes."""

EXAMPLES = 8
"""Conditions shown in the report."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", metavar="MODEL", help="a saved model folder")
    parser.add_argument("--data", required=True, metavar="DIR", help="prepared folder")
    parser.add_argument(
        "--judges", default="judges", metavar="DIR", help="holds parser/ and attributes/"
    )
    parser.add_argument(
        "--protocol",
        choices=tuple(PROTOCOLS),
        default="quick",
        help="quick: up to 512 test conditions; full: all of them",
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
    parser.add_argument("--batch-size", type=positive_int, default=32, help="faces at a time")
    parser.add_argument("--out", default="evaluation", metavar="DIR", help="folder of the results")
    parser.add_argument("--keep-images", action="store_true", help="save every sample as PNG")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table and write the results."""
    from facecond.evaluation.report import write_report

    report = assess(args)
    write_report(f"{args.out}/report.html", report)
    print(f"{args.out}/report.html")
    return 0


def assess(args: argparse.Namespace) -> Report:
    """Evaluate, write the rows and the table, and return what the report shows."""
    from pathlib import Path

    import torch

    from facecond.data.prepared import PreparedFolder
    from facecond.evaluation import rows as result_rows
    from facecond.evaluation.protocol import evaluate
    from facecond.models.judges import load_classifier, load_parser
    from facecond.pipeline import load_pipeline
    from facecond.storage import make_folder, write_json, write_text

    out = make_folder(args.out)
    folder = PreparedFolder.open(args.data)
    parser = load_parser(Path(args.judges) / "parser")
    classifier = load_classifier(Path(args.judges) / "attributes")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = load_pipeline(args.model).to(device)
    parser.to(device), classifier.to(device)
    found = evaluate(
        pipeline,
        folder,
        parser,
        classifier,
        n=args.n or PROTOCOLS[args.protocol],
        or_fewer=not args.n,
        seed=args.seed,
        guidance=args.guidance,
        num_inference_steps=args.steps,
        batch_size=args.batch_size,
        keep=EXAMPLES,
        images_out=out / "images" if args.keep_images else None,
    )
    trained_on = data_trained_on(args)
    found.provenance["trained_on"] = trained_on
    foreign = [name for name, data in trained_on.items() if data != folder.data_hash]
    if foreign:
        print(
            f"note: trained on other data than {args.data}: {', '.join(foreign)}; whether it holds "
            "pictures of the test split is for you to know"
        )
    result_rows.append_rows(out / "results.jsonl", found.rows)
    write_json(out / "results.json", result_rows.summary(found.rows) | found.provenance)
    table = result_rows.markdown(found.rows)
    write_text(out / "results.md", table)
    print(table)
    return report_of(args, pipeline, folder, found, list(classifier.config["attributes"]))


def data_trained_on(args: argparse.Namespace) -> dict[str, str | None]:
    """Hash of the data that the model and the judges were trained on; None where it is not told."""
    from pathlib import Path

    from facecond.storage import read_json

    files = {
        "the model": Path(args.model) / "provenance.json",
        "the parser": Path(args.judges) / "parser" / "scores.json",
        "the attribute classifier": Path(args.judges) / "attributes" / "scores.json",
    }
    return {
        name: read_json(file).get("data_hash") if file.is_file() else None
        for name, file in files.items()
    }


def report_of(
    args: argparse.Namespace,
    pipeline: FacePipeline,
    folder: PreparedFolder,
    found: Evaluation,
    names: list[str],
) -> Report:
    """The page's content: examples, one thing changed at a time, scores, routing, learning curves.

    `names` are the attributes that the classifier knows.
    """
    import shlex
    from dataclasses import asdict
    from pathlib import Path

    import numpy as np
    import torch

    from facecond.evaluation import showcase
    from facecond.evaluation.curves import read_curves
    from facecond.evaluation.report import Examples, Report, Routing, describe
    from facecond.labels import ATTRIBUTES

    table = pipeline.unet.routing
    shown = found.indices[: len(found.samples)]
    words: list[Any] = ["facecond evaluate", shlex.quote(args.model)]
    words += ["--data", shlex.quote(args.data), "--judges", shlex.quote(args.judges)]
    words += ["--n", len(found.indices), "--seed", args.seed]
    if args.guidance:
        words += ["--guidance", ",".join(f"{s}={w:g}" for s, w in args.guidance.items())]
    if args.steps:
        words += ["--steps", args.steps]
    words += ["--batch-size", args.batch_size]
    settings = {"guidance": args.guidance, "num_inference_steps": args.steps}
    sample = showcase.Sampler(pipeline, args.seed, settings)
    bare = showcase.bare_headed(folder, found.indices)
    shape = (1, folder.image_size, folder.image_size)
    tokens = pipeline.condition_encoder(
        torch.zeros(1, len(ATTRIBUTES), dtype=torch.int8, device=pipeline.device),
        torch.zeros(shape, dtype=torch.uint8, device=pipeline.device),
    )
    return Report(
        title="How well the model follows its conditions",
        introduction=f"{len(found.indices)} faces sampled for conditions of the test split, read "
        "by two judges, which are trained on a split of their own.",
        rows=found.rows,
        examples=Examples(
            masks=np.stack([folder.mask(int(i)) for i in shown]),
            attributes=[describe(folder.attributes[i]) for i in shown],
            real=np.stack([folder.image(int(i)) for i in shown]),
            samples=found.samples[:, None],
            parsed=found.parsed,
        ),
        toggles=showcase.toggles(sample, folder, bare, names),
        shared=showcase.shared_attributes(sample, folder, found.indices[1:7], names),
        partial=showcase.partial_masks(sample, folder, bare),
        token_counts={source: value.shape[1] for source, value in tokens.items()},
        curves=read_curves(Path(args.model).parent / "metrics.jsonl"),
        routing=Routing(
            layers=[asdict(layer) for layer in table.layers],
            sources=table.sources,
            gates=table.gates(),
        ),
        commands=[" ".join(map(str, words))],
        provenance=found.provenance,
    )
