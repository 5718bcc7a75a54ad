from pathlib import Path

import numpy as np

from facecond.data.doctor.duplicates import small_copy
from facecond.data.doctor.face import Examined
from facecond.data.doctor.findings import Finding
from facecond.data.doctor.inventory import Face
from facecond.data.doctor.leaks import find_duplicates, find_identity_leaks


def _face(name, split="", known=0, mask=True, identity=""):
    attributes = np.full(40, -1, np.int8)
    attributes[:known] = 1
    return Face(name, Path(name), {0: Path(name)} if mask else {}, attributes, split, identity)


def _look(faces, names, shas=None):
    """Examined faces with these pictures; equal hashes only where given."""
    images = [face.image for face in faces]
    shas = shas or [f"sha{i}" for i in range(len(images))]
    return [
        Examined(name, [], sha, small_copy(image), 64)
        for name, sha, image in zip(names, shas, images, strict=True)
    ]


def test_of_equal_files_the_better_labelled_is_kept(faces):
    examined = _look([faces[0], faces[1], faces[0]], "abc", ["x", "y", "x"])
    (found,) = find_duplicates([_face("a", known=3), _face("b"), _face("c", known=9)], examined, [])
    assert (found.code, found.names, found.leave_out) == ("exact-duplicate", ("c", "a"), ("a",))
    (found,) = find_duplicates([_face("a"), _face("b"), _face("c", mask=False)], examined, [])
    assert found.leave_out == ("c",)
    fault = [Finding("left-right", ("a",), "swapped")]
    (found,) = find_duplicates([_face("a", known=9), _face("b"), _face("c")], examined, fault)
    assert found.leave_out == ("a",)


def test_alike_pictures_form_one_group_with_equal_files(faces):
    examined = _look([faces[0], faces[0], faces[0]], "abc", ["x", "x", "z"])
    (found,) = find_duplicates([_face(name) for name in "abc"], examined, [])
    assert (found.code, found.names) == ("near-duplicate", ("a", "b", "c"))
    assert found.leave_out == ("b", "c") and found.evidence["likeness"] > 0.99


def test_a_leak_keeps_the_face_for_testing(faces):
    examined = _look([faces[2], faces[2]], "ab")
    sides = [_face("a", "generator", known=40), _face("b", "test")]
    (found,) = find_duplicates(sides, examined, [])
    assert (found.code, found.leave_out) == ("split-leak", ("a",))
    assert "generator (a)" in found.message and "test (b)" in found.message
    same = [_face("a", "judges"), _face("b", "judges")]
    assert find_duplicates(same, examined, [])[0].code == "near-duplicate"


def test_other_faces_and_unreadable_ones_are_no_duplicates(faces):
    examined = _look(faces[:5], "abcde")
    examined.append(Examined("f"))
    examined.append(Examined("g"))
    assert find_duplicates([_face(name) for name in "abcdefg"], examined, []) == []


def test_a_person_in_two_splits():
    people = [
        _face("a", "generator", identity="7"), _face("b", "test", identity="7"),
        _face("c", "judges", identity="7"), _face("d", "generator", identity="8"),
        _face("e", "generator", identity="8"), _face("f", "test"), _face("g", "judges"),
    ]  # fmt: skip
    (found,) = find_identity_leaks(people)
    assert found.code == "identity-leak" and found.evidence == {"identity": "7"}
    assert found.names == ("b", "c", "a") and found.leave_out == ("c", "a")
