"""`facecond data pairs DIR`: how many reference/target pairs the rules find, before training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecond.commands.arguments import non_negative_int, positive_int, share
from facecond.errors import UserError, nearest

if TYPE_CHECKING:
    from facecond.data.pairs import PairRules, Pairs
    from facecond.data.prepared import PreparedFolder
    from facecond.models.face_embedding import FaceEmbedder

LABELS = ("all", "true")

_RULES: dict[str, tuple[Any, str]] = {
    "classes": (str, "merged: left with right, mouth with lips, jewellery with wearer; all"),
    "max_appearance_distance": (non_negative_int, "appearance: attributes that may differ (1)"),
    "max_mask_miou": (share, "appearance: masks overlap by less than this (0.6)"),
    "min_mask_miou": (share, "geometry: masks overlap by at least this (0.6)"),
    "min_flips": (non_negative_int, "geometry: attributes that must differ (4)"),
    "min_stated": (share, "share of the attributes that both must state (0.75)"),
    "same_person": (float, "cosine of the embedding above which it may be one person (0.3)"),
    "one_person": (float, "cosine above which it surely is one: pairs of identity (0.6)"),
    "max_pairs": (positive_int, "rows to keep per task (200000)"),
    "seed": (non_negative_int, "of which are kept (0)"),
}
"""Rule -> its type, and what its option says."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = "example: facecond data pairs demo/data --out pairs.json"
    parser.add_argument("folder", metavar="DIR", help="prepared folder")
    parser.add_argument("--split", default="generator", help="generator, judges or test")
    parser.add_argument(
        "--labels", default="all", help="all: those that judges gave too; true: the truth alone"
    )
    for name, (kind, words) in _RULES.items():
        metavar = name.rpartition("_")[2].upper()
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=words)
    parser.add_argument(
        "--attributes",
        metavar="A,B",
        help="attributes that tell appearances apart (default: those that a mask leaves open)",
    )
    parser.add_argument(
        "--embedder",
        metavar="SPEC",
        help="tell persons apart by mobilefacenet:FILE, or by the features of the judge: judge",
    )
    parser.add_argument("--classifier", metavar="DIR", help="the judge of `--embedder judge`")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FILE",
        help="keep the pairs for a training with reference.pairs=FILE, and read them again",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write counts and pairs as JSON")


def run(args: argparse.Namespace) -> int:
    """Count, and print."""
    from facecond.storage import check_file_target, write_json

    for option, value, known in (
        ("--labels", args.labels, LABELS),
        ("--split", args.split, ("generator", "judges", "test")),
    ):
        if value not in known:
            raise UserError(f"unknown word '{value}'", option, nearest(value, known))
    for file in (args.out, args.cache):
        if file:
            check_file_target(file)
    from facecond.data.pairs import PairRules, build_pairs
    from facecond.data.prepared import PreparedFolder

    given = {name: getattr(args, name) for name in _RULES if getattr(args, name) is not None}
    if args.attributes:
        given["attributes"] = tuple(name.strip() for name in args.attributes.split(","))
    rules = PairRules(**given)
    folder = PreparedFolder.open(args.folder, labels=args.labels)
    embed = _embedder(args)
    name = "" if embed is None else embed.hash
    pairs = build_pairs(
        folder, args.split, rules, tasks=(), embed=embed, embed_hash=name, cache=args.cache
    )
    print(pairs.describe())
    if pairs.identity != "factors":
        print(f"compared: {', '.join(pairs.attributes)}")
        print(pairs.choices())
    if args.out:
        write_json(args.out, as_json(folder, rules, pairs))
    return 0


def as_json(folder: PreparedFolder, rules: PairRules, pairs: Pairs) -> dict[str, Any]:
    """Counts, rules and the kept pairs by name, as JSON values."""
    from dataclasses import asdict

    names = [folder.names[index] for index in folder.indices(pairs.split)]
    kept = {
        task: [[names[reference], names[target]] for reference, target in pairs.rows[task].tolist()]
        for task in ("appearance", "geometry", "identity")
    }
    return {
        "schema": "facecond.pairs.json/1",
        "data_hash": folder.data_hash,
        "split": pairs.split,
        "rules": asdict(rules),
        "compared": list(pairs.attributes),
        "persons": pairs.identity,
        "counts": pairs.counts,
        "sizes": pairs.sizes,
        "notes": list(pairs.notes),
        "pairs": kept,
    }


def _embedder(args: argparse.Namespace) -> FaceEmbedder | None:
    if not args.embedder:
        return None
    import torch

    from facecond.models.face_embedding import load_face_embedder
    from facecond.models.judges import load_classifier

    device = "cuda" if torch.cuda.is_available() else "cpu"
    judge = None
    if args.embedder == "judge":
        if not args.classifier:
            raise UserError("needs a judge", "--embedder judge", "Add --classifier DIR.")
        judge = load_classifier(args.classifier)
        judge.to(device)
    return load_face_embedder(args.embedder, judge, device)
