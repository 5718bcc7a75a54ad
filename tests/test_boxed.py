"""The model in the box: whole, small, documented, and it does what it is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facecond import boxed
from facecond.config import RunConfig, load
from facecond.data.rendered import render
from facecond.labels import MASK_CLASSES
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.storage import read_json, sha256
from facecond.training.export import provenance

MODEL = boxed.model_folder(boxed.NAME)
HAIR = MASK_CLASSES.index("hair")
LARGEST = 12e6
"""Bytes of weights that a clone should have to carry."""


@pytest.fixture(scope="module")
def pipeline() -> FacePipeline:
    return load_pipeline(boxed.NAME)


def test_small_and_whole() -> None:
    weights = list(MODEL.rglob("*.safetensors"))
    assert sum(file.stat().st_size for file in weights) <= LARGEST
    stated = read_json(MODEL / "checksums.json")
    assert {MODEL / name for name in stated} == set(weights)
    assert all(sha256(MODEL / name) == digest for name, digest in stated.items())


def test_made_by_its_recipe() -> None:
    """The committed config is the one that it was trained with."""
    made = read_json(MODEL / "provenance.json")
    recipe = load(RunConfig, "boxed", ["data.root=data"])
    assert made["config_hash"] == provenance(recipe, made["data_hash"])["config_hash"]


def test_the_card_says_what_it_is_made_of_and_how_good_it_is() -> None:
    card = (MODEL / "README.md").read_text("utf-8")
    assert "license: apache-2.0" in card and "no picture of a person is in it" in card
    for metric in ("mask_miou", "attribute_bacc", "frechet_judge"):
        assert re.search(rf"\| {metric} \| \d", card), f"{metric} is not in the card"


def test_masks_are_followed(pipeline: FacePipeline) -> None:
    """Of twelve layouts, the one asked for explains the colours of a face best: the share of their
    variance that lies between the classes. So far as this holds for the true picture, that is: it
    does not where skin and background are of one colour."""
    faces = [render(10_000, index, pipeline.image_size) for index in range(12)]
    masks = np.stack([face.mask for face in faces])
    attributes = np.stack([face.attributes for face in faces])
    images = pipeline(attributes, masks, seeds=range(12), num_inference_steps=4).images
    clear = _best_explained([face.image for face in faces], masks) == np.arange(12)
    assert clear.sum() >= 9
    assert (_best_explained(images, masks) == np.arange(12))[clear].all()


def test_attributes_are_followed(pipeline: FacePipeline) -> None:
    """The same layouts and noise: blond hair is brighter than black hair, face by face."""
    masks = np.stack([render(10_000, index, pipeline.image_size).mask for index in range(8)])
    masks = masks[(masks == HAIR).mean((1, 2)) > 0.05]
    asked = {"seeds": range(len(masks)), "num_inference_steps": 4}
    blond, black = (pipeline(name, masks, **asked).images for name in ("Blond_Hair", "Black_Hair"))
    assert len(masks) >= 4
    for bright, dark, mask in zip(blond, black, masks, strict=True):
        assert bright[mask == HAIR].mean() > dark[mask == HAIR].mean() + 20


def test_the_command_line_takes_it_where_no_model_is_named(
    python: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    words = ["sample", "--mask", "random", "--n", "2", "--steps", "2", "--out", "faces"]
    done = python("-m", "facecond", *words)
    assert done.returncode == 0, done.stderr
    face = Image.open(tmp_path / "faces" / "00001.png")
    assert face.size == (128, 128)
    done = python("-m", "facecond", "reproduce", "faces/00001.png")
    assert done.returncode == 0, done.stderr
    assert "bit for bit" in done.stdout


def _best_explained(images: Sequence[np.ndarray], masks: np.ndarray) -> np.ndarray:
    return np.array([[_between(image, mask) for mask in masks] for image in images]).argmax(1)


def _between(image: np.ndarray, mask: np.ndarray) -> float:
    pixels, classes = image.reshape(-1, 3).astype(float), mask.reshape(-1)
    means: Any = np.zeros_like(pixels)
    for value in np.unique(classes):
        means[classes == value] = pixels[classes == value].mean(0)
    return float(means.var(0).sum() / pixels.var(0).sum())
