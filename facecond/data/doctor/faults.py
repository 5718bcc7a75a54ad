"""Plants known faults into a copy of a plain folder, so that finding them can be measured.

Every kind of fault befalls its own faces; faces that none befell are the clean ones.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
from facecond.seeding import numpy_generator


@dataclass(frozen=True)
class Fault:
    """A kind of fault.

    Attributes:
        plant: does it to one face, and returns the names that a finding should have.
        codes: findings that count as having found it.
        eligible: whether it can befall a face at all.
    """

    plant: Callable[[PlainCopy, str, np.random.Generator], tuple[str, ...]]
    codes: tuple[str, ...]
    eligible: Callable[[PlainCopy, str], bool]


@dataclass
class Planted:
    """What was planted.

    Attributes:
        folder: the copy.
        faults: (kind, names) of every fault.
        clean: names of the faces that nothing befell.
    """

    folder: Path
    faults: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)


def plant_faults(
    root: str | Path,
    out: str | Path,
    share: float = 0.01,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    count: int | None = None,
) -> Planted:
    """Copy a plain folder and plant faults in it.

    Args:
        root: images/, masks/ and a table; faces without a mask are not copied.
        out: the copy to make; must not exist yet.
        share: of the faces, for each kind; at least one face.
        seed: decides which faces, and how.
        kinds: keys of `FAULTS`. Default all.
        count: copy only this many faces, drawn by the seed; those with attributes first.

    Raises:
        UserError: `root` cannot be read or `out` exists.
    """
    random = numpy_generator(seed, "faults")
    copy = PlainCopy.make(Path(root), Path(out), seed, count)
    untouched = [copy.names[i] for i in random.permutation(len(copy.names))]
    wanted = max(1, round(share * len(untouched)))
    planted = Planted(copy.root)
    chosen = list(FAULTS) if kinds is None else list(kinds)
    for kind in sorted(chosen, key=lambda kind: FAULTS[kind].eligible is _any):
        fault = FAULTS[kind]
        befallen = [name for name in untouched if fault.eligible(copy, name)][:wanted]
        for name in befallen:
            if name in copy.touched:  # the other half of a pair
                continue
            names = fault.plant(copy, name, numpy_generator(seed, "fault", kind, name))
            planted.faults.append((kind, names))
            copy.touched.update(names)
            untouched = [other for other in untouched if other not in names]
    copy.write_table()
    planted.clean = sorted(untouched)
    return planted


def _any(copy: PlainCopy, name: str) -> bool:
    return True


def _cut(which: str) -> Callable[[PlainCopy, str, np.random.Generator], tuple[str, ...]]:
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
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray],
) -> Callable[[PlainCopy, str, np.random.Generator], tuple[str, ...]]:
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


def _in_order(order: str) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
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


def _again(
    change: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None, split: bool = False
) -> Callable[[PlainCopy, str, np.random.Generator], tuple[str, ...]]:
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


def _remove(*which: str) -> Callable[[PlainCopy, str, np.random.Generator], tuple[str, ...]]:
    def plant(copy: PlainCopy, name: str, random: np.random.Generator) -> tuple[str, ...]:
        for part in which:
            getattr(copy, part)(name).unlink()
        return (name,)

    return plant


def _row(
    change: Callable[[PlainCopy, str], None],
) -> Callable[[PlainCopy, str, np.random.Generator], tuple[str, ...]]:
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
    "image cut short": Fault(_cut("image"), ("unreadable-image",), _any),
    "image not an image": Fault(_garbage, ("unreadable-image",), _any),
    "image of 16 bits": Fault(_deep_image, ("image-mode",), _any),
    "mask cut short": Fault(_cut("mask"), ("unreadable-mask",), _any),
    "mask of 16 bits": Fault(_mask_fault(lambda m, r: m.astype(np.uint16)), ("mask-mode",), _any),
    "mask in RGB": Fault(_mask_fault(lambda m, r: np.stack([m] * 3, -1)), ("mask-mode",), _any),
    "mask squeezed": Fault(_mask_fault(_squeezed), ("size-mismatch",), _any),
    "unknown class": Fault(_mask_fault(_patch), ("unknown-class",), _any),
    "mask all background": Fault(_mask_fault(lambda m, r: m * 0), ("empty-mask",), _any),
    "mask all 255": Fault(_mask_fault(lambda m, r: m * 0 + ANYTHING), ("empty-mask",), _any),
    "bisenet order": Fault(_mask_fault(_in_order("bisenet")), ("label-order",), _any),
    "shuffled classes": Fault(_mask_fault(_permuted), ("label-order",), _any),
    "left and right swapped": Fault(_mask_fault(_sides_swapped), ("left-right",), _is_sided),
    "mask shifted 5-12%": Fault(_mask_fault(_shifted), MISPLACED, _any),
    "mask flipped": Fault(_mask_fault(lambda m, r: mirror_mask(m)), MISPLACED, _any),
    "image flipped": Fault(_mirror_image, MISPLACED, _any),
    "mask of another face": Fault(_foreign, MISPLACED, _any),
    "Eyeglasses=1 wrongly": _attribute("Eyeglasses", 1, "eye_g", 0.0, 1e-9),
    "Eyeglasses=0 wrongly": _attribute("Eyeglasses", 0, "eye_g", 0.02, 1.0),
    "Wearing_Hat=1 wrongly": _attribute("Wearing_Hat", 1, "hat", 0.0, 1e-9),
    "Wearing_Hat=0 wrongly": _attribute("Wearing_Hat", 0, "hat", 0.125, 1.0),
    "Bald=1 wrongly": _attribute("Bald", 1, "hair", 0.2, 1.0),
    "same file twice": Fault(_again(None), ("exact-duplicate",), _any),
    "picture re-encoded": Fault(_again(_reworked), ("near-duplicate",), _any),
    "picture cropped 1-3%": Fault(_again(_cropped), ("near-duplicate",), _any),
    "picture mirrored": Fault(_again(_flipped), ("near-duplicate",), _any),
    "picture in two splits": Fault(_again(_reworked, split=True), ("split-leak",), _any),
    "person in two splits": Fault(_same_person, ("identity-leak",), _any),
    "image missing": Fault(_remove("image"), ("mask-without-image",), _any),
    "mask missing": Fault(_remove("mask"), ("image-without-mask",), _any),
    "image and mask missing": Fault(_remove("image", "mask"), ("row-without-image",), _any),
    "row missing": Fault(_row(lambda c, n: c.rows.remove(n)), ("image-without-row",), _any),
    "row twice": Fault(_row(lambda c, n: c.rows.append(n)), ("duplicate-row",), _any),
    "row unreadable": Fault(_row(lambda c, n: c.broken.add(n)), ("bad-row",), _any),
    "row coded 0": Fault(_row(lambda c, n: c.zero_coded.add(n)), ("mixed-coding",), _is_described),
    "two images": Fault(_second_file, ("duplicate-name",), _any),
}
"""Name of a fault -> how it is planted and found."""
