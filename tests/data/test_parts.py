from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facecond.data.parts import fuse_parts, read_part
from facecond.errors import UserError
from facecond.labels import MASK_CLASSES


def _blobs(seed: int, size: int = 40) -> np.ndarray:
    """bool [S, S]: discs, whose rows make encoders use every filter."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centres = random.uniform(0, size, (4, 3))
    return np.any([(y - a) ** 2 + (x - b) ** 2 < (r / 5) ** 2 for a, b, r in centres], axis=0)


def _save(path: Path, part: np.ndarray, kind: str) -> Path:
    grey = part.astype(np.uint8) * 255
    if kind == "opencv":
        cv2.imwrite(str(path), np.repeat(grey[..., None], 3, axis=-1))
    elif kind == "opencv grey":
        cv2.imwrite(str(path), grey)
    elif kind == "0/1":
        Image.fromarray(part.astype(np.uint8)).save(path)
    else:
        Image.fromarray(grey).convert(kind).save(path)
    return path


@pytest.mark.parametrize("kind", ["opencv", "opencv grey", "RGB", "L", "1", "P", "0/1"])
def test_every_way_of_writing_a_part_reads_the_same(tmp_path: Path, kind: str) -> None:
    for seed in range(5):
        part = _blobs(seed)
        read = read_part(_save(tmp_path / "part.png", part, kind))
        assert read.dtype == np.uint8 and 0 < part.mean() < 1
        np.testing.assert_array_equal(read != 0, part)


@pytest.mark.parametrize("filters", [[1] * 8, [1] * 7 + [0], [1, 2, 3, 4, 0, 1, 2, 3]])
def test_rows_of_every_filter(tmp_path: Path, filters: list[int]) -> None:
    """A file made by hand: each row by a filter of its own, so that no short cut fits all."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    part = np.random.default_rng(3).integers(0, 256, (8, 8), np.uint8)
    rows, above = b"", np.zeros(9, int)
    for kind, row in zip(filters, part, strict=True):
        now = np.concatenate([[0], row.astype(int)])
        left, up, corner = now[:-1], above[1:], above[:-1]
        estimate = left + up - corner
        distances = [abs(estimate - value) for value in (left, up, corner)]
        paeth = np.choose(np.argmin(distances, axis=0), [left, up, corner])
        predicted = [0 * left, left, up, (left + up) // 2, paeth][kind]
        rows += bytes([kind]) + ((now[1:] - predicted) % 256).astype(np.uint8).tobytes()
        above = now
    stream = zlib.compress(rows)
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    content += chunk(b"IDAT", stream[:7]) + chunk(b"IDAT", stream[7:]) + chunk(b"IEND", b"")
    (tmp_path / "part.png").write_bytes(content)
    np.testing.assert_array_equal(read_part(tmp_path / "part.png"), part)


def test_later_parts_paint_over_earlier_ones(tmp_path: Path) -> None:
    values = [1, 2, 4, 13, 14, 18]
    blobs = {value: _blobs(value) for value in values}
    paths = {
        value: _save(tmp_path / f"{MASK_CLASSES[value]}.png", blobs[value], "RGB")
        for value in reversed(values)
    }
    expected = np.zeros((40, 40), np.uint8)
    for value in values:
        expected[blobs[value]] = value
    assert (blobs[1] & blobs[13]).any() and (blobs[13] & blobs[18]).any()
    np.testing.assert_array_equal(fuse_parts(paths), expected)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def _text(path: Path) -> None:
    path.write_text("404 not found")


def _jpeg(path: Path) -> None:
    Image.fromarray(_blobs(0).astype(np.uint8) * 255).save(path, "JPEG")


def _rgba(path: Path) -> None:
    Image.fromarray(_blobs(0).astype(np.uint8) * 255).convert("RGBA").save(path)


def _transparent(path: Path) -> None:
    Image.fromarray(_blobs(0).astype(np.uint8) * 255).save(path, transparency=0)


def _deep(path: Path) -> None:
    Image.fromarray(_blobs(0).astype(np.uint16) * 255).save(path)


def _deep_rgb(path: Path) -> None:
    cv2.imwrite(str(path), np.repeat(_blobs(0).astype(np.uint16)[..., None] * 255, 3, axis=-1))


def _oblong(path: Path) -> None:
    Image.new("L", (40, 30), 255).save(path)


def _small(path: Path) -> None:
    Image.new("L", (20, 20), 255).save(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_truncate, "corrupt or truncated"),
        (_flip, "corrupt or truncated"),
        (_text, "corrupt or truncated .not an image"),
        (_jpeg, "the part is a JPEG of mode L"),
        (_rgba, "of mode RGBA with transparency"),
        (_transparent, "of mode L with transparency"),
        (_deep, "of mode I;16"),
        (_deep_rgb, "the part has 16 bits"),
        (_oblong, "the part is 40x30, not square"),
        (_small, "the part is 20x20 but other parts 40x40"),
    ],
)
@pytest.mark.parametrize("kind", ["opencv", "RGB"])
def test_a_faulty_part_is_named(tmp_path: Path, kind: str, damage, message: str) -> None:
    skin = _save(tmp_path / "skin.png", _blobs(1), kind)
    hair = _save(tmp_path / "hair.png", _blobs(2), kind)
    assert fuse_parts({1: skin, 13: hair}).max() == 13
    damage(hair)
    with pytest.raises(UserError, match=message) as error:
        fuse_parts({1: skin, 13: hair})
    assert error.value.where == str(hair)
