import json
import shutil

import pytest

from facecond.data.doctor.inventory import WHOLE, take_inventory
from facecond.data.exclusions import write_exclusions
from facecond.errors import UserError
from facecond.labels import MASK_CLASSES


def _kinds(inventory):
    return sorted((finding.code, *finding.names) for finding in inventory.findings)


def test_a_plain_folder(plain):
    write_exclusions(plain, {"000003": "blurred"})
    inventory = take_inventory(plain)
    assert inventory.kind == "folder" and inventory.findings == [] and inventory.side is None
    assert [face.name for face in inventory.faces] == [f"{i:06d}" for i in range(48)]
    assert inventory.faces[5].masks == {WHOLE: plain / "masks" / "000005.png"}
    assert inventory.faces[5].attributes.min() >= -1 and inventory.excluded == {"000003": "blurred"}


def test_names_that_do_not_match(plain):
    (plain / "images" / "000001.png").unlink()
    (plain / "masks" / "000002.png").unlink()
    lines = (plain / "attributes.csv").read_text().splitlines()
    (plain / "attributes.csv").write_text("\n".join(lines[:-1]) + "\n")
    shutil.copy(plain / "images" / "000004.png", plain / "images" / "000004.webp")
    assert _kinds(take_inventory(plain)) == [
        ("duplicate-name", "000004"),
        ("image-without-mask", "000002"),
        ("image-without-row", "000047"),
        ("mask-without-image", "000001"),
        ("row-without-image", "000001"),
    ]


def test_a_folder_without_most_masks_or_rows_is_no_mistake(plain):
    for path in sorted((plain / "masks").iterdir())[:20]:
        path.unlink()
    (plain / "attributes.csv").unlink()
    assert take_inventory(plain).findings == []


def test_two_tables(plain):
    shutil.move(plain / "attributes.csv", plain / "a.csv")
    shutil.copy(plain / "a.csv", plain / "b.csv")
    assert _kinds(take_inventory(plain)) == [("bad-table",)]


def test_the_raw_layout(raw):
    inventory = take_inventory(raw)
    assert inventory.kind == "raw" and inventory.findings == []
    assert [face.name for face in inventory.faces][:2] == ["01994", "01995"]
    skin = MASK_CLASSES.index("skin")
    part = raw / "CelebAMask-HQ-mask-anno" / "1" / "02000_skin.png"
    assert inventory.faces[6].masks[skin] == part
    assert set(inventory.faces[0].attributes.tolist()) == {0, 1}


def test_a_raw_layout_with_faults(raw):
    parts = raw / "CelebAMask-HQ-mask-anno"
    shutil.move(parts / "0" / "01994_skin.png", parts / "1" / "01994_skin.png")
    shutil.move(parts / "0" / "01994_nose.png", parts / "1" / "01994_nose.png")
    shutil.move(parts / "0" / "01995_skin.png", parts / "0" / "01995_skni.png")
    (raw / "CelebA-HQ-img" / "1996.jpg").unlink()
    shutil.move(raw / "CelebA-HQ-img" / "1997.jpg", raw / "CelebA-HQ-img" / "me.jpg")
    shutil.copy(raw / "CelebA-HQ-img" / "1998.jpg", raw / "CelebA-HQ-img" / "01998.jpg")
    for part in parts.glob("1/02005_*"):
        part.unlink()
    assert _kinds(take_inventory(raw)) == [
        ("duplicate-name", "01998"),
        ("image-without-mask", "02005"),
        ("mask-without-image", "01996"),
        ("mask-without-image", "01997"),
        ("wrong-folder", "01994"),
        ("wrong-name", "01995"),
        ("wrong-name", "me"),
    ]


def test_missing_annotations(raw):
    (raw / "CelebAMask-HQ-attribute-anno.txt").unlink()
    assert _kinds(take_inventory(raw)) == [("bad-table",)]


def test_a_prepared_folder(prepared):
    inventory = take_inventory(prepared.root)
    assert inventory.kind == "prepared" and inventory.findings == [] and inventory.side == 64
    face = inventory.faces[4]
    assert (face.name, face.split, len(face.hashes)) == ("000004", "judges", 2)


def test_a_prepared_folder_with_faults(prepared):
    root = prepared.root
    (root / "images" / "000001.png").unlink()
    shutil.copy(root / "masks" / "000002.png", root / "masks" / "stray.png")
    with open(root / "splits" / "test.txt", "a") as file:
        file.write("000000\nnobody\n")
    text = (root / "splits" / "generator.txt").read_text().replace("000003\n", "")
    (root / "splits" / "generator.txt").write_text(text)
    inventory = take_inventory(root)
    assert _kinds(inventory) == [
        ("bad-manifest", "stray"),
        ("bad-split", "000000"),
        ("bad-split", "000001"),  # listed, its image is gone
        ("bad-split", "000003"),
        ("bad-split", "nobody"),
        ("changed-file",),
        ("changed-file",),
        ("mask-without-image", "000001"),
        ("mask-without-image", "stray"),
        ("missing-file", "000001"),
        ("row-without-image", "000001"),
    ]
    splits = {face.name: face.split for face in inventory.faces}
    assert splits["000000"] == "test" and splits["000003"] == ""


def test_a_manifest_at_odds(prepared):
    path = prepared.root / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest |= {"count": 7, "label_order": "bisenet", "data_hash": "0", "image_size": None}
    path.write_text(json.dumps(manifest))
    assert _kinds(take_inventory(prepared.root)) == [("bad-manifest",)] * 4
    path.write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        take_inventory(prepared.root)
    path.write_text("[]")
    with pytest.raises(UserError, match=r"expected 'facecond\.prepared/1'"):
        take_inventory(prepared.root)


def test_what_is_no_data_folder(tmp_path, raw):
    with pytest.raises(UserError, match="no such folder"):
        take_inventory(tmp_path / "gone")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError, match="no data folder"):
        take_inventory(tmp_path / "other")
    (tmp_path / "other" / "images").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        take_inventory(tmp_path / "other")
    with pytest.raises(UserError, match=f"Did you mean {raw}"):
        take_inventory(tmp_path)
