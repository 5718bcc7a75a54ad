import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from facecond.data.pictures import opened, read_photo, resize_mask, square_image, square_mask
from facecond.errors import UserError
from facecond.labels import ANYTHING, LABEL_ORDERS, MASK_CLASSES


def _smooth(width, height):
    """A picture of slow gradients: resizing it well loses almost nothing."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([255 * x, 255 * y, 127 * (x + y)], -1).astype(np.uint8)


def _decode(content):
    return np.array(Image.open(io.BytesIO(content)))


def _save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.bmp", "PNG")])
def test_central_square_resized(tmp_path, name, kind):
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    content, shown = square_image(_save(tmp_path / name, _smooth(640, 480), **options), 32)
    assert shown == (640, 480) and Image.open(io.BytesIO(content)).format == kind
    expected = np.array(Image.fromarray(_smooth(640, 480)[:, 80:560]).resize((32, 32), Image.BOX))
    assert np.abs(_decode(content).astype(int) - expected).max() <= 5


def test_fine_detail_is_averaged_not_sampled(tmp_path):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    for name, options in (("a.png", {}), ("a.jpg", {"quality": 98})):
        pixels = _decode(square_image(_save(tmp_path / name, stripes, **options), 32)[0])
        assert np.abs(pixels.astype(int) - 127).max() < 12


def test_jpeg_of_the_right_size_is_kept_byte_for_byte(tmp_path):
    path = _save(tmp_path / "a.jpg", _smooth(32, 32), quality=60)
    assert square_image(path, 32)[0] == path.read_bytes()
    assert square_image(path, 16)[0] != path.read_bytes()


def test_png_of_the_right_size_keeps_its_pixels(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = _save(tmp_path / "a.png", noise)
    np.testing.assert_array_equal(_decode(square_image(path, 32)[0]), noise)


@pytest.mark.parametrize("size", [32, 64])
def test_camera_orientation_is_applied(tmp_path, size):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:32] = 255  # bright above -> bright on the right
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95, exif=exif)
    shown = _decode(square_image(tmp_path / "a.jpg", size)[0])
    assert shown[:, : size // 4].mean() < 10 and shown[:, -size // 4 :].mean() > 245
    Image.fromarray(_smooth(60, 40)).save(tmp_path / "b.jpg", exif=exif)
    assert square_image(tmp_path / "b.jpg", 16)[1] == (40, 60)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA"])
def test_other_colour_modes_become_rgb(tmp_path, mode):
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(_smooth(32, 32)).convert(mode).save(path)
    assert _decode(square_image(path, 16)[0]).shape == (16, 16, 3)


def _truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def _flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def _empty(path):
    path.write_bytes(b"")


def _text(path):
    path.write_text("404 not found")


@pytest.mark.parametrize(
    ("name", "damage"),
    [(n, d) for n in ("a.jpg", "a.png") for d in (_truncated, _empty, _text)]
    + [("a.png", _flipped)],
)
@pytest.mark.parametrize("size", [16, 64])
def test_damaged_image_is_named(tmp_path, name, damage, size):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = _save(tmp_path / name, noise)
    damage(path)
    with pytest.raises(UserError, match="corrupt or truncated") as error:
        square_image(path, size)
    assert error.value.where == str(path) and "BytesIO" not in str(error.value)


def test_deep_image_and_unreadable_file(tmp_path):
    path = _save(tmp_path / "a.png", np.full((8, 8), 40000, np.uint16))
    with pytest.raises(UserError, match="mode is I;16"):
        square_image(path, 8)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        square_image(tmp_path / "b.png", 8)


@pytest.mark.parametrize("factor", [2, 3, 8, 15, 16, 24])
def test_area_vote_against_a_count_of_pixels(factor):
    random = np.random.default_rng(0)
    mask = random.choice([0, 1, 4, 13, ANYTHING], (12 * factor, 12 * factor)).astype(np.uint8)
    small = resize_mask(mask, 12)
    blocks = mask.reshape(12, factor, 12, factor).swapaxes(1, 2).reshape(12, 12, factor**2)
    counts = np.stack([(blocks == value).sum(-1) for value in range(256)], -1)
    np.testing.assert_array_equal(small, counts.argmax(-1))
    assert small.dtype == np.uint8


@pytest.mark.parametrize("areas", [(112, 113), (126, 127, 3), (100, 1, 155), (2, 2)])
def test_one_pixel_decides_the_area_vote(areas):
    side = round(sum(areas) ** 0.5)
    mask = np.repeat(np.arange(len(areas)), areas).astype(np.uint8).reshape(side, side)
    assert resize_mask(mask, 1) == np.argmax(areas)


def test_resizing_makes_no_new_class_and_growing_repeats():
    mask = np.random.default_rng(1).choice([2, 17], (30, 30)).astype(np.uint8)
    assert set(np.unique(resize_mask(mask, 13))) == {2, 17}
    np.testing.assert_array_equal(resize_mask(mask, 90), mask.repeat(3, 0).repeat(3, 1))
    np.testing.assert_array_equal(resize_mask(mask, 30), mask)


def test_mask_of_another_size_is_cropped_as_its_image(tmp_path):
    mask = np.zeros((30, 60), np.uint8)
    mask[:, 15:45] = 13
    path = _save(tmp_path / "m.png", mask)
    assert (square_mask(path, 10, "celebamask", (120, 60)) == 13).all()


def test_palette_masks_are_read_by_index(tmp_path):
    indices = np.arange(16, dtype=np.uint8).reshape(4, 4)
    picture = Image.new("P", (4, 4))
    picture.frombytes(indices.tobytes())
    picture.putpalette(list(range(255, 255 - 48, -1)))
    picture.save(tmp_path / "m.png")
    np.testing.assert_array_equal(square_mask(tmp_path / "m.png", 4, "celebamask", (4, 4)), indices)


def test_foreign_label_order_by_class_name(tmp_path):
    mask = np.append(np.arange(19), [ANYTHING] * 6).astype(np.uint8).reshape(5, 5)
    path = _save(tmp_path / "m.png", mask)
    read = square_mask(path, 5, "bisenet", (5, 5)).ravel()
    names = [MASK_CLASSES[value] for value in read[:19]]
    assert names == list(LABEL_ORDERS["bisenet"]) and (read[19:] == ANYTHING).all()


@pytest.mark.parametrize(
    ("mode", "message"),
    [("RGB", "mode RGB"), ("RGBA", "mode RGBA"), ("I;16", "mode I;16"), ("1", "mode 1")],
)
def test_mask_of_a_wrong_mode(tmp_path, mode, message):
    Image.new(mode, (8, 8)).save(tmp_path / "m.png")
    with pytest.raises(UserError, match=f"{message}.*8-bit PNG"):
        square_mask(tmp_path / "m.png", 8, "celebamask", (8, 8))


def four_bit_png(side: int) -> bytes:
    """A grey PNG of 4 bits per pixel, all 1; not every Pillow writes one."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 4, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x11" * (side // 2)) * side)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_mask_with_lossy_or_few_bits(tmp_path):
    path = _save(tmp_path / "m.jpg", np.zeros((8, 8), np.uint8))
    with pytest.raises(UserError, match="is a JPEG of mode L"):
        square_mask(path, 8, "celebamask", (8, 8))
    # Four bits: decoders stretch the values 0..15 to 0..255, which would pass for other classes.
    (tmp_path / "m.png").write_bytes(four_bit_png(8))
    with pytest.raises(UserError, match="has 4 bits"):
        square_mask(tmp_path / "m.png", 8, "celebamask", (8, 8))


def test_mask_values_that_are_no_class_are_listed(tmp_path):
    mask = np.zeros((8, 8), np.uint8)
    mask[0, :3] = 19, 100, ANYTHING
    with pytest.raises(UserError, match=r"no class: 19, 100\."):
        square_mask(_save(tmp_path / "m.png", mask), 8, "celebamask", (8, 8))
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    with pytest.raises(UserError, match=r"no class: 19, 20, .*26, \.\.\.\."):
        square_mask(_save(tmp_path / "m.png", grey), 8, "celebamask", (16, 16))


def test_mask_of_another_aspect_ratio(tmp_path):
    path = _save(tmp_path / "m.png", np.zeros((8, 12), np.uint8))
    with pytest.raises(UserError, match="mask is 12x8 but its image 64x64"):
        square_mask(path, 8, "celebamask", (64, 64))


@pytest.mark.parametrize("damage", [_truncated, _flipped, _empty])
def test_damaged_mask_is_named(tmp_path, damage):
    path = _save(tmp_path / "m.png", np.random.default_rng(0).integers(0, 19, (64, 64), np.uint8))
    damage(path)
    with pytest.raises(UserError, match="corrupt or truncated") as error:
        square_mask(path, 8, "celebamask", (64, 64))
    assert error.value.where == str(path)


def test_a_photo_is_read_upright_at_its_own_size(tmp_path):
    pixels = _smooth(30, 20)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be shown turned clockwise
    _save(tmp_path / "a.png", pixels, exif=turned)
    np.testing.assert_array_equal(read_photo(tmp_path / "a.png"), np.rot90(pixels, -1))
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "b.jpg", quality=98)
    assert np.abs(read_photo(tmp_path / "b.jpg").astype(int) - pixels).max() <= 8
    Image.fromarray(pixels[..., 0]).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "c.png"), pixels[..., :1].repeat(3, -1))
    (tmp_path / "d.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:300])
    with pytest.raises(UserError, match=r"d\.jpg: corrupt or truncated"):
        read_photo(tmp_path / "d.jpg")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "e.png")
    with pytest.raises(UserError, match=r"e\.png: the image mode is I;16.*8 bits"):
        read_photo(tmp_path / "e.png")
    with pytest.raises(UserError, match="cannot be read"):
        read_photo(tmp_path / "none.png")


def test_formats_that_pillow_gives_to_other_programs_are_not_opened(tmp_path):
    path = tmp_path / "mask.png"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    for read in (
        lambda: opened(path, path.read_bytes()),
        lambda: read_photo(path),
        lambda: square_image(path, 8),
        lambda: square_mask(path, 8, "celebamask", (8, 8)),
    ):
        with pytest.raises(UserError, match="not an image"):
            read()


def test_a_mask_of_another_format_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = _save(tmp_path / "mask.png", _smooth(8, 8), format="JPEG")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(UserError, match="a JPEG of mode RGB"):
        square_mask(path, 8, "celebamask", (8, 8))
