"""`facecond sample`: pictures with provenance, conditions from every place, bad input."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecond.cli import main
from facecond.data.rendered import render


def sample(model: Path, out: Path, *words: str) -> int:
    return main(["sample", str(model), "--out", str(out), "--n", "3", *words])


def test_pictures_carry_their_provenance(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    assert sample(model, out, "--attributes", "Smiling,-Eyeglasses", "--seed", "7") == 0
    records = json.loads((out / "samples.json").read_text())
    assert [record["seed"] for record in records] == [7, 8, 9]
    for record in records:
        with Image.open(out / record["file"]) as picture:
            assert picture.size == (64, 64)
            assert json.loads(picture.text["facecond"]) == record
    assert len({record["mask_sha256"] for record in records}) == 1  # all open
    assert records[0]["attributes"] == "-Eyeglasses,Smiling"
    with Image.open(out / "grid.png") as sheet:
        assert sheet.size[0] >= 3 * 64 and "synthetic faces" in sheet.text["Description"]
        assert json.loads(sheet.text["facecond"])["model_hash"] == records[0]["model_hash"]


def test_the_same_seed_draws_the_same_face(model: Path, tmp_path: Path) -> None:
    sample(model, tmp_path / "a", "--seed", "1")
    sample(model, tmp_path / "b", "--seed", "2")
    second_of_a = np.asarray(Image.open(tmp_path / "a" / "00001.png")).astype(int)
    first_of_b = np.asarray(Image.open(tmp_path / "b" / "00000.png")).astype(int)
    assert np.abs(second_of_a - first_of_b).max() <= 1
    assert np.abs(first_of_b - np.asarray(Image.open(tmp_path / "a" / "00000.png"))).max() > 1


def test_masks_from_file_from_data_and_rendered(model: Path, data: Path, tmp_path: Path) -> None:
    mask = next((data / "masks").glob("*.png"))
    assert sample(model, tmp_path / "a", "--mask", str(mask), "--guidance", "mask=2") == 0
    assert sample(model, tmp_path / "b", "--mask", "random", "--data", str(data)) == 0
    assert sample(model, tmp_path / "c", "--mask", "random", "--scheduler", "heun") == 0
    drawn = json.loads((tmp_path / "c" / "samples.json").read_text())
    hashes = [hashlib.sha256(render(seed, 0, 64).mask.tobytes()).hexdigest() for seed in range(3)]
    assert [record["mask_sha256"] for record in drawn] == hashes


def test_a_routing_file_routes(model: Path, tmp_path: Path) -> None:
    config = json.loads((model / "unet" / "config.json").read_text())
    table = config["routing"]
    for rule in table["rules"]:
        if rule["source"] == "mask":
            rule["scale"] = 0.0
    file = tmp_path / "no_mask.json"
    file.write_text(json.dumps(table))
    words = {"a": ["--routing", str(file)], "b": []}
    for run, routing in words.items():
        for mask, given in (("open", []), ("random", ["--mask", "random"])):
            folder = tmp_path / run / mask
            assert sample(model, folder, "--attributes", "Smiling", *given, *routing) == 0
    same = {
        run: np.array_equal(
            *(np.asarray(Image.open(tmp_path / run / m / "00000.png")) for m in ("open", "random"))
        )
        for run in words
    }
    assert same == {"a": True, "b": False}  # routed away, the mask makes no difference
    record = json.loads((tmp_path / "a" / "open" / "samples.json").read_text())[0]
    assert record["routing"] == "all_all"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--attributes", "Smilling"], "Did you mean 'Smiling'"),
        (["--attributes", "Smiling,-Smiling"], "twice"),
        (["--mask", "nowhere.png"], "nowhere.png"),
        (["--guidance", "masks=2"], "Did you mean 'mask'"),
        (["--guidance", "mask=-2"], "--guidance"),
        (["--guidance", "attributes=1e30"], "'attributes' must be up to 100, not '1e30'"),
        (["--attributes", "Smiling=1e30"], "Write Smiling=1.5: a number from 0 to 100"),
        (["--scheduler", "eular"], "Did you mean 'euler'"),
        (["--scheduler", "DDIMScheduler"], "cannot sample a flow model"),
        (["--routing", "fine_corse"], "fine_coarse"),
        (["--n", "0"], "--n"),
        (["--steps", "-3"], "--steps"),
        (["--data", "x"], "--mask random"),
        (["--batch", "x.csv", "--mask", "random"], "does not go with --batch"),
        (["--workers", "2"], "goes with --batch"),
        (["--batch", "x.csv"], "--n: it does not go with --batch"),
        (["--attributes", "Black_Hair,Blond_Hair"], "Black_Hair and Blond_Hair exclude each other"),
        (["--weaker", "model:0"], "must be 1 or above"),
        (["--guidance-interval", "0.9:0.2"], "LO:HI"),
        (["--window", "mask=0.5"], "LO:HI"),
        (["--window", "masks=0.5:1"], "Did you mean 'mask'"),
        (["--rescale", "2"], "--rescale"),
        (["--guidance", "weaker=2"], "--weaker MODEL:SCALE"),
        (["--weaker", "nowhere:2"], "nowhere"),
        (["--attributes", "Smiling=a"], "no scale of 'Smiling'"),
    ],
)
def test_bad_input(
    model: Path,
    tmp_path: Path,
    words: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sample(model, tmp_path / "faces", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()  # no empty folder either


def test_a_folder_that_is_no_model(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(data, tmp_path / "faces") == 2
    assert "not a model folder" in capsys.readouterr().err


ROWS = """name,attributes,mask,seed,guidance
anna,"Smiling,Blond_Hair",,7,
ben,"Male=2,-Smiling",,8,"mask=1,attributes=2"
,Eyeglasses,,,
"""


def test_rows_of_a_file_and_going_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    words = ["sample", str(model), "--batch", str(tmp_path / "rows.csv"), "--steps", "2"]
    words += ["--out", str(tmp_path / "faces")]
    assert main(words) == 0
    records = json.loads((tmp_path / "faces" / "samples.json").read_text())
    assert [record["file"] for record in records] == ["anna.png", "ben.png", "00002.png"]
    assert records[1]["guidance"]["Male"] == 2 and records[1]["seed"] == 8
    before = {name: (tmp_path / "faces" / name).stat().st_mtime_ns for name in ("anna.png",)}
    (tmp_path / "faces" / "ben.png").unlink()
    assert main(words) == 0
    assert "3 faces (2 were there already)" in capsys.readouterr().out
    after = {name: (tmp_path / "faces" / name).stat().st_mtime_ns for name in before}
    assert after == before
    assert json.loads((tmp_path / "faces" / "samples.json").read_text())[0] == records[0]


@pytest.mark.slow
def test_workers_draw_the_same(model: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    words = ["sample", str(model), "--batch", str(tmp_path / "rows.csv"), "--steps", "2"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    assert main([*words, "--out", str(tmp_path / "two"), "--workers", "2"]) == 0
    for name in ("anna.png", "ben.png", "00002.png"):
        first, second = (np.asarray(Image.open(tmp_path / run / name)).astype(int)
                         for run in ("one", "two"))  # fmt: skip
        assert np.abs(first - second).max() <= 2


def test_a_weaker_model_of_the_same_first_stage(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "faces"
    assert sample(model, out, "--weaker", f"{model}:1.5", "--steps", "2") == 0
    record = json.loads((out / "samples.json").read_text())[0]
    assert record["guidance"]["weaker"] == 1.5 and record["weaker"] == str(model)
    assert record["weaker_hash"] == record["model_hash"]


def test_rows_that_are_not_there(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", str(model), "--out", str(tmp_path / "faces"), "--batch", "gone.csv"]
    assert main(words) == 2
    assert "gone.csv" in capsys.readouterr().err


def test_rows_with_scales_of_their_own_beside_a_weaker_model(model: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("name,guidance\na,mask=2\nb,\n")
    words = ["--batch", str(tmp_path / "rows.csv"), "--weaker", f"{model}:1.5", "--steps", "2"]
    assert main(["sample", str(model), "--out", str(tmp_path / "faces"), *words]) == 0
    records = json.loads((tmp_path / "faces" / "samples.json").read_text())
    assert records[0]["guidance"] == {"mask": 2.0, "weaker": 1.5}
    assert records[1]["guidance"]["weaker"] == 1.5
