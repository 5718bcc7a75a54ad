"""Reading pictures and masks to the last byte, and saying what is wrong with a file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from facecond.data.doctor.findings import Finding
from facecond.data.doctor.inventory import WHOLE, Face
from facecond.labels import MASK_CLASSES

DRAFT = 256
"""A JPEG is decoded at the smallest reduced scale whose sides are at least this long."""

_IMAGE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
_PART_MODES = ("1", "L", "P", "RGB")
_PNG_BIT_DEPTH = 24  # offset of this byte in the file
_TURNED = (5, 6, 7, 8)  # EXIF orientations that lie on the side


@dataclass
class Contents:
    """What a face's files hold, as far as they can be read.

    Attributes:
        image: uint8 [h, w, 3] upright RGB, perhaps at reduced scale, or None.
        image_size: (width, height) at full scale, upright.
        image_sha: SHA-256 of the image file; "" when it cannot be read.
        mask: uint8 [H, W] of class ids (any value), or None.
        findings: what is wrong with the files.
    """

    image: np.ndarray | None = None
    image_size: tuple[int, int] = (0, 0)
    image_sha: str = ""
    mask: np.ndarray | None = None
    findings: list[Finding] = field(default_factory=list)


class Fault(Exception):
    """A file that is of no use: the code of the finding and the words for it."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(message)


def read_contents(face: Face, side: int | None = None) -> Contents:
    """Read image and mask of a face; `side`: what both must measure, in pixels (prepared)."""
    contents = Contents()
    shas: dict[Path, str] = {}
    try:
        content = _bytes(face.image, "unreadable-image")
        contents.image_sha = shas[face.image] = hashlib.sha256(content).hexdigest()
        contents.image, contents.image_size = read_image(face.image, content)
    except Fault as fault:
        contents.findings.append(Finding(fault.code, (face.name,), fault.message))
    try:
        contents.mask = read_masks(face.masks, shas)
    except Fault as fault:
        contents.findings.append(Finding(fault.code, (face.name,), fault.message))
    contents.findings += _check_sizes(face, contents, side)
    for path, expected in face.hashes.items():
        if shas.get(path, expected) != expected and not contents.findings:
            message = f"{path.parent.name}/{path.name} is not the file that was prepared"
            contents.findings.append(Finding("changed-file", (face.name,), message))
    return contents


def read_image(path: Path, content: bytes) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode an image file: uint8 [h, w, 3] upright, and its full (width, height).

    Raises:
        Fault: corrupt, truncated, of a wrong kind, or of one colour.
    """
    try:
        picture: Image.Image = Image.open(io.BytesIO(content))
        kind, size, mode = picture.format, picture.size, picture.mode
        picture = _decoded(picture, content, DRAFT)
        if picture.getexif().get(0x0112, 1) in _TURNED:
            size = (size[1], size[0])
        if kind == "JPEG" and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
            raise ValueError("the end of the file is missing")
    except Exception as error:  # decoders raise errors of every kind on damaged files
        raise Fault("unreadable-image", f"{_short(path)}: {_words(error)}") from None
    if mode not in _IMAGE_MODES or (kind == "PNG" and content[_PNG_BIT_DEPTH] > 8):
        bits = "16 bits per channel" if kind == "PNG" and mode in _IMAGE_MODES else f"mode {mode}"
        raise Fault("image-mode", f"{_short(path)}: a {kind} of {bits}")
    pixels = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    if np.ptp(pixels.reshape(-1, 3), axis=0).max() <= 2:
        raise Fault("blank-image", f"{_short(path)}: every pixel has one colour")
    return pixels, size


def read_masks(masks: Mapping[int, Path], shas: dict[Path, str] | None = None) -> np.ndarray | None:
    """One mask: the file with all classes, or the parts painted in the order of their classes.

    Args:
        masks: class id, or `WHOLE`, -> file.
        shas: is told the SHA-256 of every file read.

    Returns:
        uint8 [H, W], or None when there are no files.

    Raises:
        Fault: a file is corrupt or of a wrong kind, or the parts differ in size.
    """
    fused: np.ndarray | None = None
    for value, path in masks.items():
        content = _bytes(path, "unreadable-mask")
        if shas is not None:
            shas[path] = hashlib.sha256(content).hexdigest()
        picture = _read_mask(path, content, _PART_MODES if value != WHOLE else ("L", "P"))
        if value == WHOLE:
            return np.asarray(picture)
        part = np.asarray(picture.convert("L") if picture.mode != "RGB" else picture.getchannel(0))
        if fused is None:
            fused = np.zeros(part.shape, np.uint8)
        if part.shape != fused.shape:
            sizes = (
                f"{part.shape[1]}x{part.shape[0]}, other parts {fused.shape[1]}x{fused.shape[0]}"
            )
            raise Fault("size-mismatch", f"the part {MASK_CLASSES[value]} is {sizes}")
        np.copyto(fused, np.uint8(value), where=part > 0)
    return fused


def _read_mask(path: Path, content: bytes, modes: tuple[str, ...]) -> Image.Image:
    try:
        picture: Image.Image = Image.open(io.BytesIO(content))
        kind, mode = picture.format, picture.mode
        clear = "transparency" in picture.info
        picture = _decoded(picture, content, None)
    except Exception as error:
        raise Fault("unreadable-mask", f"{_short(path)}: {_words(error)}") from None
    if kind != "PNG" or mode not in modes:
        raise Fault("mask-mode", f"{_short(path)}: a {kind} of mode {mode}")
    bits = content[_PNG_BIT_DEPTH]
    if bits > 8 or (mode == "L" and bits < 8):  # decoding would scale the values
        raise Fault("mask-mode", f"{_short(path)}: {bits} bits per value")
    if clear and mode != "P":
        raise Fault("mask-mode", f"{_short(path)}: it has transparency")
    return picture


def _decoded(picture: Image.Image, content: bytes, draft: int | None) -> Image.Image:
    """Decode to the last pixel."""
    if picture.format == "PNG":
        picture.verify()  # checksums: decoding alone passes over a damaged chunk
        picture = Image.open(io.BytesIO(content))
    elif picture.format == "JPEG" and draft is not None:
        picture.draft("RGB", (draft, draft))
    picture.load()
    return picture


def _check_sizes(face: Face, contents: Contents, side: int | None) -> list[Finding]:
    image, mask = contents.image, contents.mask
    width, height = contents.image_size
    if side is not None and image is not None and (width, height) != (side, side):
        message = f"the image is {width}x{height}, not {side} square"
        return [Finding("size-mismatch", (face.name,), message)]
    if mask is None:
        return []
    shape = f"{mask.shape[1]}x{mask.shape[0]}"
    if side is not None and mask.shape != (side, side):
        message = f"the mask is {shape}, not {side} square"
        return [Finding("size-mismatch", (face.name,), message)]
    off = abs(mask.shape[1] * height - mask.shape[0] * width)
    if image is not None and off > max(*mask.shape, width, height):  # a pixel of rounding
        message = f"the image is {width}x{height}, the mask {shape}"
        return [Finding("size-mismatch", (face.name,), message)]
    return []


def _bytes(path: Path, code: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Fault(code, f"{_short(path)}: {error.strerror}") from None
    if not content:
        raise Fault(code, f"{_short(path)}: the file is empty")
    return content


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _words(error: Exception) -> str:
    known = str(error) and not isinstance(error, UnidentifiedImageError)
    return " ".join(str(error).split()) if known else "not an image"
