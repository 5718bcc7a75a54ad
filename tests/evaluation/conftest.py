"""A planted world: pictures of four coloured quarters with strips at the edges for attributes.

The mask says which classes the quarters have; four attributes are strips that it does not show. So
what a perfect generator would paint is known, and planted generators can be wrong in known ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.evaluation.adherence import ADHERENCE as PROBE
from facecond.evaluation.conditions import noise_seed
from facecond.evaluation.judges import Judges
from facecond.evaluation.protocol import Evaluation, Protocol, evaluate
from facecond.labels import ATTRIBUTES, PALETTE
from facecond.training.judges import train_judge

SIZE, TEST_ROWS = 32, 60
CLASSES = (0, 1, 13, 18)
STRIPS: dict[str, tuple[Any, int]] = {
    "5_o_Clock_Shadow": (np.s_[:5], 255),
    "Arched_Eyebrows": (np.s_[-5:], 0),
    "Male": (np.s_[5:-5, :5], 255),
    "Young": (np.s_[5:-5, -5:], 0),
}
"""Attribute -> where its strip lies, and how bright it is."""
COLUMNS = [ATTRIBUTES.index(name) for name in STRIPS]


def paint(mask: np.ndarray, attributes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The picture of a mask without open pixels, and of attributes without open values."""
    image = PALETTE[mask].astype(int) + generator.integers(-20, 21, (*mask.shape, 3))
    for name, (place, brightness) in STRIPS.items():
        if attributes[ATTRIBUTES.index(name)] == 1:
            image[place] = brightness
    return image.clip(0, 255).astype(np.uint8)


def quarters(classes: np.ndarray) -> np.ndarray:
    """[2, 2] -> mask."""
    return classes.astype(np.uint8).repeat(SIZE // 2, 0).repeat(SIZE // 2, 1)


@pytest.fixture(scope="session")
def world() -> SimpleNamespace:
    """The planted generators, and `run` and `row`."""
    kinds = {kind.__name__: kind for kind in (Pipeline, Mirror, Copier, Painter)}
    return SimpleNamespace(
        run=run, row=row, size=SIZE, test_rows=TEST_ROWS, strips=list(STRIPS), **kinds
    )


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """400 pictures: 60 to test (one without a mask), 140 for the generator, 200 for the judges."""
    root = tmp_path_factory.mktemp("planted") / "faces"
    generator = np.random.default_rng(0)
    with PreparedWriter(root, SIZE, "rendered") as writer:
        for i in range(400):
            mask = quarters(generator.choice(CLASSES, size=(2, 2)))
            attributes = np.full(40, -1, np.int8)
            attributes[COLUMNS] = generator.integers(0, 2, len(COLUMNS))
            image = paint(mask, attributes, generator)
            split = "test" if i < TEST_ROWS else "generator" if i < 200 else "judges"
            writer.add(f"{i:03d}", image, mask if i != 3 else None, attributes, split)
    return PreparedFolder.open(root)


def trained_judges(faces: PreparedFolder, root: Path, seed: int) -> Judges:
    for kind in ("parser", "attributes"):
        train_judge(
            kind, faces, root / kind, steps=90, batch_size=16, width=8, seed=seed, progress=False
        )
    return Judges.load(root)


@pytest.fixture(scope="session")
def judges(faces: PreparedFolder, tmp_path_factory: pytest.TempPathFactory) -> Judges:
    return trained_judges(faces, tmp_path_factory.mktemp("judges"), 0)


@pytest.fixture(scope="session")
def other_judges(faces: PreparedFolder, tmp_path_factory: pytest.TempPathFactory) -> Judges:
    """Judges of another seed."""
    return trained_judges(faces, tmp_path_factory.mktemp("other_judges"), 1)


class Lossless:
    """A first stage that changes nothing."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images * 3

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents / 3


class Pipeline:
    """What all planted pipelines share; `face` paints one picture."""

    image_size = SIZE
    device, precision = torch.device("cpu"), "float32"
    first_stage = Lossless()
    config: Mapping[str, Any] = {"guidance": {"mask": 2.0}, "steps": 12}

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def face(self, values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        raise AssertionError("a planted pipeline paints")

    def __call__(
        self, attributes: np.ndarray, mask: np.ndarray, seeds: Sequence[int], **options: Any
    ) -> SimpleNamespace:
        self.calls.append({"seeds": list(seeds), **options})
        asked = zip(attributes, mask, seeds, strict=True)
        return SimpleNamespace(images=np.stack([self.face(*one) for one in asked]))


class Mirror(Pipeline):
    """Answers with the real picture of the row that the seed belongs to."""

    def __init__(self, faces: PreparedFolder, seed: int = 0) -> None:
        super().__init__()
        self.faces = faces
        self.row_of = {noise_seed(seed, int(row)): int(row) for row in faces.indices("test")}

    def face(self, values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        return self.faces.image(self.row_of[seed])


class Copier(Pipeline):
    """Answers with some picture that it was trained on, or its mirror image, whatever is asked."""

    def __init__(self, faces: PreparedFolder, mirrored: bool = False) -> None:
        super().__init__()
        self.faces, self.rows = faces, faces.indices("generator")
        self.mirrored = mirrored

    def face(self, values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        picture = self.faces.image(int(self.rows[seed % len(self.rows)]))
        return picture[:, ::-1] if self.mirrored else picture


class Painter(Pipeline):
    """Paints what is asked; what is open it draws as the data has it.

    Args:
        deaf: paint anything instead.
        entangled: attribute -> another one, which follows it whatever is asked.
        stiff: what is open is always the same, and so is the noise.
        shifty: turning the first attribute on paints another mask.
    """

    def __init__(
        self,
        deaf: bool = False,
        entangled: Mapping[str, str] | None = None,
        stiff: bool = False,
        shifty: bool = False,
    ) -> None:
        super().__init__()
        self.deaf, self.stiff, self.shifty = deaf, stiff, shifty
        self.entangled = dict(entangled or {})

    def face(self, values: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
        generator = np.random.default_rng(0 if self.stiff else seed)
        drawn = generator.integers(0, 2, len(COLUMNS))
        classes = generator.choice(CLASSES, size=(2, 2))
        asked, half = np.full(40, -1), SIZE // 2
        asked[COLUMNS] = drawn if self.deaf else np.where(values >= 0, values, -1)[COLUMNS]
        asked[COLUMNS] = np.where(asked[COLUMNS] < 0, drawn, asked[COLUMNS])
        for leader, follower in self.entangled.items():
            asked[ATTRIBUTES.index(follower)] = asked[ATTRIBUTES.index(leader)]
        for y, x in np.ndindex(2, 2):
            part = labels[y * half : (y + 1) * half, x * half : (x + 1) * half]
            if (part != 255).any() and not self.deaf:
                classes[y, x] = part[part != 255][0]
        if self.shifty and asked[COLUMNS[0]] == 1:
            classes = np.roll(classes, 1)
        return paint(quarters(classes), asked, generator)


ADHERENCE = Protocol("adherence", None, {"adherence": PROBE})


def run(faces: PreparedFolder, judges: Any, pipeline: Pipeline, **options: Any) -> Evaluation:
    """`evaluate` on 50 conditions, quietly; masks and attributes alone where nothing is said."""
    usual = {"n": 50, "progress": False, "protocol": ADHERENCE}
    return evaluate(pipeline, faces, judges, **(usual | options))


def row(found: Evaluation, metric: str) -> dict[str, Any]:
    """The row of a metric; there is one."""
    (only,) = (row for row in found.rows if row["metric"] == metric)
    return only
