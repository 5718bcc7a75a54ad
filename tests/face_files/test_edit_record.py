"""The record of an edit: what it was made from, as JSON, in a PNG that says it is no drawn face."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from facecond.data.masks import read_mask
from facecond.errors import UserError
from facecond.face_files.drawing import Artist
from facecond.face_files.edit_record import edit_record
from facecond.face_files.record import face_png, read_face
from facecond.labels import parse_attributes


def test_a_record_holds_conditions_layouts_and_errors(artist: Artist, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    layouts = draw.integers(0, 19, (2, 32, 32)).astype(np.uint8)
    edited = SimpleNamespace(
        photo=draw.integers(0, 256, (32, 32, 3)).astype(np.uint8),
        before=parse_attributes("Male"),
        after=parse_attributes("Male,-Smiling"),
        layout=layouts[0],
        drawn_layout=layouts[1],
        guidance={"mask": 2.0},
        evaluations=5,
        errors=SimpleNamespace(as_json=lambda: {"latents_rms": 0.5}),
    )
    record = edit_record(artist.pipeline, "model", edited, {"photo": "a.jpg"}, {"strength": 0.5})
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert (record["photo"], record["strength"]) == ("a.jpg", 0.5)
    assert record["attributes_before"] == "Male" and record["attributes"] == "Male,-Smiling"
    assert record["attributes_values"]["Smiling"] == 0
    assert record["errors"] == {"latents_rms": 0.5} and record["guidance"] == {"mask": 2.0}
    for name, layout in zip(("layout_png", "drawn_layout_png"), layouts, strict=True):
        content = base64.b64decode(record[name])
        np.testing.assert_array_equal(read_mask(Path("x"), content=content), layout)
    assert "routing_table" not in record  # it is the model's own
    (tmp_path / "edited.png").write_bytes(face_png(edited.photo, record))
    with pytest.raises(UserError, match=r"it is an edited photo.*facecond edit"):
        read_face(tmp_path / "edited.png")
