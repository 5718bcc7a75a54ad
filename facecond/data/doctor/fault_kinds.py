"""The kinds of faults that can be planted, and the findings that count as having found them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from facecond.data.doctor.plain_copy import PlainCopy
from facecond.labels import (
    ANYTHING,
    LABEL_ORDERS,
    MASK_CLASSES,
    MIRRORED_CLASSES,
    attribute_index,
    mirror_mask,
)

Plant = Callable[[PlainCopy, str, np.random.Generator], tuple[str, ...]]
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def anything_goes(copy: PlainCopy, name: str) -> bool:
    """The fault can befall every face."""
    return True


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        plant: does it to one face, and returns the names that a finding should have.
        codes: findings that count as having found it.
        eligible: whether it can befall a face at all.
    """

    plant: Plant
    codes: tuple[str, ...]
    eligible: Callable[[PlainCopy, str], bool] = anything_goes


def _cut(which: str) -> Plant:
    def plant(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
        path = getattr(copy, which)(name)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * random.uniform(0.3, 0.95))])
        return (name,)

    return plant


def _garbage(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
    copy.image(name).write_bytes(random.bytes(4000))
    return (name,)


def _deep_image(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
    grey = copy.pixels(name).mean(2).astype(np.uint16) * 257
    copy.image(name).unlink()
    Image.fromarray(grey).save(copy.root / "images" / f"{name}.png")
    return (name,)


def _mask_fault(
    change: Change,
) -> Plant:
    """A fault that only changes the pixels of the mask."""

    def plant(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
        Image.fromarray(change(copy.classes(name), random)).save(copy.mask(name))
        return (name,)

    return plant


def _patch(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    mask = mask.copy()
    side = max(2, len(mask) // 16)
    top, left = random.integers(0, len(mask) - side, 2)
    mask[top : top + side, left : left + side] = random.integers(len(MASK_CLASSES), ANYTHING)
    return mask


def _in_order(order: str) -> Change:
    table = np.arange(256, dtype=np.uint8)
    for value, name in enumerate(LABEL_ORDERS[order]):
        table[MASK_CLASSES.index(name)] = value
    return lambda mask, random: table[mask]


def _permuted(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    table = np.arange(256, dtype=np.uint8)
    table[: len(MASK_CLASSES)] = random.permutation(len(MASK_CLASSES))
    return table[mask]


def _sides_swapped(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    table = np.arange(256, dtype=np.uint8)
    for left, right in MIRRORED_CLASSES:
        table[left], table[right] = right, left
    return table[mask]


def _squeezed(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    size = (len(mask) * 3 // 4, len(mask))
    return cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT)


def _shifted(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side, angle = len(mask), random.uniform(0, 2 * np.pi)
    far = side * random.uniform(0.05, 0.12)
    across, down = round(far * np.cos(angle)), round(far * np.sin(angle))
    padded = np.pad(mask, side // 4, mode="edge")
    top, left = side // 4 - down, side // 4 - across
    return padded[top : top + side, left : left + side]


def _foreign(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
    others = [other for other in copy.names if other != name]
    mask = copy.original_mask(others[random.integers(len(others))])
    Image.fromarray(mask).save(copy.mask(name))
    return (name,)


def _mirror_image(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
    copy.save_image(name, np.ascontiguousarray(copy.pixels(name)[:, ::-1]))
    return (name,)


def _again(change: Change | None, split: bool = False) -> Plant:
    """The face a second time under a new name; `split`: in another split."""

    def plant(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
        twin = f"{name}_again"
        copy.add_twin(name, twin, split)
        if change is not None:
            copy.save_image(twin, change(copy.pixels(name), random))
            if change is _flipped:
                Image.fromarray(mirror_mask(copy.classes(name))).save(copy.mask(twin))
        return name, twin

    return plant


def _reworked(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Smaller, brighter, and through a coarse JPEG."""
    side = len(pixels)
    small = cv2.resize(pixels, (side * 3 // 4, side * 3 // 4), interpolation=cv2.INTER_AREA)
    gain = random.uniform(0.85, 1.15)
    buffer = io.BytesIO()
    bright = np.clip(small * gain, 0, 255).astype(np.uint8)
    Image.fromarray(bright).save(buffer, "JPEG", quality=int(random.integers(50, 85)))
    return cv2.resize(np.asarray(Image.open(buffer)), (side, side), interpolation=cv2.INTER_CUBIC)


def _cropped(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side = len(pixels)
    less = max(1, round(side * random.uniform(0.01, 0.03)))
    top, left = random.integers(0, less + 1, 2)
    inner = pixels[top : top + side - less, left : left + side - less]
    return cv2.resize(inner, (side, side), interpolation=cv2.INTER_CUBIC)


def _flipped(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.ascontiguousarray(pixels[:, ::-1])


def _attribute(name: str, value: int, part: str, low: float, high: float) -> Fault:
    """The attribute is set to `value` where it was not, and the mask shows that it was right."""
    column, class_ = attribute_index(name), MASK_CLASSES.index(part)

    def eligible(copy: PlainCopy, face: str) -> bool:
        return copy.values[face][column] == 1 - value and low <= copy.area(face, class_) < high

    def plant(copy: PlainCopy, face: str, random: np.random.Generator) -> tuple[str, ...]:
        copy.values[face][column] = value
        return (face,)

    side = "table" if value == 0 else "mask"
    code = {"Eyeglasses": f"glasses-not-in-{side}", "Wearing_Hat": f"hat-not-in-{side}"}
    return Fault(plant, (code.get(name, "bald-with-hair"),), eligible)


def _same_person(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
    free = [other for other in copy.names if other not in copy.touched]
    others = [other for other in free if copy.splits[other] != copy.splits[name]]
    other = others[random.integers(len(others))]
    copy.identities[name] = copy.identities[other]
    return name, other


def _remove(*which: str) -> Plant:
    def plant(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
        for part in which:
            getattr(copy, part)(name).unlink()
        return (name,)

    return plant


def _row(
    change: Callable[[PlainCopy, str], None],
) -> Plant:
    def plant(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
        change(copy, name)
        return (name,)

    return plant


def _second_file(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
    Image.fromarray(copy.pixels(name)).save(copy.root / "images" / f"{name}.webp")
    return (name,)


def _is_sided(copy: PlainCopy, name: str) -> bool:
    pairs = (min(copy.area(name, a), copy.area(name, b)) for a, b in MIRRORED_CLASSES)
    return max(pairs) > 0.0005


def _is_described(copy: PlainCopy, name: str) -> bool:
    return bool((copy.values[name] == 0).any())


MISPLACED = ("mask-of-other", "mask-shifted", "mask-mirrored")

FAULTS: dict[str, Fault] = {
    "image cut short": Fault(_cut("image"), ("unreadable-image",)),
    "image not an image": Fault(_garbage, ("unreadable-image",)),
    "image of 16 bits": Fault(_deep_image, ("image-mode",)),
    "mask cut short": Fault(_cut("mask"), ("unreadable-mask",)),
    "mask of 16 bits": Fault(
        _mask_fault(lambda m, r: m.astype(np.uint16)), ("mask-mode",), anything_goes
    ),
    "mask in RGB": Fault(
        _mask_fault(lambda m, r: np.stack([m] * 3, -1)), ("mask-mode",), anything_goes
    ),
    "mask squeezed": Fault(_mask_fault(_squeezed), ("size-mismatch",)),
    "unknown class": Fault(_mask_fault(_patch), ("unknown-class",)),
    "mask all background": Fault(_mask_fault(lambda m, r: m * 0), ("empty-mask",)),
    "mask all 255": Fault(
        _mask_fault(lambda m, r: m * 0 + ANYTHING), ("empty-mask",), anything_goes
    ),
    "bisenet order": Fault(_mask_fault(_in_order("bisenet")), ("label-order",)),
    "shuffled classes": Fault(_mask_fault(_permuted), ("label-order",)),
    "left and right swapped": Fault(_mask_fault(_sides_swapped), ("left-right",), _is_sided),
    "mask shifted 5-12%": Fault(_mask_fault(_shifted), MISPLACED),
    "mask flipped": Fault(_mask_fault(lambda m, r: mirror_mask(m)), MISPLACED),
    "image flipped": Fault(_mirror_image, MISPLACED),
    "mask of another face": Fault(_foreign, MISPLACED),
    "Eyeglasses=1 wrongly": _attribute("Eyeglasses", 1, "eye_g", 0.0, 1e-9),
    "Eyeglasses=0 wrongly": _attribute("Eyeglasses", 0, "eye_g", 0.02, 1.0),
    "Wearing_Hat=1 wrongly": _attribute("Wearing_Hat", 1, "hat", 0.0, 1e-9),
    "Wearing_Hat=0 wrongly": _attribute("Wearing_Hat", 0, "hat", 0.125, 1.0),
    "Bald=1 wrongly": _attribute("Bald", 1, "hair", 0.2, 1.0),
    "same file twice": Fault(_again(None), ("exact-duplicate",)),
    "picture re-encoded": Fault(_again(_reworked), ("near-duplicate",)),
    "picture cropped 1-3%": Fault(_again(_cropped), ("near-duplicate",)),
    "picture mirrored": Fault(_again(_flipped), ("near-duplicate",)),
    "picture in two splits": Fault(_again(_reworked, split=True), ("split-leak",)),
    "person in two splits": Fault(_same_person, ("identity-leak",)),
    "image missing": Fault(_remove("image"), ("mask-without-image",)),
    "mask missing": Fault(_remove("mask"), ("image-without-mask",)),
    "image and mask missing": Fault(
        _remove("image", "mask"), ("row-without-image",), anything_goes
    ),
    "row missing": Fault(
        _row(lambda c, n: c.rows.remove(n)), ("image-without-row",), anything_goes
    ),
    "row twice": Fault(_row(lambda c, n: c.rows.append(n)), ("duplicate-row",)),
    "row unreadable": Fault(_row(lambda c, n: c.broken.add(n)), ("bad-row",)),
    "row coded 0": Fault(_row(lambda c, n: c.zero_coded.add(n)), ("mixed-coding",), _is_described),
    "two images": Fault(_second_file, ("duplicate-name",)),
}
"""Name of a fault -> how it is planted and found."""
