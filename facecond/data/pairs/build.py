"""Builds the pairs of a split, or reads them where the same were built before."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from facecond.data.pairs.compare import merged_labels
from facecond.data.pairs.persons import Embed, Persons, check_shown_twice, leaks, likenesses
from facecond.data.pairs.result import SCHEMA, Pairs, read_pairs, write_pairs
from facecond.data.pairs.rules import TASKS, USUAL, PairRules
from facecond.data.pairs.search import Found, search_faces, search_factors
from facecond.data.pictures import resize_mask
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError, nearest
from facecond.labels import UNSPECIFIED, attribute_index
from facecond.storage import make_folder

GRID = 32
"""Side at which masks are compared."""

_KNOBS = {
    "appearance": "Raise pairs.max_appearance_distance or pairs.max_mask_miou, lower "
    "pairs.min_stated",
    "geometry": "Lower pairs.min_mask_miou or pairs.min_flips, compare the merged classes",
    "identity": "Use data with more pictures per person, raise pairs.max_mask_miou",
    "reconstruction": "Use a larger split",
}


def build_pairs(
    folder: PreparedFolder,
    split: str,
    rules: PairRules,
    *,
    tasks: Sequence[str] = USUAL,
    embed: Embed | None = None,
    embed_hash: str = "",
    cache: str | Path | None = None,
) -> Pairs:
    """Find and count the pairs of a split, for every task.

    - appearance: different persons whose compared attributes differ in at most
      `max_appearance_distance`, of those that both state, and whose masks have a mean IoU below
      `max_mask_miou`;
    - geometry: different persons whose masks have at least `min_mask_miou` and of whose compared
      attributes at least `min_flips` differ;
    - identity: two pictures of one person, by the file or a cosine above `one_person`, whose masks
      have a mean IoU below `max_mask_miou`: no copies;
    - reconstruction: each face with itself.

    Where the folder has planted factors, they decide instead: the same appearance and another
    geometry, or the same geometry and another appearance, whatever the masks and attributes say.

    Args:
        folder: the prepared data; opened with the labels of judges, those count as attributes.
        split: generator, judges or test.
        rules: thresholds, attributes, limits.
        tasks: those that must have `min_pairs`.
        embed: tells persons apart where the folder has no identities; see `Embed`.
        embed_hash: names the embedding, for the cache.
        cache: file that keeps the result; a stale or damaged one is replaced, after a line that
            says so. None keeps nothing.

    Raises:
        UserError: the split is empty, a task is unknown or has too few pairs, nobody is known to
            be shown twice (`identity` alone), or `cache` cannot be written.
    """
    for task in tasks:
        if task not in TASKS:
            raise UserError(f"unknown task '{task}'", "pairs", nearest(task, TASKS))
    if "identity" in tasks:
        check_shown_twice(folder, embed is not None)
    asked = embed is not None and folder.identities is None and folder.factors is None
    made_from = {
        "schema": SCHEMA,
        "data_hash": folder.data_hash,
        "split": split,
        "rules": asdict(rules) | {"min_pairs": 0, "compared": rules.compared(folder)},
        "embedding": embed_hash if asked else None,
    }
    pairs = _stored(cache, made_from)
    if pairs is None:
        pairs = _built(folder, split, rules, embed)
        if cache is not None:
            make_folder(Path(cache).parent)
            write_pairs(Path(cache), pairs, made_from)
    _check_counts(pairs, tasks, rules.min_pairs, folder)
    return pairs


def _stored(cache: str | Path | None, made_from: dict[str, Any]) -> Pairs | None:
    if cache is None or not Path(cache).exists():
        return None
    try:
        return read_pairs(Path(cache), made_from)
    except UserError as error:
        tqdm.write(f"{error.where}: {error.what}; building them anew")
        return None


def _built(folder: PreparedFolder, split: str, rules: PairRules, embed: Embed | None) -> Pairs:
    indices = folder.indices(split)
    names = rules.compared(folder)
    columns = [attribute_index(name) for name in names]
    attributes = folder.attributes[indices][:, columns]
    stated = (attributes != UNSPECIFIED) & folder.has_mask[indices, None]
    true = stated & ~folder.attribute_predicted[indices][:, columns]
    enough = rules.min_stated * len(names)
    notes = leaks(folder)
    if folder.factors is not None:
        planted = [folder.factors.get(folder.names[index]) for index in indices]
        usable = np.array([i for i, factors in enumerate(planted) if factors], np.int64)
        found = search_factors([factors for factors in planted if factors], rules)
        identity = "factors"
    else:
        usable = np.flatnonzero(folder.has_mask[indices])
        persons = Persons.of(folder, indices[usable], embed)
        masks = small_masks(folder, indices[usable])
        masks = merged_labels(masks) if rules.classes == "merged" else masks
        found = search_faces(masks, attributes[usable], persons, rules)
        identity = persons.known_by
        notes += _unsure(folder, indices, identity)
        if embed is not None and persons.vectors is not None:
            notes += likenesses(folder, split, persons.vectors, embed, rules.one_person)
    each = np.arange(len(indices), dtype=np.int64)
    return Pairs(
        split=split,
        faces=len(indices),
        rows=_placed(found, usable) | {"reconstruction": np.stack([each, each], 1)},
        counts={**found.counts, "reconstruction": len(indices)},
        identity=identity,
        attributes=names,
        tables=found.tables,
        notes=tuple(notes),
        sizes={
            "masked": int(folder.has_mask[indices].sum()),
            "stated": int((stated.sum(1) >= enough).sum()),
            "true_stated": int((true.sum(1) >= enough).sum()),
        },
    )


def _unsure(folder: PreparedFolder, indices: np.ndarray, known_by: str) -> list[str]:
    """Sentences on faces that may be one person and count as two."""
    if known_by == "unknown" and folder.source != "rendered":  # every drawn face is another
        return ["who is who is not known: pairs may show the same person twice"]
    people = folder.identities or {}
    nameless = sum(folder.names[index] not in people for index in indices)
    if known_by == "file" and nameless:
        return [f"{nameless} of {len(indices)} faces have no identity: each counts as another"]
    return []


def small_masks(folder: PreparedFolder, indices: np.ndarray) -> np.ndarray:
    """Masks of these rows of the folder, uint8 [n, P]: at most GRID x GRID pixels each."""
    side = min(GRID, folder.image_size)

    def small(index: int) -> np.ndarray:
        return resize_mask(folder.mask(index), side).reshape(-1)

    if not len(indices):
        return np.zeros((0, side * side), np.uint8)
    with ThreadPoolExecutor(4) as readers:
        read = readers.map(small, indices.tolist())
        return np.stack(list(tqdm(read, total=len(indices), desc="masks", unit="img")))


def _placed(found: Found, usable: np.ndarray) -> dict[str, np.ndarray]:
    """Rows as positions in the split."""
    return {task: usable[rows] for task, rows in found.rows.items()}


def _check_counts(pairs: Pairs, tasks: Sequence[str], least: int, folder: PreparedFolder) -> None:
    for task in tasks:
        if (count := pairs.counts[task]) < least:
            sizes = pairs.sizes
            what = (
                f"{count} pairs for the task {task} in the split {pairs.split}, {least} wanted "
                f"(of {pairs.faces} faces {sizes['masked']} have a mask and {sizes['stated']} "
                "enough attributes)"
            )
            knobs = _KNOBS[task]
            if pairs.identity == "factors" and task != "reconstruction":
                knobs = "Render more faces with --variations"
            raise UserError(what, folder.root, f"{knobs}, or lower pairs.min_pairs.")
