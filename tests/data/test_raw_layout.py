"""Which file of the raw layout belongs to which face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.data.raw_layout import IMAGES, PARTS, part_path, scan_faces
from facecond.errors import UserError
from facecond.labels import MASK_CLASSES

SKIN, HAIR = MASK_CLASSES.index("skin"), MASK_CLASSES.index("hair")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Empty files: the scan reads names only. Ids 0, 7, 2001; a part of id 5, which has none."""
    for face, values in ((0, (SKIN, HAIR)), (7, (HAIR,)), (2001, ()), (5, (SKIN,))):
        (tmp_path / PARTS / str(face // 2000)).mkdir(parents=True, exist_ok=True)
        for value in values:
            part_path(tmp_path, face, value).touch()
    (tmp_path / IMAGES).mkdir()
    for name in ("0.jpg", "7.jpg", "2001.jpg", ".DS_Store", "._7.jpg", "Thumbs.db"):
        (tmp_path / IMAGES / name).touch()
    for name in (".DS_Store", "._00000_skin.png", "readme.txt"):
        (tmp_path / PARTS / "0" / name).touch()
    return tmp_path


def test_files_of_each_face(root: Path) -> None:
    faces = scan_faces(root)
    assert {face: found.parts for face, found in faces.items()} == {
        0: [SKIN, HAIR], 7: [HAIR], 2001: [],
    }  # fmt: skip
    assert faces[7].image == root / IMAGES / "7.jpg" and faces[7].name == "00007"
    assert part_path(root, 2001, HAIR) == root / PARTS / "1" / "02001_hair.png"
    assert list(scan_faces(root, excluded=[7])) == [0, 2001]


def test_stamps_change_with_the_files(root: Path) -> None:
    before = {face: found.stamps for face, found in scan_faces(root).items()}
    assert before == {face: found.stamps for face, found in scan_faces(root).items()}
    part_path(root, 0, HAIR).write_text("x")
    after = {face: found.stamps for face, found in scan_faces(root).items()}
    assert after[0] != before[0] and after[7] == before[7]


def _rename(old: str, new: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / new).parent.mkdir(exist_ok=True)
        (root / old).rename(root / new)

    return damage


def _empty(folder: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        for path in (root / folder).rglob("*"):
            if path.is_file():
                path.unlink()

    return damage


def _touch(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).touch()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_rename(IMAGES, "images"), f"there is no folder {IMAGES}"),
        (_rename(PARTS, "masks"), f"there is no folder {PARTS}"),
        (_empty(IMAGES), f"{IMAGES}: no pictures found"),
        (_empty(PARTS), f"{PARTS}: no part masks found"),
        (_touch(f"{IMAGES}/face.jpg"), r"face\.jpg: 'face' is no CelebA-HQ id"),
        (_touch(f"{IMAGES}/0 (1).jpg"), r"'0 \(1\)' is no CelebA-HQ id"),
        (_touch(f"{IMAGES}/30000.jpg"), "'30000' is no CelebA-HQ id"),
        (_touch(f"{IMAGES}/7.png"), r"id 7 is also that of 7\."),
        (_touch(f"{IMAGES}/00007.jpg"), r"id 7 is also that of 0*7\.jpg"),
        (_touch(f"{PARTS}/0/00000_hairs.png"), r"00000_hairs\.png: unknown part 'hairs'.*'hair'"),
        (_touch(f"{PARTS}/0/00000_background.png"), "unknown part 'background'"),
        (_touch(f"{PARTS}/0/02001_hair.png"), r"02001_hair\.png: .* Make it .*/1/02001_hair\.png"),
        (_touch(f"{PARTS}/0/12_hair.png"), r"12_hair\.png: .* Make it .*/0/00012_hair\.png"),
        (_touch(f"{PARTS}/0/00000_nose.PNG"), r"00000_nose\.PNG: .* Make it .*_nose\.png"),
    ],
)
def test_faults_name_the_place(root: Path, damage: Callable, message: str) -> None:
    damage(root)
    with pytest.raises(UserError, match=message):
        scan_faces(root)


def test_a_root_one_level_too_high_or_missing(root: Path) -> None:
    with pytest.raises(UserError, match=f"Did you mean --root {root}"):
        scan_faces(root.parent)
    with pytest.raises(UserError, match="no such folder"):
        scan_faces(root / "nowhere")
