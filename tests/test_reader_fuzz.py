"""Files gone wrong: whatever stands in one, a reader reads it or says in one line what is wrong.

More damage than in the suite, and how much of it was read and refused:
`FACECOND_FUZZ=5000 pytest tests/test_reader_fuzz.py --hypothesis-show-statistics`.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from facecond.config import JudgeConfig, RunConfig
from facecond.config.loading import load
from facecond.config.studies import load_study
from facecond.data.annotations import (
    read_attributes,
    read_identities,
    read_mapping,
    read_partition,
)
from facecond.data.doctor.origins import read_origins
from facecond.data.doctor.tables import read_annotations, read_csv
from facecond.data.exclusions import read_exclusions
from facecond.data.factors import read_factors
from facecond.data.label_map import label_map
from facecond.data.masks import mask_png, random_mask, read_mask
from facecond.data.parts import read_part
from facecond.data.pictures import read_photo
from facecond.data.rendered import render
from facecond.data.table import read_table
from facecond.errors import UserError
from facecond.evaluation.curves import read_curves
from facecond.face_files.record import face_png, read_face
from facecond.face_files.rows import read_rows
from facecond.labels import ATTRIBUTES
from facecond.models.routing import load_routing
from facecond.models.routing.layers import Layer
from facecond.models.weights_file import read_weights
from facecond.pipeline import load_pipeline
from facecond.training import checkpoint

EXAMPLES = int(os.environ.get("FACECOND_FUZZ", "60"))
STRANGE = (
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"-1", b"0", b"1e999", b"NaN", b"99999999999999999999",
    b"\xc2\xb2", b'"', b"'", b",", b":", b"\n", b"\r", b"\t", b"{", b"}", b"[", b"]", b"- ", b"../",
    b"null", b"true", b"!!python/object/apply:os.getcwd []", b"${oc.env:HOME}", b"%", b"\\",
    b"\x85", b"[" * 5000, b"&a [*a]", b"9" * 5000,
)  # fmt: skip
"""Bytes that mean something to one reader or another."""


def replacements(part: bytes) -> st.SearchStrategy[bytes]:
    """What may stand in the place of some bytes."""
    return st.one_of(
        st.just(b""),
        st.binary(max_size=32),
        st.sampled_from(STRANGE),
        st.integers(0, 7).map(lambda bit: bytes(byte ^ (1 << bit) for byte in part)),
        st.integers(2, 4).map(lambda times: part * times),
    )


@st.composite
def mutants(draw: st.DrawFn, content: bytes, most: int = 4) -> bytes:
    """`content` with 1 to `most` parts of it lost, changed, repeated, moved, or strange."""
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.sampled_from((0, 1, 2, 4, 16, 256, len(content))))
        before, after = content[:start], content[end:]
        changed = draw(replacements(content[start:end]))
        content = changed + before + after if draw(st.booleans()) else before + changed + after
    return content


@dataclass(frozen=True)
class Case:
    """A good file and its reader."""

    path: Path
    content: bytes
    read: Callable[[], Any]


def picture(kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(render(0, 0, 64).image).convert(mode).save(buffer, kind)
    return buffer.getvalue()


TABLE = "name,Smiling,Male,split,identity\na.png,1,-1,train,7\nb.png,-1,,test,8\n"
ANNOTATIONS = "\n".join(["2", " ".join(ATTRIBUTES), "0.jpg" + " -1" * 40, "1.jpg" + " 1" * 40])
ROWS = 'name,attributes,seed,guidance\na,"Smiling=1.5,-Male",7,mask=2\nb,,8,\n'
ROW_LINES = "".join(json.dumps(row) + "\n" for row in (
    {"name": "a", "attributes": "Smiling", "seed": 7, "guidance": "mask=2"}, {"name": "b"},
))  # fmt: skip
RULES = """
name: mine
rules:
  - {source: mask, layers: "res<=8", scale: 0.5, tau: [0.3, 1], schedule: cosine_early}
  - {source: "attributes:geometry", layers: "*", gate: learned}
"""
LAYERS = [Layer(f"down_blocks.{i}", "down", 16 >> i) for i in range(2)]
CONFIG = """
data: {root: data, variants: 2, flip: true}
denoiser: {block_out_channels: [64, 128], layers_per_block: 1}
objective: {schedule: flow, prediction: flow, weighting: p2, k: 1.0, gamma: 1.0}
train: {minutes: 6.0, batch_size: 16}
sampling: {scheduler: unipc, steps: 8, guidance: {attributes: 1.5}}
"""
STUDY = """
base: study_64
data: {count: 60, size: 64}
judges: {parser: judge_parser_64, attributes: judge_attributes_64, seeds: [1]}
evaluate: {probes: [adherence], n: 16}
seeds: [0, 1]
reference: a
variants:
  a: {}
  b: {train.steps: 7, routing.preset: coarse_fine}
"""


def files(folder: Path) -> dict[str, Case]:
    """One file of each kind that people bring, and one that facecond wrote of each."""
    mask = mask_png(random_mask(0, 64))
    face = face_png(render(0, 0, 64).image, {"schema": "facecond.face/1", "seed": 7})
    tensors = save({"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)})
    curve = b'{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n'
    parts = ("attributes", "mask")

    def mapped(path: Path) -> Any:
        return label_map(str(path))

    def case(name: str, content: bytes | str, read: Callable[[Path], Any]) -> Case:
        path = folder / name
        content = content.encode() if isinstance(content, str) else content
        path.write_bytes(content)
        read(path)  # the good one is read
        return Case(path, content, lambda: read(path))

    found = [
        case("photo.png", picture("PNG"), read_photo),
        case("photo.jpg", picture("JPEG"), read_photo),
        case("photo.webp", picture("WEBP"), read_photo),
        case("mask.png", mask, read_mask),
        case("part.png", picture("PNG", "L"), read_part),
        case("face.png", face, read_face),
        case("table.csv", TABLE, read_table),
        case("doctor.csv", TABLE, read_csv),
        case("annotations.txt", ANNOTATIONS, read_attributes),
        case("doctor.txt", ANNOTATIONS, read_annotations),
        case("mapping.txt", "idx orig_idx orig_file\n0 119613 119614.jpg\n1 99094 099095.jpg\n",
             read_mapping),
        case("origins.txt", "idx orig_idx orig_file\n0 119613 119614.jpg\n", read_origins),
        case("partition.txt", "000001.jpg 0\n000002.jpg 2\n", read_partition),
        case("identities.txt", "000001.jpg 2880\n000002.jpg 2937\n", read_identities),
        case("factors.csv", "name,geometry,appearance\na,g1,p1\nb,g1,p2\n", read_factors),
        case("labels.csv", "value,class\n0,background\n1,skin\n", mapped),
        case("labels.json", '{"0": "background", "1": "skin"}', mapped),
        case("excluded.txt", "# why\na\tblurred\nb\n", lambda path: read_exclusions(path.parent)),
        case("rows.csv", ROWS, lambda path: read_rows(path, 32, 0, {}, parts)),
        case("rows.jsonl", ROW_LINES, lambda path: read_rows(path, 32, 0, {}, parts)),
        case("routing.yaml", RULES, lambda path: load_routing(path, LAYERS)),
        case("config.yaml", CONFIG, lambda path: load(RunConfig, path)),
        case("judge.yaml", "data: {root: data}\njudge: {steps: 9, width: 16}\n",
             lambda path: load(JudgeConfig, path)),
        case("study.yaml", STUDY, load_study),
        case("weights.safetensors", tensors, lambda path: read_weights(path, "Copy it again.")),
        case("curves.jsonl", curve, read_curves),
    ]  # fmt: skip
    return {one.path.name: one for one in found}


NAMES = (
    "photo.png", "photo.jpg", "photo.webp", "mask.png", "part.png", "face.png", "table.csv",
    "doctor.csv", "annotations.txt", "doctor.txt", "mapping.txt", "origins.txt", "partition.txt",
    "identities.txt", "labels.csv", "labels.json", "factors.csv", "excluded.txt", "rows.csv",
    "rows.jsonl", "routing.yaml", "config.yaml", "judge.yaml", "study.yaml",
    "weights.safetensors", "curves.jsonl",
)  # fmt: skip
PARTS = (
    "model_index.json", "unet/config.json", "condition_encoder/config.json",
    "first_stage/config.json", "scheduler/scheduler_config.json", "checksums.json",
)  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return files(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def model(
    make_pipeline: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Case]:
    """The files of a saved pipeline that are text."""
    folder = tmp_path_factory.mktemp("model") / "model"
    make_pipeline().save_pretrained(folder)
    return {
        name: Case(folder / name, (folder / name).read_bytes(), lambda: load_pipeline(folder))
        for name in PARTS
    }


def survives(case: Case, damaged: bytes) -> str:
    """Reads a damaged file, or is refused with one line that names something; says which."""
    case.path.write_bytes(damaged)
    try:
        with warnings.catch_warnings(action="ignore"):
            case.read()
        return "read"
    except UserError as error:
        assert len(str(error).splitlines()) == 1 and error.where and error.fix
        return "refused"
    finally:
        case.path.write_bytes(case.content)


FUZZ = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("name", NAMES)
@FUZZ
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(
    name: str, cases: dict[str, Case], data: st.DataObject
) -> None:
    event(survives(cases[name], data.draw(mutants(cases[name].content))))


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
@FUZZ
@given(data=st.data())
def test_a_damaged_model_is_loaded_or_refused(
    name: str, model: dict[str, Case], data: st.DataObject
) -> None:
    event(survives(model[name], data.draw(mutants(model[name].content))))


@FUZZ
@given(data=st.data())
def test_a_damaged_checkpoint_is_passed_over(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    for step in (1, 2):
        state = {"weights": {"a": torch.full((3,), float(step))}, "step": step, "names": ["a"]}
        newest = checkpoint.save(folder, step, state, keep=2)
    file = newest / data.draw(st.sampled_from(("state.json", "tensors.safetensors")))
    good = file.read_bytes()
    damaged = data.draw(mutants(good))
    file.write_bytes(damaged)
    found = checkpoint.load_newest(folder)
    assert found is not None
    _, step, state, told = found
    # Spaces between JSON's words may differ without another content.
    assert step == 1 or (damaged == good or file.suffix == ".json")
    assert bool(told) == (step == 1) and torch.equal(
        state["weights"]["a"], torch.full((3,), float(step))
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_is_strange_at_the_beginning_or_the_end(name: str, cases: dict[str, Case]) -> None:
    content = cases[name].content
    first = content.split(None, 1)[0]
    for strange in STRANGE:
        for damaged in (strange + content, content + strange, content.replace(first, strange, 1)):
            survives(cases[name], damaged)


def test_every_kind_is_there(cases: dict[str, Case]) -> None:
    assert sorted(cases) == sorted(NAMES)
