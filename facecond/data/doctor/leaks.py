"""Pictures and persons that stand on two sides of a split, and which of a group to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facecond.data.doctor.duplicates import alike_pairs, clusters
from facecond.data.doctor.face import Examined
from facecond.data.doctor.findings import Finding
from facecond.data.doctor.inventory import Face
from facecond.labels import UNSPECIFIED

_KEEP_FIRST = ("test", "judges", "generator", "")
"""Of a group that spans splits the test split keeps its face: it is the trainings that must not
see it."""


def find_duplicates(
    faces: Sequence[Face], examined: Sequence[Examined], findings: Sequence[Finding]
) -> list[Finding]:
    """Groups of faces with one picture; all but the best labelled are to be left out.

    Args:
        faces: [N].
        examined: [N], what was found in each.
        findings: those so far: a face with fewer of them is the better one.
    """
    faults: dict[str, int] = {}
    for finding in findings:
        for name in finding.names:
            faults[name] = faults.get(name, 0) + 1
    found = []
    by_sha: dict[str, list[int]] = {}
    for index, one in enumerate(examined):
        if one.sha:
            by_sha.setdefault(one.sha, []).append(index)
    equal = [group for group in by_sha.values() if len(group) > 1]
    # Of equal files one stands for all when pictures are compared.
    twins = {index for group in equal for index in group[1:]}
    copies = {i: one.copy for i, one in enumerate(examined) if one.copy is not None}
    rest = [index for index in copies if index not in twins]
    scores: dict[tuple[int, int], tuple[float, bool]] = {}
    for a, b, likeness, mirrored in alike_pairs([copies[i] for i in rest]):
        pair = rest[a], rest[b]
        scores[pair] = max(scores.get(pair, (likeness, mirrored)), (likeness, mirrored))
    ties = [(group[0], other) for group in equal for other in group[1:]]
    groups = clusters([*ties, *scores])
    group_of = {index: number for number, group in enumerate(groups) for index in group}
    how: list[list[tuple[float, bool]]] = [[] for _ in groups]
    for (index, _), score in scores.items():
        how[group_of[index]].append(score)
    for group, likenesses in zip(groups, how, strict=True):
        group.sort(key=lambda i: _rank(faces[i], examined[i], faults))
        found.append(_duplicate([faces[i] for i in group], likenesses))
    return found


def find_identity_leaks(faces: Sequence[Face]) -> list[Finding]:
    """Persons with faces in more than one split."""
    persons: dict[str, list[Face]] = {}
    for face in faces:
        if face.identity and face.split:
            persons.setdefault(face.identity, []).append(face)
    found = []
    for identity, members in sorted(persons.items()):
        splits = {face.split for face in members}
        if len(splits) < 2:
            continue
        kept = next(split for split in _KEEP_FIRST if split in splits)
        members.sort(key=lambda face: (_KEEP_FIRST.index(face.split), face.name))
        names = tuple(face.name for face in members)
        out = tuple(face.name for face in members if face.split != kept)
        message = f"the person '{identity}' is in {_listed(members)}; {kept} keeps its own"
        found.append(Finding("identity-leak", names, message, {"identity": identity}, out))
    return found


def _duplicate(group: Sequence[Face], how: Sequence[tuple[float, bool]]) -> Finding:
    """A group, the one to keep first."""
    names = tuple(face.name for face in group)
    splits = {face.split for face in group if face.split}
    if not how:
        code, what = "exact-duplicate", "the same file"
        evidence: Mapping[str, object] = {}
    else:
        mirrored = any(flag for _, flag in how)
        likeness = min(score for score, _ in how)
        code, what = "near-duplicate", f"pictures alike by {likeness:.3f} of 1"
        what += ", one mirrored" if mirrored else ""
        evidence = {"likeness": round(likeness, 4), "mirrored": mirrored}
    if len(splits) > 1:
        code, what = "split-leak", f"{what}, in {_listed(group)}"
    return Finding(code, names, f"{what}; {names[0]} is kept", evidence, names[1:])


def _listed(faces: Sequence[Face]) -> str:
    places: dict[str, list[str]] = {}
    for face in faces:
        places.setdefault(face.split or "no split", []).append(face.name)
    return ", ".join(f"{split} ({', '.join(names[:3])})" for split, names in places.items())


def _rank(
    face: Face, examined: Examined, faults: Mapping[str, int]
) -> tuple[int, int, bool, int, int, str]:
    """Sorts the face to keep to the front: for testing, sound, well labelled, large."""
    known = int((face.attributes != UNSPECIFIED).sum())
    order = _KEEP_FIRST.index(face.split)
    return order, faults.get(face.name, 0), not face.masks, -known, -examined.pixels, face.name
