"""Probe: does a sample take from a reference face what was asked, and nothing else?

Three askings on pairs of test faces, each with and without the reference:

- `appearance`: the mask and the attributes of geometry of one face, the appearance of another;
- `geometry`: the attributes of appearance of one face, no mask, the geometry of another;
- `both`: no mask, no attributes: the geometry of one picture and the appearance of another.

What is transferred is read from the sample against the reference; what leaks is how far the sample
agrees with the reference in the *other* respect beyond what was asked for. On rendered faces with
planted factors the true answer is a test face too, and bounds the scores from above.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from facecond import metrics
from facecond.evaluation.conditions import images_of, masks_of, noise_seed
from facecond.evaluation.context import Context, Finding, Probe, TooFew
from facecond.evaluation.generation import Arrays, Requests
from facecond.evaluation.reference_pairs import FacePairs, face_pairs
from facecond.evaluation.reference_rows import Measured, Taken, reference_rows
from facecond.evaluation.rows import Row
from facecond.evaluation.survey import reconstruct
from facecond.evaluation.verdicts import judge_attributes, parse
from facecond.labels import ANYTHING
from facecond.models.qformer import WHOLE, source_of
from facecond.models.reference import Reference

ASKINGS: dict[str, tuple[str, ...]] = {
    "appearance": ("appearance",),
    "geometry": ("geometry",),
    "both": ("appearance", "geometry"),
}
"""Asking -> what is taken, each of a picture of its own."""


def taught(pipeline: Any) -> tuple[str, ...]:
    """What a pipeline was taught to take from a reference, and its routing leads somewhere; empty
    where it knows none."""
    encoder = getattr(pipeline, "condition_encoder", None)
    if encoder is None:
        return ()
    return tuple(take for take in encoder.taught if source_of(take) in pipeline.unet.routed)


def instructions(pipeline: Any, asking: str) -> tuple[str, ...]:
    """How a pipeline is told to take this: in words of `ASKINGS`, or `everything` by a model
    without instructions; empty where it was not taught to."""
    known = taught(pipeline)
    if all(take in known for take in ASKINGS[asking]):
        return ASKINGS[asking]
    return (WHOLE,) if WHOLE in known and asking != "both" else ()


def references(context: Context) -> Finding:
    """Rows on what is taken (`appearance_transfer`, `geometry_transfer`), what is kept
    (`layout_adherence`, `appearance_adherence`) and what leaks (`layout_leak`, `appearance_leak`,
    `identity_leak`), see `reference_rows`; shows `Taken`.

    A model that knows no references is measured without one: the line that others must cross.
    """
    pairs = pairs_of(context)
    measured = Measured(
        pairs=pairs,
        folder=context.folder,
        known=context.known,
        real=real_looks(context, pairs),
        partner=metrics.derangement(len(pairs), context.seed),
        seed=context.seed,
    )
    rows: list[Row] = []
    counts: Arrays = {}
    for asking in ASKINGS:
        plain = sample(context, pairs, asking, ())
        takes = instructions(context.pipeline, asking)
        if not takes and taught(context.pipeline):
            continue  # it was taught another asking alone
        made = sample(context, pairs, asking, takes) if takes else plain
        found = reference_rows(measured, asking, made, plain if takes else None)
        rows += [row | {"take": ", ".join(takes) or None} for row in found.rows]
        counts |= found.counts
    return Finding(rows, Taken(pairs, counts))


def measure_references(context: Context) -> None:
    """Real pictures, then samples of all askings, with and without reference."""
    pairs = pairs_of(context)
    real_looks(context, pairs)
    for asking in ASKINGS:
        sample(context, pairs, asking, ())
        if takes := instructions(context.pipeline, asking):
            sample(context, pairs, asking, takes)


def pairs_of(context: Context) -> FacePairs:
    """Pairs on the first conditions."""
    rows = context.rows[: context.amounts.references]
    pairs = face_pairs(context.folder, rows, context.seed)
    if len(pairs) < 2:
        raise TooFew("fewer than two test faces can be paired with a reference")
    return pairs


def sample(context: Context, pairs: FacePairs, asking: str, takes: Sequence[str]) -> Arrays:
    """What `look` sees in the samples of an asking, and how far they lie from the true pictures
    where those are known: `off` and `off_other` (another pair's), mean absolute difference of the
    pixels in [0, 1], [n].

    Args:
        takes: instructions, one per reference; none samples without any, from the same noise.
    """
    folder, size = context.folder, context.folder.image_size
    asked = pairs.asked(folder, asking)
    truths = pairs.mirrored_looks if asking == "geometry" else pairs.looks
    others = truths[metrics.derangement(len(pairs), context.seed)]

    def masks(part: slice) -> np.ndarray:
        if asking == "appearance":
            return masks_of(folder, pairs.targets[part])
        return np.full((part.stop - part.start, size, size), ANYTHING, np.uint8)

    def faces(part: slice) -> list[Reference]:
        return [
            Reference(images_of(folder, pairs.source(asking, take)[part]), take) for take in takes
        ]

    requests = Requests(
        attributes=asked,
        masks=masks,
        seeds=[noise_seed(context.seed, int(row)) for row in pairs.targets],
        references=faces if takes else None,
    )

    def measure(images: np.ndarray, part: slice) -> Arrays:
        found = look(context, pairs)(images, part)
        if pairs.planted:
            found["off"] = apart(images, images_of(folder, truths[part]))
            found["off_other"] = apart(images, images_of(folder, others[part]))
        return found

    name = f"references_{asking}" + ("_taken" if takes else "")
    title = f"{asking} {'of a reference' if takes else 'left open'}"
    return context.parts.get(name, lambda: context.sample(requests, measure, title))


def real_looks(context: Context, pairs: FacePairs) -> dict[str, Arrays]:
    """What `look` sees in the real pictures of each role of the pairs; besides, `off`: how far the
    first stage's reconstructions are from them."""
    rows = {
        role: getattr(pairs, role)
        for role in ("targets", "references", "looks", "mirrored_looks")
        if pairs.planted or not role.endswith("looks")
    }

    def measure(images: np.ndarray, part: slice) -> Arrays:
        found: Arrays = {}
        for role, each in rows.items():
            pictures = images if role == "targets" else images_of(context.folder, each[part])
            seen = look(context, pairs)(pictures, part)
            seen["off"] = apart(reconstruct(context.pipeline, pictures), pictures)
            found |= {f"{role}/{name}": array for name, array in seen.items()}
        return found

    arrays = context.parts.get(
        "references_real", lambda: context.real(pairs.targets, measure, "score real pairs")
    )
    found: dict[str, Arrays] = {role: {} for role in rows}
    for key, array in arrays.items():
        role, _, name = key.partition("/")
        found[role][name] = array
    # Without planted factors the looks are those of one picture and the layout of another.
    same = {"looks": "looks", "layouts": "looks"}
    same |= {"mirrored_looks": "mirrored_looks", "mirrored_layouts": "mirrored_looks"}
    other = {"looks": "references", "layouts": "targets"}
    other |= {"mirrored_looks": "targets", "mirrored_layouts": "references"}
    return found | {to: found[of] for to, of in (same if pairs.planted else other).items()}


def look(context: Context, pairs: FacePairs) -> Callable[[np.ndarray, slice], Arrays]:
    """What the first judges see in pictures that belong to pairs.

    Mask counts [n, 19, 2] against the masks of the `target`, the `reference`, and of another
    pair's (`other_target`, `other_reference`); `disputed` [n, 2], pixels where target and reference
    disagree and those seen as the reference has them; attributes `present` bool [n, 40]; face
    embeddings `embedded` [n, D].
    """
    judges, folder = context.judges[0], context.folder
    partner = metrics.derangement(len(pairs), context.seed)

    def measure(images: np.ndarray, part: slice) -> Arrays:
        parsed = parse(judges.parser.model, images)
        present, features = judge_attributes(judges.classifier.model, images)
        asked = {
            "target": masks_of(folder, pairs.targets[part]),
            "reference": masks_of(folder, pairs.references[part]),
            "other_target": masks_of(folder, pairs.targets[partner[part]]),
            "other_reference": masks_of(folder, pairs.references[partner[part]]),
        }
        counts = {name: metrics.mask_counts(masks, parsed) for name, masks in asked.items()}
        disputed = metrics.disputed_counts(asked["target"], asked["reference"], parsed)
        embedded = features if context.embedding is None else context.embedding(images)
        return counts | {"disputed": disputed, "present": present, "embedded": embedded}

    return measure


def apart(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean absolute difference of pixels in [0, 1] between pictures uint8 [n, S, S, 3], [n]."""
    return np.abs(images.astype(np.int16) - others).mean((1, 2, 3)) / 255


REFERENCES = Probe(measure_references, references)
