import io

import numpy as np
import pytest
from PIL import Image

from facecond.data.doctor.files import read_contents
from facecond.data.doctor.inventory import WHOLE, Face, unspecified
from facecond.labels import MASK_CLASSES


@pytest.fixture
def face(tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "a.jpg", quality=90)
    mask = random.integers(0, 19, (40, 40), dtype=np.uint8)
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    image = tmp_path / "images" / "a.jpg"
    return Face("a", image, {WHOLE: tmp_path / "masks" / "a.png"}, unspecified())


def _codes(face, side=None):
    return [finding.code for finding in read_contents(face, side).findings]


def _as_image(face, name, picture, **options):
    path = face.image.parent / name
    picture.save(path, **options)
    return Face("a", path, face.masks, face.attributes)


def test_sound_files_are_read(face):
    contents = read_contents(face, side=40)
    assert contents.findings == [] and contents.image_size == (40, 40)
    assert contents.image.shape == (40, 40, 3) and len(contents.image_sha) == 64
    np.testing.assert_array_equal(contents.mask, np.asarray(Image.open(face.masks[WHOLE])))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.9, 0.99])
@pytest.mark.parametrize("which", ["image", "mask"])
def test_files_cut_short(face, which, share):
    path = face.image if which == "image" else face.masks[WHOLE]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert _codes(face) == [f"unreadable-{which}"]


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_is_cut_short(face, progressive):
    picture = Image.open(face.image)
    picture.load()
    picture.save(face.image, quality=90, progressive=progressive)
    assert _codes(face) == []
    face.image.write_bytes(face.image.read_bytes()[:-2])
    assert _codes(face) == ["unreadable-image"]


def test_a_damaged_byte_within_a_png_is_seen(face):
    path = face.masks[WHOLE]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    assert _codes(face) == ["unreadable-mask"]


@pytest.mark.parametrize(
    ("name", "mode", "options", "codes"),
    [
        ("b.png", "I;16", {}, ["image-mode"]),
        ("b.tif", "F", {}, ["image-mode"]),
        ("b.png", "L", {}, []),
        ("b.png", "P", {}, []),
        ("b.png", "RGBA", {}, []),
        ("b.jpg", "CMYK", {}, []),
        ("b.jpg", "L", {}, []),
        ("b.webp", "RGB", {"lossless": True}, []),
    ],
)
def test_kinds_of_images(face, name, mode, options, codes):
    grey = Image.open(face.image).convert("L")
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        picture = grey.convert(mode)
    assert _codes(_as_image(face, name, picture, **options)) == codes


def test_an_image_of_one_colour(face):
    assert _codes(_as_image(face, "b.png", Image.new("RGB", (40, 40), (9, 9, 9)))) == [
        "blank-image"
    ]


@pytest.mark.parametrize(
    ("mode", "codes"),
    [("L", []), ("P", []), ("RGB", ["mask-mode"]), ("RGBA", ["mask-mode"]), ("1", ["mask-mode"]),
     ("I;16", ["mask-mode"]), ("LA", ["mask-mode"])],
)  # fmt: skip
def test_kinds_of_masks(face, mode, codes):
    path = face.masks[WHOLE]
    values = np.asarray(Image.open(path))
    if mode == "P":
        picture = Image.fromarray(values, "L").copy()
        picture.putpalette(list(range(256)) * 3)
    elif mode == "I;16":
        picture = Image.fromarray(values.astype(np.uint16))
    else:
        picture = Image.fromarray(values).convert(mode)
    picture.save(path)
    contents = read_contents(face)
    assert [finding.code for finding in contents.findings] == codes
    if not codes:
        np.testing.assert_array_equal(contents.mask, values)


def test_a_mask_saved_as_jpeg(face):
    buffer = io.BytesIO()
    Image.open(face.masks[WHOLE]).save(buffer, "JPEG")
    face.masks[WHOLE].write_bytes(buffer.getvalue())
    assert _codes(face) == ["mask-mode"]


@pytest.mark.parametrize(
    ("size", "side", "codes"),
    [((20, 20), None, []), ((20, 21), None, []), ((30, 40), None, ["size-mismatch"]),
     ((20, 20), 40, ["size-mismatch"]), ((40, 40), 40, [])],
)  # fmt: skip
def test_shapes(face, size, side, codes):
    mask = Image.open(face.masks[WHOLE]).resize(size, Image.Resampling.NEAREST)
    mask.save(face.masks[WHOLE])
    assert _codes(face, side) == codes


def test_a_picture_on_its_side_has_the_shape_in_which_it_is_shown(face):
    exif = Image.Exif()
    exif[0x0112] = 6
    wide = Image.open(face.image).resize((40, 30))
    turned = _as_image(face, "b.jpg", wide, exif=exif)
    assert _codes(turned) == ["size-mismatch"]
    assert read_contents(turned).image_size == (30, 40)
    Image.new("L", (30, 40)).save(face.masks[WHOLE])
    assert _codes(turned) == []


def test_a_missing_file_is_a_finding(face):
    face.image.unlink()
    assert _codes(face) == ["unreadable-image"]


def test_parts_are_painted_in_the_order_of_their_classes(face, tmp_path):
    parts = {}
    for name, columns in (("hair", slice(0, 30)), ("skin", slice(10, 40))):
        part = np.zeros((40, 40), np.uint8)
        part[:, columns] = 255
        parts[MASK_CLASSES.index(name)] = tmp_path / f"{name}.png"
        Image.fromarray(part).convert("RGB").save(tmp_path / f"{name}.png")
    contents = read_contents(Face("a", face.image, dict(sorted(parts.items())), unspecified()))
    assert contents.findings == []
    assert contents.mask[0].tolist() == [13] * 30 + [1] * 10
    Image.new("L", (20, 20)).save(tmp_path / "hair.png")
    contents = read_contents(Face("a", face.image, dict(sorted(parts.items())), unspecified()))
    assert [finding.code for finding in contents.findings] == ["size-mismatch"]


def test_a_file_that_is_not_the_prepared_one(face):
    hashed = Face("a", face.image, face.masks, face.attributes, hashes={face.image: "0" * 64})
    assert _codes(hashed) == ["changed-file"]
