import json
import shutil

import numpy as np
import pytest
from PIL import Image

from facecond.data.doctor.examine import examine
from facecond.data.exclusions import read_exclusions
from facecond.data.folder import prepare_folder
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import LABEL_ORDERS, MASK_CLASSES, attribute_index


def _rewrite(path, change):
    Image.fromarray(change(np.asarray(Image.open(path)))).save(path)


def _bisenet(mask):
    table = np.arange(256, dtype=np.uint8)
    for value, name in enumerate(LABEL_ORDERS["bisenet"]):
        table[MASK_CLASSES.index(name)] = value
    return table[mask]


def _home(mask):
    table = np.arange(256, dtype=np.uint8)
    table[:19] = [MASK_CLASSES.index(name) for name in LABEL_ORDERS["bisenet"]]
    return table[mask]


def test_a_clean_plain_folder(clean_plain):
    report = examine(clean_plain, workers=1)
    assert report.findings == [] and report.handled == {}
    record = json.loads(json.dumps(report.as_json()))
    assert record["schema"] == "facecond.doctor/1" and record["faces"] == 48
    assert record["counts"] == {} and record["kind"] == "folder"


def test_clean_prepared_and_raw_folders(prepared, raw):
    assert examine(prepared.root, workers=1).findings == []
    assert examine(raw, workers=1).findings == []


def test_the_number_of_processes_changes_nothing(plain):
    _rewrite(plain / "masks" / "000007.png", lambda mask: mask * 0)
    alone, together = (examine(plain, workers=workers).as_json() for workers in (1, 2))
    assert alone == together and alone["counts"] == {"empty-mask": 1}


def test_masks_with_a_single_class_are_noted(plain, codes):
    skin = MASK_CLASSES.index("skin")
    _rewrite(plain / "masks" / "000007.png", lambda mask: np.where(mask == skin, mask, 0))
    _rewrite(plain / "masks" / "000008.png", lambda mask: np.where(mask > 0, 13, 0).astype("u1"))
    report = examine(plain, workers=1)
    single = [finding for finding in report.findings if finding.code == "one-class"]
    assert [finding.names for finding in single] == [("000007",), ("000008",)]
    assert [finding.evidence["class"] for finding in single] == [skin, 13]
    assert ("no-skin", "000008") in codes(report) and ("no-skin", "000007") not in codes(report)


def test_a_folder_of_single_classes_says_so_once(plain, codes):
    skin = MASK_CLASSES.index("skin")
    for path in (plain / "masks").iterdir():
        _rewrite(path, lambda mask: np.where(mask == skin, mask, 0))
    report = examine(plain, workers=1)
    found = [code for code, _ in codes(report)]
    assert found.count("one-class") == 1 and "label-order" not in found
    assert ("one-class", "") in codes(report)
    assert report.findings[found.index("one-class")].message.startswith("48 of 48 masks")


def test_a_folder_in_another_order_is_one_finding(plain, codes):
    for path in (plain / "masks").iterdir():
        _rewrite(path, _bisenet)
    report = examine(plain, workers=1)
    assert codes(report) == [("label-order", "")]
    assert "'bisenet'" in report.findings[0].message
    assert "--labels bisenet" in report.findings[0].message
    assert report.quarantine() == {} and not (plain / "excluded.txt").exists()
    _rewrite(plain / "masks" / "000005.png", _home)
    assert codes(examine(plain, workers=1)) == [("label-order", ""), ("label-order", "000005")]


def test_a_folder_in_no_known_order_has_its_values_read_off(plain, codes):
    table = np.arange(256, dtype=np.uint8)
    table[:19] = np.random.default_rng(4).permutation(19)
    for path in (plain / "masks").iterdir():
        _rewrite(path, lambda mask: table[mask])
    report = examine(plain, workers=1)
    assert codes(report)[0] == ("label-order", "")
    for part in ("hair", "skin", "neck", "background"):
        assert f"{table[MASK_CLASSES.index(part)]} {part}" in report.findings[0].message


def test_faults_of_a_raw_folder(raw, codes):
    parts = raw / "CelebAMask-HQ-mask-anno"
    content = (parts / "0" / "01995_skin.png").read_bytes()
    (parts / "0" / "01995_skin.png").write_bytes(content[: len(content) // 2])
    for left, right in (("l_eye", "r_eye"), ("l_brow", "r_brow")):
        pair = [parts / "1" / f"02001_{side}.png" for side in (left, right)]
        if all(path.is_file() for path in pair):
            kept = pair[0].read_bytes()
            pair[0].write_bytes(pair[1].read_bytes())
            pair[1].write_bytes(kept)
    for path in parts.glob("1/02003_*"):
        if "_hair" not in path.name:
            path.unlink()
    shutil.copy(raw / "CelebA-HQ-img" / "2004.jpg", raw / "CelebA-HQ-img" / "2005.jpg")
    found = codes(examine(raw, workers=1))
    assert ("unreadable-mask", "01995") in found
    assert ("left-right", "02001") in found
    assert ("no-skin", "02003") in found
    assert ("exact-duplicate", "02004") in found
    assert {name for _, name in found} == {"01995", "02001", "02003", "02004", "02005"}


def test_fixing_a_prepared_folder_makes_it_clean(prepared, codes):
    root = prepared.root
    shutil.copy(root / "images" / "000003.png", root / "images" / "000002.png")  # generator: test
    _rewrite(root / "masks" / "000010.png", lambda mask: mask * 0 + 255)
    report = examine(root, workers=1)
    assert ("split-leak", "000002") in codes(report)
    assert ("changed-file", "000002") in codes(report)
    assert ("empty-mask", "000010") in codes(report)
    added = report.quarantine()
    assert {"000003", "000002", "000010"} == set(added) == set(read_exclusions(root))
    again = examine(root, workers=1)
    assert again.findings == [] and set(again.handled) == set(added)
    after = PreparedFolder.open(root)
    assert after.data_hash != prepared.data_hash
    kept = set(after.indices("generator")) | set(after.indices("judges"))
    kept |= set(after.indices("test"))
    assert kept == set(range(24)) - {2, 3, 10}


def test_what_only_a_hand_can_mend_stays(plain, codes):
    with open(plain / "attributes.csv", "a") as file:
        file.write((plain / "attributes.csv").read_text().splitlines()[1] + "\n")
    _rewrite(plain / "masks" / "000009.png", lambda mask: mask * 0)
    (plain / "excluded.txt").write_text("000020\tmine\n")
    report = examine(plain, workers=1)
    assert codes(report) == [("empty-mask", "000009"), ("duplicate-row", "000000")]
    assert set(report.quarantine()) == {"000009"}
    assert read_exclusions(plain) == {
        "000009": "empty-mask: the mask is all background", "000020": "mine",
    }  # fmt: skip
    assert codes(examine(plain, workers=1)) == [("duplicate-row", "000000")]


def test_a_prepared_folder_without_an_excluded_face(plain, tmp_path, codes):
    lines = (plain / "attributes.csv").read_text().splitlines()
    column = 1 + attribute_index("Wearing_Hat")
    rows = [line.split(",") for line in lines[1:]]
    hatless = next(row for row in rows if row[column] == "-1")
    hatless[column] = "1"
    (plain / "attributes.csv").write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    folder = prepare_folder(plain, tmp_path / "out", 64, workers=1)
    report = examine(folder.root, workers=1)
    assert codes(report) == [("hat-not-in-mask", hatless[0])]
    report.quarantine()
    after = PreparedFolder.open(folder.root)
    assert len(after) == 48 and "1 excluded" in after.summary()


def test_a_face_without_mask_or_attributes_is_no_fault(plain):
    for path in sorted((plain / "masks").iterdir())[:30]:
        path.unlink()
    (plain / "attributes.csv").unlink()
    assert examine(plain, workers=1).findings == []


def test_odd_files_stop_nothing(plain, codes):
    images, masks = plain / "images", plain / "masks"
    (images / "000000.png").unlink()
    (images / "000000.png").mkdir()
    Image.new("RGB", (1, 1), (3, 4, 5)).save(images / "000001.png")
    Image.new("L", (1, 1)).save(masks / "000002.png")
    _rewrite(masks / "000003.png", lambda mask: mask[:1])
    _rewrite(images / "000004.png", lambda image: image[:, :2])
    _rewrite(masks / "000005.png", lambda mask: np.where(mask, 1, 0).astype(np.uint8))
    (masks / "000006.png").write_bytes(b"")
    (images / ".DS_Store").write_bytes(b"x")
    (images / "notes.txt").write_text("x")
    found = codes(examine(plain, workers=1))
    assert {
        ("unreadable-image", "000000"), ("blank-image", "000001"), ("empty-mask", "000002"),
        ("size-mismatch", "000003"), ("size-mismatch", "000004"), ("unreadable-mask", "000006"),
    } <= set(found)  # fmt: skip
    assert {name for _, name in found} <= {f"00000{index}" for index in range(7)}


def test_bad_input_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        examine(tmp_path / "gone")
