"""`facecond evaluate judge parser|attributes JUDGE --data DIR`: check a judge before its use."""

from __future__ import annotations

import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond evaluate judge parser demo/judges/parser --data demo/data"
    parser.add_argument("kind", choices=("parser", "attributes"), help="which judge it is")
    parser.add_argument("judge", metavar="JUDGE", help="its folder, or a public parser's file")
    parser.add_argument("--data", required=True, metavar="DIR", help="prepared folder, true labels")
    parser.add_argument(
        "--split", default="test", choices=("generator", "judges", "test"), help="default: test"
    )
    parser.add_argument("--json", metavar="FILE", help="write the scores here too")


def run(args: argparse.Namespace) -> int:
    """Score the judge on real pictures with true labels; print the table."""
    from pathlib import Path

    import torch

    from facecond.data.prepared import PreparedFolder
    from facecond.errors import UserError
    from facecond.evaluation.judges import own_scores
    from facecond.models.judges import load_classifier, load_parser, weights_file
    from facecond.storage import check_file_target, make_folder, sha256, write_json
    from facecond.training.judge_faces import read_faces
    from facecond.training.judge_scores import score_classifier, score_parser

    if args.json:
        check_file_target(args.json)
    folder = PreparedFolder.open(args.data)
    model = (load_parser if args.kind == "parser" else load_classifier)(args.judge)
    size = model.config["image_size"]
    if size not in (0, None, folder.image_size):
        raise UserError(
            f"this judge is for {size} px, these faces have {folder.image_size} px",
            args.judge,
            "Prepare the faces at that size.",
        )
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    faces = read_faces(folder, args.kind, progress=True, split=args.split, fewest=1)
    score = score_parser if args.kind == "parser" else score_classifier
    scores = score(model, faces)
    own, weights = own_scores(args.judge), weights_file(args.judge)
    scores |= {
        "kind": args.kind,
        "judge": str(args.judge),
        "weights_sha256": None if weights is None else sha256(weights),
        "split": args.split,
        "n": len(faces),
        "image_size": folder.image_size,
        "data_hash": folder.data_hash,
    }
    headline = "mask_miou" if args.kind == "parser" else "attribute_bacc"
    for name, value in scores["per_class" if args.kind == "parser" else "per_attribute"].items():
        print(f"{name:<20} {value:.3f}")
    print(f"{headline} {scores[headline]} on {len(faces)} faces of the {args.split} split")
    learned = ("judges", "generator") if own.get("split") == "training" else ("judges",)
    if args.split in learned and own.get("data_hash") == folder.data_hash:
        print("note: the judge learned from this split; the score says little")
    if args.json:
        make_folder(Path(args.json).parent)
        write_json(args.json, scores)
    return 0
