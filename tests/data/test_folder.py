import numpy as np
import pytest
from PIL import Image

from facecond.data.folder import prepare_folder
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import ANYTHING, ATTRIBUTES, PALETTE

YOUNG = ATTRIBUTES.index("Young")


def _mask(index, size=48):
    """Bands of classes; the picture of it shows each class in its palette colour."""
    bands = (np.arange(size) // (size // 6) + index) % 19
    return np.tile(bands.astype(np.uint8)[:, None], (1, size))


@pytest.fixture
def raw(tmp_path):
    root = tmp_path / "raw"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for index in range(20):
        mask = _mask(index)
        Image.fromarray(PALETTE[mask]).save(root / "images" / f"f{index:02d}.png")
        Image.fromarray(mask).save(root / "masks" / f"f{index:02d}.png")
    header = ",".join(("name", *ATTRIBUTES))
    rows = [f"f{index:02d}" + f",{2 * (index % 2) - 1}" * 40 for index in range(10)]
    (root / "attributes.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def _prepare(raw, size=24, **options):
    return prepare_folder(raw, raw.parent / "out", size, **({"workers": 1} | options))


def test_images_masks_and_attributes_stay_together(raw):
    folder = _prepare(raw)
    assert folder.names == [f"f{index:02d}" for index in range(20)]
    for index in range(20):
        expected = _mask(index)[::2, ::2]
        np.testing.assert_array_equal(folder.mask(index), expected)
        # Away from the edges of the bands, the picture shows the class that the mask names.
        inside = folder.image(index)[1::4, 5].astype(int)
        assert np.abs(inside - PALETTE[expected[1::4, 5]]).max() < 40
    assert (folder.attributes[:10] == np.arange(10)[:, None] % 2).all()
    assert (folder.attributes[10:] == -1).all()
    assert folder.source == "folder" and folder.manifest["details"]["without_mask"] == 0
    counts = [(folder.splits == split).sum() for split in ("generator", "judges", "test")]
    assert counts == [14, 4, 2]


def test_same_result_for_any_number_of_workers(raw):
    one = _prepare(raw, workers=1).data_hash
    assert _prepare(raw, workers=2).data_hash == one
    assert _prepare(raw, workers=2, seed=1).data_hash != one  # other splits


def test_masks_of_another_size_and_missing_masks(raw):
    Image.fromarray(_mask(0, 96)).save(raw / "masks" / "f00.png")
    (raw / "masks" / "f01.png").unlink()
    folder = _prepare(raw)
    np.testing.assert_array_equal(folder.mask(0), _mask(0)[::2, ::2])
    assert (folder.mask(1) == ANYTHING).all()
    assert folder.manifest["details"]["without_mask"] == 1 and "19 with mask" in folder.summary()


def test_images_alone_are_enough(raw):
    (raw / "attributes.csv").unlink()
    for path in (raw / "masks").iterdir():
        path.unlink()
    (raw / "masks").rmdir()
    folder = _prepare(raw)
    assert (folder.attributes == -1).all() and not folder.has_mask.any()


def test_masks_without_attributes(raw):
    (raw / "attributes.csv").unlink()
    folder = _prepare(raw)
    np.testing.assert_array_equal(folder.mask(3), _mask(3)[::2, ::2])
    assert (folder.attributes == -1).all() and folder.has_mask.all()
    details = folder.manifest["details"]
    assert details["without_attributes"] == 20 and details["attribute_columns"] == 0


def test_attributes_without_masks(raw):
    for path in (raw / "masks").iterdir():
        path.unlink()
    folder = _prepare(raw)
    assert not folder.has_mask.any()
    assert (folder.attributes[:10] == np.arange(10)[:, None] % 2).all()
    assert folder.manifest["details"]["without_mask"] == 20
    assert folder.manifest["details"]["without_attributes"] == 10


def test_labels_of_a_mapping_file(raw, tmp_path):
    for index in range(20):
        mask = np.full((48, 48), 40 + index % 3, np.uint8)
        Image.fromarray(mask).save(raw / "masks" / f"f{index:02d}.png")
    labels = tmp_path / "labels.csv"
    labels.write_text("value,class\n40,hair\n41,hair\n42,anything\n")
    folder = _prepare(raw, label_order=str(labels))
    assert [int(folder.mask(index)[0, 0]) for index in range(3)] == [13, 13, ANYTHING]
    details = folder.manifest["details"]
    assert details["label_order_read"] == "labels.csv" and details["labels_read"]["41"] == "hair"


def test_identities_of_a_file_stay_together(raw, tmp_path):
    people = tmp_path / "people.txt"
    others = [f"g{i:02d}.png 9\n" for i in range(30)]  # the file of a larger data set
    people.write_text("".join([*others, *(f"f{i:02d}.png {i // 4}\n" for i in range(16))]))
    folder = _prepare(raw, judges_fraction=0.4, test_fraction=0.2, identities=people)
    of_person = folder.splits[:16].reshape(4, 4)
    assert (of_person == of_person[:, :1]).all() and len(set(of_person[:, 0])) > 1
    assert folder.manifest["details"]["without_identity"] == 4
    assert folder.identities == {f"f{i:02d}": str(i // 4) for i in range(16)}
    people.write_text("name,identity\nnobody,1\n")
    with pytest.raises(UserError, match=r"people\.txt: names none of the images, such as 'f00'"):
        _prepare(raw, identities=people)
    _write_table(raw, "identity", lambda i: str(i // 4))
    with pytest.raises(UserError, match="has a column 'identity' too"):
        _prepare(raw, identities=people)


def test_excluded_names_are_left_out(raw):
    _truncate(raw / "images" / "f07.png")
    (raw / "masks" / "f08.png").write_text("no picture")
    (raw / "images" / "f09.png").unlink()
    (raw / "excluded.txt").write_text("f07\ttruncated\nf08\tno mask\nf09\tno image\n")
    folder = _prepare(raw)
    assert folder.names == [f"f{i:02d}" for i in range(20) if i not in (7, 8, 9)]
    assert folder.manifest["details"]["excluded"] == 3


def test_foreign_label_order(raw):
    for index in range(20):
        Image.fromarray(np.full((48, 48), 17, np.uint8)).save(raw / "masks" / f"f{index:02d}.png")
    assert (_prepare(raw).mask(0) == 17).all()
    assert (_prepare(raw, label_order="bisenet").mask(0) == 13).all()  # 17 is hair there
    with pytest.raises(UserError, match=r"'bisnet'.*'bisenet'"):
        _prepare(raw, label_order="bisnet")


def _write_table(raw, columns, row):
    rows = [f"f{i:02d},{row(i)}" for i in range(20)]
    (raw / "attributes.csv").write_text("\n".join([f"name,{columns}", *rows]) + "\n")


def test_splits_of_the_table_win(raw):
    words = ["train", "val", "test", "0", "1", "2"]
    _write_table(raw, "split,identity,Young", lambda i: f"{words[i % 6]},1,1")
    folder = _prepare(raw)
    expected = [["generator", "judges", "test"][i % 3] for i in range(20)]
    assert folder.splits.tolist() == expected and (folder.attributes[:, YOUNG] == 1).all()
    text = (raw / "attributes.csv").read_text()
    (raw / "attributes.csv").write_text(
        text.replace("f19,train,1,1\n", "").replace("f19,val,1,1\n", "")
    )
    with pytest.raises(UserError, match="no split for the image 'f19'"):
        _prepare(raw)


def test_identities_stay_together(raw):
    _write_table(raw, "identity", lambda i: str(i // 4))
    folder = _prepare(raw, judges_fraction=0.4, test_fraction=0.2)
    of_person = folder.splits.reshape(5, 4)
    assert (of_person == of_person[:, :1]).all()
    assert sorted(of_person[:, 0].tolist()) == ["generator"] * 2 + ["judges"] * 2 + ["test"]
    assert folder.identities == {f"f{i:02d}": str(i // 4) for i in range(20)}


def test_test_split_with_attributes(raw):
    folder = _prepare(raw, test_fraction=0.3, test_with_attributes=True)
    assert sorted(folder.indices("test")) == sorted(set(folder.indices("test")) & set(range(10)))
    assert len(folder.indices("test")) == 6
    # 4 of the 10 with attributes are left, and 4 judges of 14 faces: 1 of these is a judge's.
    assert (folder.splits[:10] == "judges").sum() == 1 and len(folder.indices("judges")) == 4
    assert folder.identities is None
    with pytest.raises(UserError, match="12 test faces wanted, 10 have"):
        _prepare(raw, test_fraction=0.6, test_with_attributes=True)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def _copy_as_jpeg(raw):
    Image.open(raw / "images" / "f03.png").save(raw / "images" / "f03.jpg")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: _truncate(raw / "images" / "f07.png"), r"f07\.png: corrupt or truncated"),
        (lambda raw: _truncate(raw / "masks" / "f18.png"), r"masks/f18\.png: corrupt"),
        (
            lambda raw: Image.new("RGB", (48, 48)).save(raw / "masks" / "f02.png"),
            r"masks/f02\.png: the mask is a PNG of mode RGB",
        ),
        (
            lambda raw: Image.new("L", (48, 48), 77).save(raw / "masks" / "f02.png"),
            r"masks/f02\.png: .*no class: 77",
        ),
        (
            lambda raw: Image.new("L", (48, 40)).save(raw / "masks" / "f02.png"),
            r"masks/f02\.png: the mask is 48x40 but its image 48x48",
        ),
        (_copy_as_jpeg, r"f03\.png: 'f03' is also the name of f03\.jpg"),
        (
            lambda raw: (raw / "masks" / "f03.png").rename(raw / "masks" / "f03_mask.png"),
            r"f03_mask\.png: no image",
        ),
        (
            lambda raw: (raw / "images" / "f05.png").rename(raw / "images" / "g05.txt"),
            r"masks/f05\.png: no image",
        ),
        (
            lambda raw: (raw / "images" / "f05.png").rename(raw / "images" / "f05.gif"),
            r"images/f05\.gif: pictures of the kind '\.gif' are not read",
        ),
        (
            lambda raw: (
                (raw / "images" / "f05.png").rename(raw / "images" / "f05.heic"),
                (raw / "masks" / "f05.png").unlink(),
            ),
            r"images/f05\.heic: pictures of the kind '\.heic' are not read",
        ),
        (
            lambda raw: (raw / "attributes.csv").write_text("name,Young\nf01,1\n3,1\n4,1\n"),
            r"attributes\.csv, line 3: no image for '3' \(2 such rows; .* like 'f00'",
        ),
        (
            lambda raw: (raw / "attributes.csv").write_text("name,Yuong\nf01,1\n"),
            "'Yuong'.*'Young'",
        ),
    ],
)
def test_faults_name_the_file_and_leave_nothing(raw, damage, message):
    damage(raw)
    with pytest.raises(UserError, match=message):
        _prepare(raw)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]


def test_missing_and_empty_folders(raw, tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        prepare_folder(tmp_path / "nowhere", tmp_path / "out", 24)
    (tmp_path / "empty" / "images").mkdir(parents=True)
    with pytest.raises(UserError, match="no images found"):
        prepare_folder(tmp_path / "empty", tmp_path / "out", 24)
    with pytest.raises(UserError, match="in use"):
        prepare_folder(raw, raw, 24)
    assert len(list((raw / "images").iterdir())) == 20


def test_faults_in_worker_processes_are_the_same(raw):
    _truncate(raw / "images" / "f07.png")
    with pytest.raises(UserError, match=r"f07\.png: corrupt or truncated"):
        _prepare(raw, workers=2)
    assert [path.name for path in raw.parent.iterdir()] == ["raw"]


def test_a_failed_run_keeps_the_earlier_result(raw):
    before = _prepare(raw).data_hash
    _truncate(raw / "images" / "f07.png")
    with pytest.raises(UserError, match="truncated"):
        _prepare(raw)
    assert PreparedFolder.open(raw.parent / "out").data_hash == before
