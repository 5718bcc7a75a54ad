"""`facecond evaluate MODEL --data DIR`: scores with ceilings and floors."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from facecond.commands.arguments import non_negative_int, positive_int, source_scales

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
        help="quick: 512 test conditions; full: all of them",
    )
    parser.add_argument("--n", type=positive_int, help="test conditions, instead of the protocol's")
    parser.add_argument("--seed", type=non_negative_int, default=0, help="of rows and noise")
    parser.add_argument(
        "--guidance", type=source_scales, help="scale by source, e.g. mask=2,attributes=3"
    )
    parser.add_argument("--steps", type=positive_int, help="sampling steps")
    parser.add_argument("--batch-size", type=positive_int, default=64, help="faces at a time")
    parser.add_argument("--out", default="evaluation", metavar="DIR", help="folder of the results")
    parser.add_argument("--keep-images", action="store_true", help="save every sample as PNG")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table and write the results."""
    from pathlib import Path

    from facecond.data.prepared import PreparedFolder
    from facecond.evaluation import rows as result_rows
    from facecond.evaluation.protocol import evaluate
    from facecond.evaluation.report import write_report
    from facecond.models.judges import load_classifier, load_parser
    from facecond.pipeline import load_pipeline
    from facecond.storage import make_folder, write_json, write_text

    out = make_folder(args.out)
    folder = PreparedFolder.open(args.data)
    parser = load_parser(Path(args.judges) / "parser")
    classifier = load_classifier(Path(args.judges) / "attributes")
    pipeline = load_pipeline(args.model)
    found = evaluate(
        pipeline,
        folder,
        parser,
        classifier,
        n=args.n or PROTOCOLS[args.protocol],
        seed=args.seed,
        guidance=args.guidance,
        num_inference_steps=args.steps,
        batch_size=args.batch_size,
        keep=EXAMPLES,
        images_out=out / "images" if args.keep_images else None,
    )
    result_rows.append_rows(out / "results.jsonl", found.rows)
    write_json(out / "results.json", result_rows.summary(found.rows) | found.provenance)
    table = result_rows.markdown(found.rows)
    write_text(out / "results.md", table)
    write_report(out / "report.html", report_of(args, pipeline, folder, found))
    print(table)
    print(f"{out / 'report.html'}")
    return 0


def report_of(
    args: argparse.Namespace, pipeline: FacePipeline, folder: PreparedFolder, found: Evaluation
) -> Report:
    """The page's content: examples, scores, the model's routing, its learning curves if there."""
    import shlex
    from dataclasses import asdict
    from pathlib import Path

    import numpy as np

    from facecond.evaluation.report import Examples, Report, Routing, describe, read_curves

    table = pipeline.unet.routing
    shown = found.indices[: len(found.samples)]
    words: list[Any] = ["facecond evaluate", shlex.quote(args.model)]
    words += ["--data", shlex.quote(args.data), "--judges", shlex.quote(args.judges)]
    words += ["--n", len(found.indices), "--seed", args.seed]
    if args.guidance:
        words += ["--guidance", ",".join(f"{s}={w:g}" for s, w in args.guidance.items())]
    if args.steps:
        words += ["--steps", args.steps]
    return Report(
        title="How well the model follows its conditions",
        introduction=f"{len(found.indices)} faces sampled for conditions of the test split, read "
        "by two judges that never saw the generator's pictures.",
        rows=found.rows,
        examples=Examples(
            masks=np.stack([folder.mask(int(i)) for i in shown]),
            attributes=[describe(folder.attributes[i]) for i in shown],
            real=np.stack([folder.image(int(i)) for i in shown]),
            samples=found.samples[:, None],
            parsed=found.parsed,
        ),
        curves=read_curves(Path(args.model).parent / "metrics.jsonl"),
        routing=Routing(
            layers=[asdict(layer) for layer in table.layers],
            sources=table.sources,
            gates=table.gates(),
        ),
        commands=[" ".join(map(str, words))],
        provenance=found.provenance,
    )
