"""From the raw layout, written by the renderer, to the prepared folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond.data.celebamask import prepare_celebamask
from facecond.data.pictures import resize_mask
from facecond.data.prepared import PreparedFolder
from facecond.data.raw_layout import part_path
from facecond.data.render_raw import render_celebamask
from facecond.data.rendered import render
from facecond.errors import UserError
from facecond.labels import MASK_CLASSES

COUNT, SIDE = 12, 128
SKIN, HAIR = MASK_CLASSES.index("skin"), MASK_CLASSES.index("hair")
ATTRIBUTES_FILE = "CelebAMask-HQ-attribute-anno.txt"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("celebamask") / "raw"
    render_celebamask(out, COUNT, SIDE, seed=1, workers=1)
    return out


@pytest.fixture
def root(rendered: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(rendered, tmp_path / "raw"))


def _prepare(root: Path, size: int = SIDE // 2, **options: Any) -> PreparedFolder:
    return prepare_celebamask(root, root.parent / "out", size, **({"workers": 1} | options))


def _renumber(root: Path, old: int, new: int) -> None:
    """Give a face another id."""
    (root / "CelebA-HQ-img" / f"{old}.jpg").rename(root / "CelebA-HQ-img" / f"{new}.jpg")
    for value in range(1, 19):
        if (path := part_path(root, old, value)).is_file():
            part_path(root, new, value).parent.mkdir(exist_ok=True)
            path.rename(part_path(root, new, value))
    for name in (ATTRIBUTES_FILE, MAPPING):
        lines = (root / name).read_text().splitlines()
        words = [line.split(" ", 1) for line in lines]
        for word in words:
            if word[0] in (f"{old}.jpg", str(old)) and len(word) > 1:
                word[0] = word[0].replace(str(old), str(new))
        (root / name).write_text("\n".join(" ".join(word) for word in words) + "\n")


@pytest.mark.parametrize("size", [SIDE // 4, SIDE // 2, SIDE])
def test_the_prepared_faces_are_the_rendered_ones(root: Path, size: int) -> None:
    folder = _prepare(root, size)
    assert folder.names == [f"{index:05d}" for index in range(COUNT)]
    assert folder.source == "celebamask" and folder.has_mask.all()
    for index in range(COUNT):
        face = render(1, index, SIDE)
        fused = resize_mask(face.mask, SIDE // 2)
        np.testing.assert_array_equal(folder.mask(index), resize_mask(fused, size))
        small = Image.fromarray(face.image).resize((size, size), Image.Resampling.LANCZOS)
        error = folder.image(index).astype(int) - np.asarray(small)
        assert np.abs(error).mean() < 3
        np.testing.assert_array_equal(folder.attributes[index], np.maximum(face.attributes, 0))
    details = folder.manifest["details"]
    assert details["without_skin"] == [] and details["without_mask"] == details["excluded"] == 0
    assert details["parts"]["skin"] == COUNT and set(details["annotations"]) == {
        ATTRIBUTES_FILE, MAPPING,
    }  # fmt: skip


def test_the_number_of_workers_changes_nothing(root: Path) -> None:
    one = _prepare(root).data_hash
    assert _prepare(root, workers=2).data_hash == one


def test_paper_splits_of_a_subset_go_by_id(root: Path) -> None:
    assert set(_prepare(root).splits) == {"generator", "judges"}
    for old, new in ((3, 26_999), (4, 27_000), (5, 27_999), (6, 28_000), (7, 29_999)):
        _renumber(root, old, new)
    first = _prepare(root)
    tested = {
        name for name, split in zip(first.names, first.splits, strict=True) if split == "test"
    }
    assert tested == {"27000", "27999", "28000", "29999"}
    np.testing.assert_array_equal(  # the files moved with their ids
        first.mask(first.names.index("28000")), resize_mask(render(1, 6, SIDE).mask, SIDE // 2)
    )
    second = _prepare(root, split="papers-28000", judges_fraction=0.5)
    tested = {second.names[row] for row in second.indices("test")}
    assert tested == {"28000", "29999"}
    assert second.manifest["details"]["judges_fraction"] == 0.5
    assert "test_fraction" not in second.manifest["details"]


def _set_mapping(root: Path) -> list[int]:
    """CelebA origins of the faces: four each of train, validation and test."""
    origins = [10, 11, 12, 13, 162_771, 162_772, 170_000, 182_637, 182_638, 190_000, 1, 202_599]
    rows = [f"{face} {origin - 1} {origin:06d}.jpg" for face, origin in enumerate(origins)]
    (root / MAPPING).write_text("\n".join(rows))
    return origins


def test_the_official_partition_with_and_without_its_file(root: Path) -> None:
    origins = _set_mapping(root)
    expected = ["generator"] * 4 + ["judges"] * 4 + ["test"] * 2 + ["generator", "test"]
    folder = _prepare(root, split="celeba")
    assert folder.splits.tolist() == expected
    assert not {"seed", "judges_fraction"} & set(folder.manifest["details"])
    rows = [f"{origin:06d}.jpg {index % 3}" for index, origin in enumerate(origins)]
    (root / "list_eval_partition.txt").write_text("\n".join(rows))
    folder = _prepare(root, split="celeba")
    assert folder.splits.tolist() == ["generator", "judges", "test"] * 4


def test_people_stay_together_in_splits_that_are_drawn(root: Path) -> None:
    origins = _set_mapping(root)
    rows = [f"{origin:06d}.jpg {face // 4}" for face, origin in enumerate(origins)]
    (root / "identity_CelebA.txt").write_text("\n".join(rows))
    folder = _prepare(root, split="random", judges_fraction=0.33, test_fraction=0.33)
    for person in folder.splits.reshape(3, 4):
        assert len(set(person)) == 1
    assert set(folder.splits) == {"generator", "judges", "test"}
    assert folder.manifest["details"]["people_in_test_and_training"] == 0
    assert folder.identities == {f"{face:05d}": str(face // 4) for face in range(12)}
    papers = _prepare(root, judges_fraction=0.5)
    for person in papers.splits.reshape(3, 4):
        assert len(set(person)) == 1
    # By the official partition, the last person has faces on both sides.
    folder = _prepare(root, split="celeba")
    assert folder.manifest["details"]["people_in_test_and_training"] == 1
    other = root.parent / "people.csv"
    other.write_text("name,identity\n" + "".join(f"{origin:06d},1\n" for origin in origins))
    folder = _prepare(root, split="random", identities=other, judges_fraction=0.0)
    assert set(folder.splits) == {"test"}  # one person, all of them in one split


def test_excluded_faces_are_left_out_and_not_even_read(root: Path) -> None:
    (root / "CelebA-HQ-img" / "3.jpg").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"3\.jpg: corrupt"):
        _prepare(root)
    (root / "excluded.txt").write_text("# looked through by hand\n00003\tcorrupt\n5\tturned\n")
    folder = _prepare(root)
    assert len(folder) == COUNT - 2 and not {"00003", "00005"} & set(folder.names)
    assert folder.manifest["details"]["excluded"] == 2
    mask = resize_mask(render(1, 4, SIDE).mask, SIDE // 2)
    np.testing.assert_array_equal(folder.mask(folder.names.index("00004")), mask)


def test_faces_with_few_parts_are_named(root: Path) -> None:
    for value in range(1, 19):
        part_path(root, 2, value).unlink(missing_ok=True)
        if value != HAIR:
            part_path(root, 3, value).unlink(missing_ok=True)
    part_path(root, 4, SKIN).unlink()
    Image.new("L", (SIDE // 2, SIDE // 2), 255).save(part_path(root, 3, HAIR))
    folder = _prepare(root)
    details = folder.manifest["details"]
    assert details["without_mask"] == 1 and not folder.has_mask[2]
    assert details["without_skin"] == ["00003", "00004"]
    assert details["with_one_part"] == ["00003"]
    assert (folder.mask(3) == HAIR).all()


def _cut_annotation(root: Path) -> None:
    lines = (root / ATTRIBUTES_FILE).read_text().splitlines()
    (root / ATTRIBUTES_FILE).write_text("\n".join([str(COUNT - 1), *lines[1:-1]]))


def _oblong(root: Path) -> None:
    Image.new("RGB", (128, 100)).save(root / "CelebA-HQ-img" / "5.jpg")


def _deep_part(root: Path) -> None:
    Image.fromarray(np.full((64, 64), 255, np.uint16)).save(part_path(root, 5, SKIN))


def _truncated(root: Path) -> None:
    path = root / "CelebA-HQ-img" / "9.jpg"
    path.write_bytes(path.read_bytes()[:900])


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (lambda root: None, {"split": "paper-27000"}, r"--split: .*'papers-27000'"),
        (lambda root: None, {"judges_fraction": 2.0}, "--judges-fraction"),
        (lambda root: (root / ATTRIBUTES_FILE).unlink(), {}, f"{ATTRIBUTES_FILE}: .* is missing"),
        (lambda root: (root / MAPPING).unlink(), {"split": "celeba"}, f"{MAPPING}: .* is missing"),
        (_cut_annotation, {}, rf"{ATTRIBUTES_FILE}: has no row for 11\.jpg \(1 such"),
        (
            lambda root: (root / "identity_CelebA.txt").write_text("000000.jpg 7\n"),
            {},
            r"identity_CelebA\.txt: names none of the pictures",
        ),
        (_oblong, {}, r"5\.jpg: is 128x100"),
        (_deep_part, {}, r"00005_skin\.png: the part is a PNG of mode I;16"),
        (_truncated, {}, r"9\.jpg: corrupt or truncated"),
        (lambda root: shutil.rmtree(root / "CelebA-HQ-img"), {}, "there is no folder"),
    ],
)
def test_faults_name_the_place_and_leave_nothing(
    root: Path, damage: Callable[[Path], Any], options: dict[str, Any], message: str
) -> None:
    damage(root)
    with pytest.raises(UserError, match=message):
        _prepare(root, **options)
    assert [path.name for path in root.parent.iterdir()] == ["raw"]


@pytest.mark.parametrize("row", ["003.jpg", "three.jpg"])
def test_rows_that_are_no_ids_or_twice_the_same(root: Path, row: str) -> None:
    path = root / ATTRIBUTES_FILE
    text = path.read_text().replace("\n4.jpg", f"\n{row}")
    path.write_text(text)
    with pytest.raises(UserError, match=rf"'{row}' is no CelebA-HQ id, or is there twice"):
        _prepare(root)


@pytest.mark.parametrize("mode", ["CMYK", "L"])
def test_other_jpegs_become_rgb(root: Path, mode: str) -> None:
    path = root / "CelebA-HQ-img" / "2.jpg"
    with Image.open(path) as picture:
        grey = np.asarray(picture.convert("L").convert("RGB").resize((64, 64)))
        picture.convert("L").convert(mode).save(path, quality=95)
    error = _prepare(root).image(2).astype(int) - grey
    assert np.abs(error).mean() < 6


@pytest.mark.parametrize(
    "change", [lambda text: text.replace("\n", "\r\n"), lambda t: "\ufeff" + t]
)
def test_line_ends_and_byte_order_marks_change_nothing(root: Path, change: Callable) -> None:
    before = _prepare(root, split="celeba").data_hash
    for name in (ATTRIBUTES_FILE, MAPPING):
        (root / name).write_bytes(change((root / name).read_text()).encode())
    assert _prepare(root, split="celeba").data_hash == before
