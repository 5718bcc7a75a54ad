"""Foreign picture files -> square RGB images and label masks of the size wanted."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from facecond.data.label_map import LabelMap, label_map
from facecond.data.writing import encode_png
from facecond.errors import UserError
from facecond.labels import LABEL_ORDERS

_IMAGE_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"}
_IMAGE_FIX = "Save it with 8 bits per channel, as JPEG or PNG."
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "JPEG2000")
"""Formats that are opened; Pillow knows more, and gives some to other programs (EPS)."""
_EXIF_ORIENTATION = 0x0112
_PNG_BIT_DEPTH = 24  # offset of this byte in the file
_MASK_FIX = "Save masks as 8-bit PNG, greyscale or palette, with the class ids 0-18 or 255."


def square_image(path: Path, size: int) -> tuple[bytes, tuple[int, int]]:
    """Centre-crop an image file to a square and resize it with antialiasing.

    A JPEG that has the size already is kept byte for byte; other JPEGs are stored at quality 95
    without chroma subsampling, and everything else as PNG.

    Returns:
        The bytes of the new file, and (width, height) of the picture as shown before cropping.

    Raises:
        UserError: the file is corrupt, truncated, or has more than 8 bits per channel.
    """
    content = read_bytes(path)
    picture = decoded(path, content, draft=2 * size)
    if picture.mode not in _IMAGE_MODES:
        raise UserError(f"the image mode is {picture.mode}", path, _IMAGE_FIX)
    with Image.open(io.BytesIO(content)) as header:  # `picture` may be decoded at reduced size
        turned = header.getexif().get(_EXIF_ORIENTATION, 1)  # 1 is upright, 5-8 lie on the side
        shown = header.size[::-1] if turned in (5, 6, 7, 8) else header.size
        is_jpeg = header.format == "JPEG"
    if is_jpeg and shown == (size, size) and turned == 1 and picture.mode in ("RGB", "L"):
        return content, shown
    square = _crop(ImageOps.exif_transpose(picture)).convert("RGB")
    square = square.resize((size, size), Image.Resampling.LANCZOS)
    if not is_jpeg:
        return encode_png(np.asarray(square)), shown
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue(), shown


def square_mask(
    path: Path,
    size: int,
    label_order: str | LabelMap,
    image_shape: tuple[int, int],
    content: bytes | None = None,
) -> np.ndarray:
    """Read a label mask, bring it to CelebAMask-HQ's order, crop and resize it as the image.

    Args:
        path: 8-bit PNG, greyscale or palette (then the palette's indices are the classes).
        size: side of the result.
        label_order: what its values mean, or the name of a known order.
        image_shape: (width, height) of the image; the mask needs the same aspect ratio.
        content: of the file, where it is read already; then `path` is only what messages name.

    Returns:
        uint8 [size, size], values 0..18 and 255.

    Raises:
        UserError: the file is corrupt or has a wrong mode, shape or value.
    """
    labels = label_order if isinstance(label_order, LabelMap) else label_map(label_order)
    content = read_bytes(path) if content is None else content
    check_mask_kind(path, opened(path, content))
    picture = decoded(path, content)
    if picture.mode == "L" and png_bits(content) != 8:  # decoding would scale the values
        raise UserError(f"the mask has {png_bits(content)} bits", path, _MASK_FIX)
    (width, height), (image_width, image_height) = picture.size, image_shape
    # Equal aspect ratios, up to a pixel of rounding.
    if abs(width * image_height - height * image_width) > max(*picture.size, *image_shape):
        what = f"the mask is {width}x{height} but its image {image_width}x{image_height}"
        raise UserError(what, path, "Give both the same aspect ratio.")
    mask = np.array(_crop(picture))
    classes = labels.classes[mask]
    wrong = np.unique(mask[classes < 0]).tolist()
    if wrong:
        listed = ", ".join(map(str, wrong[:8])) + (", ..." if len(wrong) > 8 else "")
        fix = f"{_MASK_FIX} Other values can be named by --labels FILE."
        if labels.name not in LABEL_ORDERS:
            fix = f"Give these values a class in {labels.name}."
        raise UserError(f"the mask has values that are no class: {listed}", path, fix)
    return resize_mask(classes.astype(np.uint8), size)


def check_mask_kind(path: Path, header: Image.Image) -> None:
    """Raise `UserError` where an opened file is of no kind that holds classes: a photo is not."""
    if header.format != "PNG" or header.mode not in ("L", "P"):
        photo = header.format != "PNG" or header.mode in ("RGB", "RGBA")
        told = ": a photo or drawing, not the classes of one" if photo else ""
        what = f"the mask is a {header.format} of mode {header.mode}{told}"
        raise UserError(what, path, _MASK_FIX)


def read_photo(path: Path, content: bytes | None = None) -> np.ndarray:
    """A picture file, upright, at its own size: uint8 [H, W, 3]. `content` is that of the file,
    where it is read already.

    Raises:
        UserError: the file is corrupt, truncated, or has more than 8 bits per channel.
    """
    picture = decoded(path, read_bytes(path) if content is None else content)
    if picture.mode not in _IMAGE_MODES:
        raise UserError(f"the image mode is {picture.mode}", path, _IMAGE_FIX)
    return np.array(ImageOps.exif_transpose(picture).convert("RGB"))


def resize_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Resize a square label mask: shrinking takes the class with most area, growing the nearest.

    Args:
        mask: uint8 [S, S]; 255 counts as a class of its own.
        size: side of the result.

    Returns:
        uint8 [size, size]; ties go to the lower class id.
    """
    if len(mask) == size:
        return mask
    if len(mask) < size:
        return cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    factor, rest = divmod(len(mask), size)
    # Of whole blocks of up to 15 x 15 pixels, equal and unequal areas stay so in 8 bits.
    kind = np.uint8 if rest == 0 and factor <= 15 else np.float32
    best = np.zeros((size, size), kind)
    winner = np.zeros((size, size), np.uint8)
    for value in np.flatnonzero(np.bincount(mask.ravel())):
        region: np.ndarray = cv2.inRange(mask, (int(value),), (int(value),))
        region = region.astype(kind, copy=False)
        area = cv2.resize(region, (size, size), interpolation=cv2.INTER_AREA)
        winner[area > best] = value
        np.maximum(best, area, out=best)
    return winner


def read_bytes(path: Path) -> bytes:
    """The content of a file; an unreadable one is a `UserError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", path, "Check the file.") from None


def opened(path: Path, content: bytes) -> Image.Image:
    """Read the header of a file in one of `FORMATS`, and check the checksums of a PNG file:
    decoding alone passes over a damaged chunk. The pixels are not decoded yet.

    Raises:
        UserError: the content of the file `path` is damaged, or no picture.
    """
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
        if picture.format == "PNG":
            picture.verify()
            picture = Image.open(io.BytesIO(content), formats=FORMATS)
        return picture
    except Exception as error:  # decoders raise errors of every kind on damaged files
        raise damaged(path, error) from None


def decoded(path: Path, content: bytes, draft: int | None = None) -> Image.Image:
    """Decode to the last pixel; `draft` allows a JPEG to come out reduced, its sides >= draft.

    Raises:
        UserError: the content of the file `path` is corrupt or truncated, or no picture.
    """
    picture = opened(path, content)
    try:
        if draft is not None:
            picture.draft("RGB", (draft, draft))
        picture.load()
    except Exception as error:
        raise damaged(path, error) from None
    return picture


def damaged(path: Path, error: Exception) -> UserError:
    """The `UserError` for a file that a decoder fails on."""
    known = not isinstance(error, UnidentifiedImageError)
    what = f"corrupt or truncated ({error if known else 'not an image'})"
    return UserError(what, path, "Replace the file by an intact one, or remove it.")


def png_bits(content: bytes) -> int:
    """Bits per channel of a PNG file, as its header says."""
    return content[_PNG_BIT_DEPTH]


def _crop(picture: Image.Image) -> Image.Image:
    """The largest centred square."""
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
