"""The protocol on planted pipelines: one that knows the answer, one that does not listen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facecond.data.prepared import PreparedFolder, PreparedWriter
from facecond.errors import UserError
from facecond.evaluation.protocol import Evaluation, condition_rows, evaluate, weights_hash
from facecond.labels import ATTRIBUTES, PALETTE
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.training.judges import train_judge

SIZE, TEST_ROWS = 32, 60


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """Quarters of four classes; attributes 0 and 1 are a white top and a black bottom."""
    root = tmp_path_factory.mktemp("protocol") / "faces"
    generator = np.random.default_rng(0)
    with PreparedWriter(root, SIZE, "rendered") as writer:
        for i in range(400):
            quarters = generator.choice([0, 1, 13, 18], size=(2, 2)).astype(np.uint8)
            mask = quarters.repeat(SIZE // 2, 0).repeat(SIZE // 2, 1)
            image = PALETTE[mask].astype(int) + generator.integers(-20, 21, (SIZE, SIZE, 3))
            attributes = np.full(40, -1, np.int8)
            attributes[:2] = generator.integers(0, 2, 2)
            if attributes[0]:
                image[:5] = 255
            if attributes[1]:
                image[-5:] = 0
            split = "test" if i < TEST_ROWS else "generator" if i < 200 else "judges"
            has_mask = i != 3  # a test face without a mask
            pixels = image.clip(0, 255).astype(np.uint8)
            writer.add(f"{i:03d}", pixels, mask if has_mask else None, attributes, split)
    return PreparedFolder.open(root)


@pytest.fixture(scope="module")
def judges(
    faces: PreparedFolder, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FaceParser, AttributeClassifier]:
    from facecond.models.judges import load_classifier, load_parser

    root = tmp_path_factory.mktemp("judges")
    for kind in ("parser", "attributes"):
        train_judge(kind, faces, root / kind, steps=90, batch_size=16, width=8, progress=False)
    return load_parser(root / "parser"), load_classifier(root / "attributes")


class Lossless:
    """A first stage that changes nothing."""

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        return images * 3

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents / 3


class Planted:
    """A pipeline that answers with pictures of the folder.

    `listens` makes it look up the picture whose mask and attributes are asked for; otherwise it
    answers with the picture that the seed happens to name.
    """

    image_size = SIZE
    device, precision = torch.device("cpu"), "float32"
    first_stage = Lossless()
    config: Mapping[str, Any] = {"guidance": {"mask": 2.0}, "steps": 12}

    def __init__(self, faces: PreparedFolder, listens: bool) -> None:
        self.faces, self.listens = faces, listens
        self.rows = faces.indices("test") if listens else faces.indices("generator")
        self.calls: list[dict[str, Any]] = []

    def __call__(
        self, attributes: np.ndarray, mask: np.ndarray, seeds: Sequence[int], **options: Any
    ) -> SimpleNamespace:
        self.calls.append({"seeds": list(seeds), **options})
        found = []
        for values, labels, seed in zip(attributes, mask, seeds, strict=True):
            row = self.rows[seed % len(self.rows)]
            if self.listens:
                row = next(
                    i
                    for i in self.rows
                    if (self.faces.mask(i) == labels).all()
                    and (self.faces.attributes[i] == values).all()
                )
            found.append(self.faces.image(int(row)))
        return SimpleNamespace(images=np.stack(found))


def run(faces: PreparedFolder, judges: Any, listens: bool = True, **options: Any) -> Evaluation:
    pipeline = Planted(faces, listens)
    return evaluate(pipeline, faces, *judges, **({"n": 50, "progress": False} | options))


def row(found: Evaluation, metric: str) -> dict[str, Any]:
    return next(row for row in found.rows if row["metric"] == metric)


def test_an_oracle_reaches_the_ceiling(faces: PreparedFolder, judges: Any) -> None:
    found = run(faces, judges)
    for metric in ("mask_miou", "attribute_bacc"):
        scores = row(found, metric)
        # several test faces may share one condition, so the pictures need not be the same ones
        assert scores["score"] == pytest.approx(scores["ceiling"], abs=0.01)
        assert scores["share"] == pytest.approx(1, abs=0.02)
        assert scores["ceiling"] > scores["floor"] + 0.2
        assert scores["low"] <= scores["score"] <= scores["high"]
        assert scores["n"] == 50
    assert set(row(found, "mask_miou")["detail"]) == {"background", "skin", "hair", "cloth"}
    attributes = row(found, "attribute_bacc")
    assert list(attributes["detail"]) == list(ATTRIBUTES[:2])
    assert attributes["skipped"] == list(ATTRIBUTES[2:])


def test_a_deaf_pipeline_stays_at_the_floor(faces: PreparedFolder, judges: Any) -> None:
    found = run(faces, judges, listens=False)
    for metric in ("mask_miou", "attribute_bacc"):
        scores = row(found, metric)
        assert abs(scores["share"]) < 0.25
        assert scores["score"] < scores["ceiling"] - 0.2
    assert row(found, "attribute_bacc")["floor"] == pytest.approx(0.5, abs=0.15)


def test_lossless_reconstructions_are_as_far_as_real_pictures(
    faces: PreparedFolder, judges: Any
) -> None:
    found = run(faces, judges)
    real, rebuilt = row(found, "frechet_judge_real"), row(found, "frechet_judge_reconstruction")
    assert rebuilt["score"] == pytest.approx(real["score"], rel=1e-3)
    samples = row(found, "frechet_judge")
    assert samples["ceiling"] == rebuilt["score"]
    assert samples["reference_n"] == len(faces.indices("generator"))


def test_conditions_are_complete_and_never_come_twice(faces: PreparedFolder) -> None:
    rows = condition_rows(faces, None, seed=0)
    assert len(set(rows)) == len(rows) == TEST_ROWS - 1  # one test face has no mask
    assert set(faces.splits[rows]) == {"test"}
    assert faces.has_mask[rows].all()
    assert (condition_rows(faces, 20, seed=0) == rows[:20]).all()
    assert (condition_rows(faces, None, seed=1) != rows).any()
    with pytest.raises(UserError, match=f"{TEST_ROWS - 1} are there.*--n {TEST_ROWS - 1}"):
        condition_rows(faces, TEST_ROWS, seed=0)
    assert (condition_rows(faces, TEST_ROWS, seed=0, or_fewer=True) == rows).all()
    assert (condition_rows(faces, 20, seed=0, or_fewer=True) == rows[:20]).all()


def test_the_batch_size_changes_nothing(faces: PreparedFolder, judges: Any) -> None:
    one, two = (run(faces, judges, listens=False, n=30, batch_size=b) for b in (30, 7))
    assert (one.samples == two.samples).all()
    for first, second in zip(one.rows, two.rows, strict=True):
        assert first["score"] == pytest.approx(second["score"], rel=1e-4)


def test_settings_reach_the_pipeline_and_the_rows(faces: PreparedFolder, judges: Any) -> None:
    pipeline = Planted(faces, listens=False)
    found = evaluate(
        pipeline, faces, *judges, n=20, batch_size=16, seed=5, guidance={"mask": 3.0},
        num_inference_steps=7, progress=False,
    )  # fmt: skip
    assert [len(call["seeds"]) for call in pipeline.calls] == [16, 4]
    assert pipeline.calls[0]["guidance"] == {"mask": 3.0}
    assert pipeline.calls[0]["num_inference_steps"] == 7
    seeds = [seed for call in pipeline.calls for seed in call["seeds"]]
    assert len(set(seeds)) == 20
    settings = found.rows[0]
    assert (settings["seed"], settings["guidance"]) == (5, {"mask": 3.0})
    assert settings["num_inference_steps"] == 7
    assert settings["data"] == faces.data_hash
    assert settings["parser"] == weights_hash(judges[0]) != settings["classifier"]
    defaults = run(faces, judges, n=20).provenance
    assert (defaults["guidance"], defaults["num_inference_steps"]) == ({"mask": 2.0}, 12)


def test_samples_are_kept_on_request(faces: PreparedFolder, judges: Any, tmp_path: Path) -> None:
    found = run(faces, judges, n=20, keep=5, images_out=tmp_path / "images")
    assert found.samples.shape == (5, SIZE, SIZE, 3)
    assert found.parsed.shape == (5, SIZE, SIZE)
    files = {path.stem for path in (tmp_path / "images").iterdir()}
    assert files == {faces.names[i] for i in found.indices}
    first = np.array(Image.open(tmp_path / "images" / f"{faces.names[found.indices[0]]}.png"))
    assert (first == found.samples[0]).all()


def test_another_size_is_a_user_error(faces: PreparedFolder, judges: Any) -> None:
    with pytest.raises(UserError, match="the parser is for 64 px, these faces have 32 px"):
        evaluate(Planted(faces, True), faces, FaceParser(width=8), judges[1], n=10)


def test_the_hash_names_the_weights() -> None:
    first = FaceParser(width=8)
    second = FaceParser(width=8)
    second.load_state_dict(first.state_dict())
    assert weights_hash(first) == weights_hash(second)
    second.network.head[1].bias.data[0] += 1e-6
    assert weights_hash(first) != weights_hash(second)
    whole = SimpleNamespace(components={"parser": first, "scheduler": object()})
    assert weights_hash(whole) == weights_hash(SimpleNamespace(components={"parser": first}))
