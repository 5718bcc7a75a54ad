import json

import numpy as np
import pytest
from PIL import Image

from facecond.data.prepared import SPLITS, PreparedFolder
from facecond.data.writing import EncodedFace, PreparedWriter, encode_png
from facecond.errors import UserError
from facecond.labels import ANYTHING


def _face(index, size=16):
    random = np.random.default_rng(index)
    image = random.integers(0, 256, (size, size, 3), dtype=np.uint8)
    mask = random.integers(0, 19, (size, size), dtype=np.uint8)
    mask[0] = ANYTHING
    return image, mask, random.integers(-1, 2, 40).astype(np.int8)


def _write(out, count=6, change=None):
    with PreparedWriter(out, 16, "rendered", {"seed": 3}) as writer:
        for index in range(count):
            image, mask, attributes = _face(index)
            if change is not None and index == count - 1:
                change(image, mask, attributes)
            writer.add(f"n{index}", image, mask, attributes, SPLITS[index % 3])
    return PreparedFolder.open(out)


def test_everything_written_is_read_back(tmp_path):
    folder = _write(tmp_path / "made" / "deep")
    assert len(folder) == 6 and folder.image_size == 16 and folder.source == "rendered"
    assert folder.manifest["details"] == {"seed": 3}
    for index in range(6):
        image, mask, attributes = _face(index)
        np.testing.assert_array_equal(folder.image(index), image)
        np.testing.assert_array_equal(folder.mask(index), mask)
        np.testing.assert_array_equal(folder.attributes[index], attributes)
    assert folder.attributes.dtype == np.int8
    assert (
        folder.indices("judges").tolist() == [1, 4] and folder.indices("judges").dtype == np.int64
    )
    assert folder.splits.tolist() == list(SPLITS) * 2
    assert "6 faces of 16 px (generator 2, judges 2, test 2)" in folder.summary()


def test_identities_are_kept_where_known(tmp_path):
    image, mask, attributes = _face(0)
    people = {"a": "7", "b": "", "elsewhere": "7"}
    for out, given in (("some", people), ("none", {"elsewhere": "7"})):
        with PreparedWriter(tmp_path / out, 16, "folder", identities=given) as writer:
            for name in "abc":
                writer.add(name, image, mask, attributes, "test")
    folder, nobody = (PreparedFolder.open(tmp_path / out) for out in ("some", "none"))
    assert folder.identities == {"a": "7"} and folder.data_hash != nobody.data_hash
    assert (tmp_path / "some" / "identities.csv").read_text() == "name,identity\na,7\n"
    assert nobody.identities is None and not (tmp_path / "none" / "identities.csv").exists()
    (tmp_path / "some" / "identities.csv").write_text("name,identity\na,8\n")
    with pytest.raises(UserError, match="was changed after it was prepared"):
        PreparedFolder.open(tmp_path / "some")
    (tmp_path / "some" / "identities.csv").unlink()
    with pytest.raises(UserError, match=r"identities\.csv: is missing"):
        PreparedFolder.open(tmp_path / "some")


def test_missing_mask_reads_as_anything(tmp_path):
    image, _, attributes = _face(0)
    with PreparedWriter(tmp_path / "x", 16, "folder") as writer:
        writer.add("a", image, None, attributes, "test")
    folder = PreparedFolder.open(tmp_path / "x")
    assert not folder.has_mask[0] and (folder.mask(0) == ANYTHING).all()
    assert list((tmp_path / "x" / "masks").iterdir()) == []


def test_encoded_image_is_stored_byte_for_byte(tmp_path):
    image, mask, attributes = _face(0)
    Image.fromarray(image).save(tmp_path / "photo.jpg", quality=70)
    content = (tmp_path / "photo.jpg").read_bytes()
    with PreparedWriter(tmp_path / "x", 16, "folder") as writer:
        writer.add_encoded(EncodedFace("a", content, encode_png(mask), attributes), "test")
    assert (tmp_path / "x" / "images" / "a.jpg").read_bytes() == content
    photo = np.array(Image.open(tmp_path / "photo.jpg"))
    np.testing.assert_array_equal(PreparedFolder.open(tmp_path / "x").image(0), photo)


def test_hash_names_the_content(tmp_path):
    first = _write(tmp_path / "a").data_hash
    assert _write(tmp_path / "b").data_hash == first

    def pixel(image, mask, attributes):
        image[0, 0, 0] ^= 1

    def label(image, mask, attributes):
        mask[3, 3] = (mask[3, 3] + 1) % 19

    def attribute(image, mask, attributes):
        attributes[7] = -attributes[7] or 1

    hashes = {_write(tmp_path / c.__name__, change=c).data_hash for c in (pixel, label, attribute)}
    assert len(hashes | {first}) == 4


def test_a_failure_leaves_nothing_and_keeps_the_earlier_folder(tmp_path):
    before = _write(tmp_path / "x").data_hash
    for out in (tmp_path / "x", tmp_path / "new"):
        with pytest.raises(ZeroDivisionError), PreparedWriter(out, 16, "rendered") as writer:
            writer.add("a", *_face(0), "test")
            raise ZeroDivisionError
    assert PreparedFolder.open(tmp_path / "x").data_hash == before
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_failure_of_the_last_step_leaves_nothing(tmp_path):
    writer = PreparedWriter(tmp_path / "x", 16, "rendered", {"seed": object()})
    with pytest.raises(TypeError), writer:
        writer.add("a", *_face(0), "test")
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_prepared_folder_is_replaced(tmp_path):
    _write(tmp_path / "x", count=6)
    assert len(_write(tmp_path / "x", count=3)) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="in use"):
        _write(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema": "other"}')
    with pytest.raises(UserError, match="in use"):
        _write(tmp_path)
    with pytest.raises(UserError, match="is a file"):
        _write(tmp_path / "thesis.tex")
    with pytest.raises(UserError, match="cannot create"):
        _write(tmp_path / "thesis.tex" / "x")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_names_are_used_once_and_splits_are_known(tmp_path):
    with (
        pytest.raises(ValueError, match="twice"),
        PreparedWriter(tmp_path / "x", 16, "a") as writer,
    ):
        writer.add("a", *_face(0), "test")
        writer.add("a", *_face(0), "test")
    with pytest.raises(ValueError, match="training"), PreparedWriter(tmp_path / "x", 16, "a") as w:
        w.add("a", *_face(0), "training")


def _edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _append(path, text):
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda x: (x / "manifest.json").unlink(), "not a prepared folder"),
        (lambda x: (x / "manifest.json").write_text('{"schema'), "not valid JSON"),
        (lambda x: (x / "manifest.json").write_text("[]"), "schema is 'None'"),
        (lambda x: _edit_manifest(x, schema="facecond.prepared/9"), "facecond.prepared/9"),
        (lambda x: _edit_manifest(x, label_order="bisenet"), "label_order"),
        (lambda x: _edit_manifest(x, classes=["skin", "background"]), "classes"),
        (lambda x: _edit_manifest(x, count=7), "counts 7 faces"),
        (lambda x: _edit_manifest(x, data_hash="0"), "disagree"),
        (lambda x: (x / "images" / "n2.png").unlink(), "n2.png: is missing"),
        (lambda x: (x / "masks" / "n0.png").unlink(), "masks/n0.png: is missing"),
        (lambda x: (x / "splits" / "test.txt").unlink(), "test.txt: is missing"),
        (lambda x: _append(x / "attributes.csv", "\n"), "attributes.csv: was changed"),
        (lambda x: _append(x / "splits" / "test.txt", "n0\n"), "test.txt: was changed"),
    ],
)
def test_damage_is_named(tmp_path, damage, message):
    _write(tmp_path / "x")
    damage(tmp_path / "x")
    with pytest.raises(UserError, match=message):
        PreparedFolder.open(tmp_path / "x")


def test_missing_folder_and_empty_split(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        PreparedFolder.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match="'judges' is empty"):
        _write(tmp_path / "x", count=1).indices("judges")


def test_a_damaged_image_is_named_when_read(tmp_path):
    folder = _write(tmp_path / "x")
    (tmp_path / "x" / "images" / "n1.png").write_bytes(b"\x89PNG broken")
    (tmp_path / "x" / "masks" / "n1.png").write_bytes(encode_png(np.zeros((8, 8), np.uint8)))
    with pytest.raises(UserError, match=r"n1\.png: cannot be read"):
        folder.image(1)
    with pytest.raises(UserError, match="is 8x8, not 16 square"):
        folder.mask(1)


def test_a_mask_that_was_tampered_with_is_refused(tmp_path):
    folder = _write(tmp_path / "data")
    path = folder.root / "masks" / f"{folder.names[0]}.png"
    palette = Image.fromarray(np.zeros((16, 16), np.uint8), "P")
    palette.putpalette([7, 8, 9] * 256)
    wide = Image.fromarray(np.full((16, 16), 1000, np.uint16))
    strange = Image.fromarray(np.full((16, 16), 40, np.uint8))
    for picture, what in ((palette, "of mode P"), (wide, "of mode I;16"), (strange, "value 40")):
        picture.save(path)
        with pytest.raises(UserError, match=what):
            folder.mask(0)
