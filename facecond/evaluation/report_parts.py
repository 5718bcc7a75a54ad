"""What a report shows: pictures, tables and curves as plain data, each part by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facecond.evaluation.published import Comparison
from facecond.labels import ATTRIBUTES, PRESENT

Array = np.ndarray

_TELLING = (
    "Eyeglasses", "Wearing_Hat", "Bald", "Blond_Hair", "Gray_Hair", "Black_Hair", "Brown_Hair",
    "Mustache", "Goatee", "Smiling", "Bangs", "Wearing_Lipstick", "Rosy_Cheeks", "Pale_Skin",
    "Wearing_Earrings", "Wearing_Necklace", "Wearing_Necktie", "Wavy_Hair", "Straight_Hair",
)  # fmt: skip
"""Attributes that tell one face from another at a glance, the clearest first."""


@dataclass
class Examples:
    """Test conditions, the real pictures they come from, and samples."""

    masks: Array
    """uint8 [k, S, S]."""
    attributes: Sequence[str]
    """For each condition a few names, comma separated, a minus before the absent ones."""
    real: Array
    """uint8 [k, S, S, 3]."""
    samples: Array
    """uint8 [k, m, S, S, 3]: m seeds for each condition."""
    parsed: Array | None = None
    """uint8 [k, S, S]: what the parser sees in the first sample."""


@dataclass
class Toggles:
    """One mask and seed; each attribute once off and once on."""

    mask: Array
    names: Sequence[str]
    off: Array
    """uint8 [t, S, S, 3]."""
    on: Array


@dataclass
class SharedAttributes:
    """One set of attributes over several masks."""

    attributes: str
    masks: Array
    samples: Array
    """uint8 [k, S, S, 3]."""


@dataclass
class PartialMasks:
    """Masks with open regions (255), several seeds each."""

    masks: Array
    samples: Array
    """uint8 [k, m, S, S, 3]."""


@dataclass
class FromReferences:
    """Faces that take something from a reference."""

    references: Array
    """uint8 [k, S, S, 3]."""
    masks: Array
    """uint8 [k, S, S], of the faces that give the conditions."""
    real: Array
    """uint8 [k, S, S, 3], those faces."""
    columns: Mapping[str, Array]
    """What is asked -> samples uint8 [k, S, S, 3]; where it is known, the true answer after it."""
    words: Sequence[str]
    """What the conditions say of the appearance where the geometry is taken."""


@dataclass
class Routing:
    """Which source reaches which layer, layers in the order of execution."""

    layers: Sequence[Mapping[str, Any]]
    """`{id, stage, resolution}`; stage is down, mid or up."""
    sources: Sequence[str]
    gates: Array
    """float [layers, sources]; 0 = off."""


@dataclass
class FaceFailures:
    """Samples whose masks went most wrong; the worst first."""

    masks: Array
    """uint8 [k, S, S], as asked."""
    real: Array
    samples: Array
    """uint8 [k, S, S, 3]."""
    parsed: Array
    """uint8 [k, S, S]."""
    words: Sequence[str]
    """What is wrong with each."""


@dataclass
class AttributeFailures:
    """Samples that do not show an attribute as asked, by attribute."""

    words: Sequence[str]
    """Name and scores of each attribute."""
    missing: Sequence[Array]
    """For each attribute uint8 [k, S, S, 3]: asked for and not seen."""
    extra: Sequence[Array]
    """Asked to be absent, and seen."""


@dataclass
class ChangeMap:
    """What changes when one attribute is turned on at fixed mask and seed."""

    turned: Sequence[str]
    read: Sequence[str]
    change: Array
    """float [turned, read], mean change of the judge's probability, -1 to 1."""


@dataclass
class Neighbours:
    """Samples beside the nearest pictures trained on."""

    samples: Array
    """uint8 [k, S, S, 3]."""
    trained: Array
    distances: Sequence[float]
    usual: float
    """Median distance of real test pictures to their nearest."""


@dataclass
class Report:
    """What the page shows; parts that are None or empty are left out."""

    title: str
    introduction: str
    """One or two plain sentences."""
    rows: Sequence[Mapping[str, Any]]
    examples: Examples | None = None
    toggles: Toggles | None = None
    shared: SharedAttributes | None = None
    partial: PartialMasks | None = None
    taken: FromReferences | None = None
    diverse: Examples | None = None
    """Several samples of a few conditions."""
    changes: ChangeMap | None = None
    failures: FaceFailures | None = None
    wrong_attributes: AttributeFailures | None = None
    neighbours: Neighbours | None = None
    comparisons: Sequence[Comparison] = ()
    warnings: Sequence[str] = ()
    """What puts the scores in doubt; shown first."""
    notes: Sequence[str] = ()
    curves: Sequence[Mapping[str, Any]] = ()
    """Log of the training: `step`, `loss`, and if known `images_per_second` and `loss_by_bin`, a
    list over equal bins of the noise level from 0 to 1 (None where nothing fell into a bin)."""
    routing: Routing | None = None
    token_counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall time by stage."""
    commands: Sequence[str] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def describe(attributes: Array, limit: int = 4) -> str:
    """int8 [40] -> its most telling present attributes, comma separated, at most `limit`."""
    present = [name for name in _TELLING if attributes[ATTRIBUTES.index(name)] == PRESENT]
    return ",".join(present[:limit])
