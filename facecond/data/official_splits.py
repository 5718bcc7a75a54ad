"""The splits of CelebAMask-HQ that papers use, brought to generator, judges and test.

papers-27000   ids from 27,000 on are the test split (3,000 faces)
papers-28000   ids from 28,000 on are the test split (2,000 faces)
celeba         CelebA's official partition: train, validation, test -> generator, judges, test
random         drawn by share, as for any other data

Papers train their judges elsewhere, so in the paper splits the judges' share is taken out of the
training ids: their test conditions stay as published, and no judge has seen a generator's face.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facecond.data.raw_layout import COUNT, MAPPING, PARTITION, name_of
from facecond.data.splits import assign_splits, check_shares
from facecond.data.writing import SPLITS
from facecond.errors import UserError

PAPER_SPLITS: dict[str, int] = {"papers-27000": 27_000, "papers-28000": 28_000}
"""Name -> first id of the test split."""

SPLIT_NAMES: tuple[str, ...] = (*PAPER_SPLITS, "celeba", "random")

_LAST_TRAIN, _LAST_VALIDATION = 162_770, 182_637


def official_part(celeba_name: str) -> int:
    """CelebA's partition (0 train, 1 validation, 2 test) of a CelebA name, such as "119614".

    `list_eval_partition.txt` goes by the number alone: 1-162770, 162771-182637, 182638-202599.
    """
    number = int(celeba_name)
    return (number > _LAST_TRAIN) + (number > _LAST_VALIDATION)


def paper_split(
    ids: Sequence[int],
    first_test: int,
    seed: int,
    judges_fraction: float,
    identities: Mapping[int, str] | None = None,
) -> list[str]:
    """The split of each id: test from `first_test` on, and a share of the rest for the judges.

    The judges' ids are drawn among all ids of the whole data set: a part of it, or a face left
    out, changes the split of nobody else.

    Args:
        ids: [N] ids that are there.
        first_test: first id of the test split.
        seed: of the drawing.
        judges_fraction: share of the ids below `first_test`.
        identities: id -> identity, of the whole data set; the faces of a person that are not in
            the test split stay together.

    Returns:
        [N] splits.

    Raises:
        UserError: the share is not one.
    """
    check_shares(judges_fraction, 0.0)
    training = [name_of(face) for face in range(first_test)]
    people = {name_of(face): person for face, person in (identities or {}).items()}
    splits = assign_splits(training, seed, judges_fraction, 0.0, people)
    drawn = dict(zip(training, splits, strict=True))
    return [drawn.get(name_of(face), "test") for face in ids]


def celeba_split(
    ids: Sequence[int], celeba_names: Mapping[int, str], partition: Mapping[str, int] | None
) -> list[str]:
    """The split of each id by CelebA's partition.

    Args:
        ids: [N] ids that are there.
        celeba_names: id -> CelebA's name, from the mapping file.
        partition: CelebA's name -> 0, 1 or 2, from its own file; None derives it from the number.

    Raises:
        UserError: an id has no CelebA name, or a name no part.
    """
    splits = []
    for face in ids:
        if face not in celeba_names:
            fix = f"The mapping of all {COUNT:,} ids comes with the data set: download it again."
            raise UserError(f"has no row for id {face}", MAPPING, fix)
        name = celeba_names[face]
        if partition is not None and name not in partition:
            fix = "Download the file again, or remove it: the mapping file alone is enough."
            raise UserError(f"has no row for {name}.jpg", PARTITION, fix)
        part = official_part(name) if partition is None else partition[name]
        splits.append(SPLITS[part])
    return splits
