import json
import shutil

import pytest

from facecond.data.doctor.inventory import WHOLE, take_inventory
from facecond.data.doctor.leaks import find_identity_leaks
from facecond.data.exclusions import write_exclusions
from facecond.data.render_set import render_prepared
from facecond.data.writing import PreparedWriter
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


def _mapping(raw, change):
    """The mapping file of the 12 faces, after a change to its rows."""
    rows = [[str(n), str(n + 100), f"{n + 101:06d}.jpg"] for n in range(1994, 2006)]
    change(rows)
    lines = ["idx orig_idx orig_file", *(" ".join(row) for row in rows)]
    (raw / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(lines) + "\n")
    return _kinds(take_inventory(raw))


def test_a_mapping_of_the_ids(raw):
    assert _mapping(raw, lambda rows: None) == []

    def spoil(rows):
        rows[0][1] = "7"  # does not belong to its file
        rows[2][1:] = rows[3][1:]  # one origin for two ids
        rows[4][0] = rows[5][0]  # so that 1998 has none, and 1999 two
        rows[6].append("more")
        rows[7][0] = "30000"  # 2001 has none

    assert _mapping(raw, spoil) == [
        ("bad-row",),
        ("bad-row", "01994"),
        ("bad-row", "02000"),
        ("duplicate-id", "01996", "01997"),
        ("duplicate-row", "01999"),
    ]
    # Above, 2 of 12 faces have no row, which may be on purpose; 1 of 12 is a mistake.
    assert _mapping(raw, lambda rows: rows.pop(8)) == [("image-without-row", "02002")]
    assert _mapping(raw, lambda rows: rows.append(["7", "1", "000002.jpg"])) == [
        ("row-without-image", "00007")
    ]
    finding = next(f for f in take_inventory(raw).findings if f.code == "row-without-image")
    assert "CelebA-HQ-to-CelebA-mapping.txt, line 14" in finding.message


def test_an_origin_given_twice_is_not_settled_by_leaving_faces_out(raw):
    _mapping(raw, lambda rows: rows[2].__setitem__(slice(1, None), rows[3][1:]))
    (finding,) = take_inventory(raw).findings
    assert finding.leave_out == () and not finding.settled({"01996": "", "01997": ""})


def test_a_picture_of_an_unread_kind_is_named_itself(plain, raw):
    (plain / "images" / "000003.png").rename(plain / "images" / "000003.gif")
    (plain / "images" / "notes.txt").write_text("not a picture")
    assert _kinds(take_inventory(plain)) == [("unread-kind", "000003")]
    assert "images/000003.gif" in take_inventory(plain).findings[0].message
    (raw / "CelebA-HQ-img" / "1996.jpg").rename(raw / "CelebA-HQ-img" / "1996.gif")
    assert _kinds(take_inventory(raw)) == [("unread-kind", "1996")]


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


def test_identities_of_a_prepared_folder(tmp_path, prepared):
    people = {name: str(index // 2) for index, name in enumerate(prepared.names[:6])}
    with PreparedWriter(tmp_path / "named", 64, "rendered", identities=people) as writer:
        for row in range(9):
            name, split = prepared.names[row], prepared.splits[row]
            writer.add(
                name, prepared.image(row), prepared.mask(row), prepared.attributes[row], split
            )
    inventory = take_inventory(tmp_path / "named")
    assert inventory.findings == []
    assert [face.identity for face in inventory.faces] == ["0", "0", "1", "1", "2", "2", "", "", ""]
    leaks = find_identity_leaks(inventory.faces)
    assert [(leak.code, leak.names, leak.leave_out) for leak in leaks] == [
        ("identity-leak", ("000001", "000000"), ("000000",)),
        ("identity-leak", ("000002", "000003"), ("000003",)),
        ("identity-leak", ("000005", "000004"), ("000004",)),
    ]
    with open(tmp_path / "named" / "identities.csv", "a") as file:
        file.write("nobody\n")
    assert _kinds(take_inventory(tmp_path / "named")) == [("bad-row", "nobody"), ("changed-file",)]


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


def test_changed_factors_are_found(tmp_path):
    render_prepared(tmp_path / "varied", 4, 64, workers=1, variations=2)
    assert take_inventory(tmp_path / "varied").findings == []
    with open(tmp_path / "varied" / "factors.csv", "a") as file:
        file.write("nobody,0,0\n")
    assert _kinds(take_inventory(tmp_path / "varied")) == [("changed-file",)]
