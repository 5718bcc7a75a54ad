"""The model behind the page: faces with provenance, previews, cancelling, routing for one only."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from facecond.cli import main
from facecond.data.masks import random_mask
from facecond.editing.edit import edit_face
from facecond.labels import format_attributes
from facecond.models.reference import Reference
from facecond.studio import session as sessions
from facecond.studio.codec import mask_text
from facecond.studio.edits import read_edit
from facecond.studio.line import Cancelled, Event, Job
from facecond.studio.photo_reader import PhotoReader
from facecond.studio.request import DrawRequest, read_request
from facecond.studio.routing_grid import without
from facecond.studio.session import ModelSession

SIZE = 32


@pytest.fixture
def request_(wish: dict[str, Any], session: ModelSession) -> DrawRequest:
    trained = session.pipeline.unet.trained_routing
    return read_request(wish, session.image_size, session.sources, trained)


def a_job() -> Job:
    return Job("job-00000001", "client-00000001", lambda job: {})


def events_of(job: Job) -> list[Event]:
    return [job.events.get() for _ in range(job.events.qsize())]


def opened(face: dict[str, Any]) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(face["png"])))


def test_faces_are_those_of_the_pipeline_and_say_how_they_were_made(
    session: ModelSession, request_: DrawRequest, model: Path
) -> None:
    done = session.draw(request_, a_job())
    assert done["state"] == "done" and [face["seed"] for face in done["faces"]] == [7, 8]
    expected = session.pipeline(
        request_.attributes, request_.mask, [7, 8], {"mask": 2.0, "attributes": 1.0}, 3
    ).images
    for face, pixels in zip(done["faces"], expected, strict=True):
        picture = opened(face)
        assert np.array_equal(np.array(picture), pixels)
        record = json.loads(picture.text["facecond"])
        assert record["seed"] == face["seed"] and record["model"] == str(model)
        assert record["attributes"] == "-Eyeglasses,Smiling" and record["steps"] == 3
        assert record["guidance"] == {"mask": 2.0, "attributes": 1.0}
        assert "routing_table" not in record


def test_each_face_is_made_again_from_its_file(
    session: ModelSession,
    request_: DrawRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    faces = session.draw(request_, a_job())["faces"]
    records = [json.loads(opened(face).text["facecond"]) for face in faces]
    assert [record["file"] for record in records] == ["face_7.png", "face_8.png"]
    assert [(r["batch_index"], r["batch_size"]) for r in records] == [(0, 2), (1, 2)]
    (tmp_path / "last.png").write_bytes(base64.b64decode(faces[-1]["png"]))
    assert main(["reproduce", str(tmp_path / "last.png")]) == 0
    assert "identical, bit for bit" in capsys.readouterr().out


def test_it_tells_how_it_goes(
    session: ModelSession, request_: DrawRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PREVIEW_SECONDS", 0)
    job = a_job()
    session.draw(request_, job)
    told = events_of(job)
    assert [event["step"] for event in told] == [0, 1, 2, 3]
    assert [len(event.get("previews", [])) for event in told] == [0, 0, 2, 0]


def test_a_cancelled_job_ends_after_its_step(session: ModelSession, request_: DrawRequest) -> None:
    job = a_job()
    job.cancel()
    with pytest.raises(Cancelled):
        session.draw(request_, job)
    assert [event["step"] for event in events_of(job)] == [0]


def test_a_routing_holds_for_one_request(session: ModelSession, request_: DrawRequest) -> None:
    plain = session.draw(request_, a_job())["faces"]
    trained = session.pipeline.unet.trained_routing
    dark = without(trained, [(layer.id, "mask") for layer in trained.layers])
    edited = session.draw(replace(request_, routing=dark), a_job())["faces"]
    assert edited[0]["png"] != plain[0]["png"]
    record = json.loads(opened(edited[0]).text["facecond"])
    assert record["routing_table"]["rules"] == dark.to_dict()["rules"]
    again = session.draw(request_, a_job())["faces"]
    assert np.array_equal(np.array(opened(again[0])), np.array(opened(plain[0])))


def test_references_change_the_faces_and_are_recorded_as_sample_records_them(
    reader: ModelSession, wish: dict[str, Any], reference: dict[str, Any], square: np.ndarray
) -> None:
    trained = reader.pipeline.unet.trained_routing
    plain, taken = (
        read_request({**wish, "references": r}, SIZE, reader.sources, trained, reader.taught)
        for r in ([], [reference])
    )
    before, after = (reader.draw(request, a_job()) for request in (plain, taken))
    assert before["faces"][0]["png"] != after["faces"][0]["png"] and after["strange"] == []
    expected = reader.pipeline(
        taken.attributes, taken.mask, taken.seeds, taken.guidance, taken.steps,
        reference=[Reference(square, take, 0.8) for take in ("appearance", "geometry")],
    ).images  # fmt: skip
    for face, pixels in zip(after["faces"], expected, strict=True):
        assert np.array_equal(np.array(opened(face)), pixels)
    record = json.loads(opened(after["faces"][0]).text["facecond"])
    sha = hashlib.sha256(square.tobytes()).hexdigest()
    assert record["references"] == [
        {"file": "1.jpg", "sha256": sha, "take": take, "weight": 0.8}
        for take in ("appearance", "geometry")
    ]
    assert "references" not in json.loads(opened(before["faces"][0]).text["facecond"])


def test_what_is_unlike_any_face_is_named(
    reader: ModelSession,
    wish: dict[str, Any],
    reference: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    evidence = reader.pipeline.evidence_encoder
    monkeypatch.setattr(evidence, "distance", lambda seen: seen.mean((1, 2)) * 0 + 9)
    monkeypatch.setitem(evidence._buffers, "limit", torch.tensor(2.0))
    trained = reader.pipeline.unet.trained_routing
    given = {**wish, "references": [reference]}
    request = read_request(given, SIZE, reader.sources, trained, reader.taught)
    assert reader.draw(request, a_job())["strange"] == ["1.jpg"]


def test_what_the_page_is_told(session: ModelSession) -> None:
    told = session.described()
    assert told["name"] == "tiny" and told["size"] == 32 and told["steps"] == 4
    assert told["guidance"] == {"attributes": 1.0, "mask": 2.0} and told["takes"] == []
    assert told["step_counts"] is None and told["ranges"] is None
    json.dumps(told)


def test_what_the_page_is_told_of_a_distilled_model(student: ModelSession) -> None:
    told = student.described()
    assert told["step_counts"] == (1, 2, 4, 8) and told["steps"] == 4
    assert told["ranges"] == {"mask": [1.0, 3.0]}


def test_an_edit_is_that_of_the_editing_package_and_says_what_was_asked(
    session: ModelSession, edit_wish: dict[str, Any], square: np.ndarray, model: Path
) -> None:
    edit_wish["photo"]["mask"] = mask_text(random_mask(3, SIZE))
    trained = session.pipeline.unet.trained_routing
    request = read_edit(edit_wish, SIZE, session.reads, trained, PhotoReader())
    job = a_job()
    done = session.edit(request, job)
    expected = edit_face(
        session.pipeline, square, request.change, mask=request.layout, attributes=request.shown,
        region=["hair", "ears"], strength=0.6, guidance={"mask": 2.0}, num_inference_steps=2,
    )  # fmt: skip
    (face,) = done["faces"]
    picture = opened(face)
    assert np.array_equal(np.array(picture), expected.image) and (expected.image != square).any()
    assert done["kept"] == expected.errors.untouched_share > 0
    assert done["there_and_back"] == expected.errors.reconstruction.psnr
    assert [event["step"] for event in events_of(job)] == [0, 1, 2, 3, 4, 5, 6]
    record = json.loads(picture.text["facecond"])
    assert record["photo"] == "me.jpg" and record["model"] == str(model)
    assert record["change"] == format_attributes(request.change)
    assert record["region"] == ["hair", "ears"] and record["strength"] == 0.6
    assert record["layout_from"] == {"painted": "in the studio"}
    json.dumps(done)


def test_an_edit_keeps_to_its_routing_and_ends_when_cancelled(
    session: ModelSession, edit_wish: dict[str, Any]
) -> None:
    trained = session.pipeline.unet.trained_routing
    request = read_edit(edit_wish, SIZE, session.reads, trained, PhotoReader())
    dark = without(trained, [(layer.id, s) for layer in trained.layers for s in trained.sources])
    plain, none = (session.edit(r, a_job()) for r in (request, replace(request, routing=dark)))
    assert plain["faces"] != none["faces"]
    assert "routing_table" in json.loads(opened(none["faces"][0]).text["facecond"])
    job = a_job()
    job.cancel()
    with pytest.raises(Cancelled):
        session.edit(request, job)
    assert [event["step"] for event in events_of(job)] == [0]


def test_an_edit_shows_the_new_face_in_the_making(
    session: ModelSession, edit_wish: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "PREVIEW_SECONDS", 0)
    trained = session.pipeline.unet.trained_routing
    job = a_job()
    session.edit(read_edit(edit_wish, SIZE, session.reads, trained, PhotoReader()), job)
    told = events_of(job)
    assert [event["step"] for event in told] == list(range(7))
    assert [len(event.get("previews", [])) for event in told] == [0, 0, 0, 0, 0, 1, 1]
    (preview,) = told[-1]["previews"]
    assert Image.open(io.BytesIO(base64.b64decode(preview))).size == (SIZE, SIZE)
