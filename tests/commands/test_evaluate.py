"""`facecond evaluate`: from a model, data and judges on disk to rows, a table and a page."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.cli import main
from facecond.data.prepared import PreparedFolder
from facecond.storage import read_json, write_json


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 rendered faces, 60 of them for the judges, 20 to test."""
    out = tmp_path_factory.mktemp("evaluate") / "faces"
    words = ["data", "render", "--out", str(out), "--count", "100", "--size", "64"]
    shares = ["--judges-fraction", "0.6", "--test-fraction", "0.2"]
    assert main([*words, *shares, "--workers", "1"]) == 0
    return out


@pytest.fixture(scope="module")
def judges(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("evaluate_judges")
    for kind in ("parser", "attributes"):
        words = ["train", "judge", kind, f"judge_{kind}_64", "--out", str(root / kind)]
        few = ["judge.steps=2", "judge.width=8", "judge.batch_size=8"]
        assert main([*words, "--set", f"data.root={faces}", *few]) == 0
    return root


def evaluate(model: Path, faces: Path, judges: Path, out: Path, *words: str) -> int:
    where = ["--data", str(faces), "--judges", str(judges), "--out", str(out)]
    return main(["evaluate", str(model), *where, *words])


def test_rows_table_and_page_are_written(
    model: Path, faces: Path, judges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["--n", "16", "--guidance", "mask=2", "--keep-images"]
    labels = faces / "predicted" / "manifest.json"
    labels.parent.mkdir()
    alike = {"weights": "0" * 64, "scores": read_json(judges / "attributes" / "scores.json")}
    write_json(labels, {"attributes": alike})
    assert evaluate(model, faces, judges, out, *words) == 0
    shutil.rmtree(labels.parent)
    printed = capsys.readouterr().out
    # The classifier that filled labels had the seed and the data of the one that scores.
    warned = "and the one that filled labels share the seed and data: where both err alike"
    assert printed.index("warning: the attribute classifier of") < printed.index("| mask_miou |")
    assert "| mask_miou |" in printed
    # The model comes from other faces, the judges from these.
    assert f"trained on other data than {faces}: the model;" in printed
    summary = json.loads((out / "results.json").read_text())
    assert {"mask_miou", "mask_miou_floor", "mask_miou_ceiling", "frechet_judge"} <= set(summary)
    assert summary["trained_on"]["the parser"] == PreparedFolder.open(faces).data_hash
    assert any("trained on other data" in note for note in summary["notes"])
    assert len(summary["warnings"]) == 1 and warned in summary["warnings"][0]
    table = (out / "results.md").read_text()
    assert table.startswith("**Warning: the attribute classifier of") and warned in table
    assert set(summary["probe_seconds"]) == {"adherence", "fidelity"}
    assert not (out / "unfinished").exists()
    assert (summary["batch_size"], summary["device"]) == (32, "cpu")
    assert summary["n"] == 16 and summary["guidance"] == {"mask": 2.0}
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert rows and all(row["data"] == PreparedFolder.open(faces).data_hash for row in rows)
    assert all(row["warnings"] == summary["warnings"] for row in rows)
    assert len(list((out / "images").glob("*.png"))) == 16
    page = (out / "report.html").read_text()
    assert page.index('class="warning"') < page.index("<h2>") and warned in page
    assert "<svg" in page and "http://" not in page.replace("http://www.w3.org", "")
    again = tmp_path / "again"
    assert evaluate(model, faces, judges, again, *words) == 0
    repeated = json.loads((again / "results.json").read_text())
    assert repeated["mask_miou"] == summary["mask_miou"] and "warnings" not in repeated


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--n", "21"), "20 are there"),
        (("--n", "4", "--guidance", "msk=2", "--keep-images"), "'mask'"),
        (("--data", "{tmp}/none"), "no such folder"),
        (("--out", "/dev/null/out"), "/dev/null/out: cannot be written"),
    ],
)
def test_what_cannot_be_evaluated_is_said_in_one_line(
    words: tuple[str, ...],
    message: str,
    model: Path,
    faces: Path,
    judges: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [word.format(tmp=tmp_path) for word in words]
    assert evaluate(model, faces, judges, tmp_path / "deep" / "out", *given) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_folder_without_judges_is_named(
    model: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(model, faces, tmp_path / "none", tmp_path / "out", "--n", "4") == 2
    assert "no parser judge here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def second(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Judges of another seed."""
    root = tmp_path_factory.mktemp("evaluate_second")
    for kind in ("parser", "attributes"):
        words = ["train", "judge", kind, f"judge_{kind}_64", "--out", str(root / kind)]
        few = ["judge.steps=2", "judge.width=8", "judge.batch_size=8", "judge.seed=5"]
        assert main([*words, "--set", f"data.root={faces}", *few]) == 0
    return root


SHORT = ["--n", "8", "--batch-size", "4", "--seed", "3"]


def test_the_full_protocol_fills_the_page(
    model: Path, faces: Path, judges: Path, second: Path, tmp_path: Path
) -> None:
    words = ["--judges", str(judges), str(second), "--data", str(faces), "--out", str(tmp_path)]
    assert main(["evaluate", str(model), *words, "--protocol", "full", *SHORT]) == 0
    summary = json.loads((tmp_path / "results.json").read_text())
    for key in ("mask_miou_second", "mask_miou_difference", "manifold_recall", "memorised_share",
                "open_region_entropy", "diversity_random_alex", "partial_mask_miou"):  # fmt: skip
        assert isinstance(summary[key], float), key
    assert summary["probe_seconds"].keys() >= {"selectivity", "groups", "diversity"}
    page, table = ((tmp_path / name).read_text() for name in ("report.html", "results.md"))
    headings = ("Where it fails", "How much it depends on the judge", "Notes",
                "Several samples of one condition", "Nearest pictures of the training")  # fmt: skip
    for heading in headings:
        assert f"<h2>{heading}</h2>" in page, heading
    assert "How much it depends on the judge" in table
    command = page[page.index("<pre>") :]
    assert f"--judges {judges} {second} --protocol full --n 8 --seed 3 --batch-size 4" in command


def test_papers_say_what_may_be_compared(
    model: Path, faces: Path, judges: Path, tmp_path: Path
) -> None:
    assert evaluate(model, faces, judges, tmp_path, "--protocol", "papers", *SHORT) == 0
    summary = json.loads((tmp_path / "results.json").read_text())
    assert summary["given"] == "mask" and "fid" not in str(list(summary))
    scdm = next(each for each in summary["published"] if each["model"] == "SCDM")
    assert scdm["comparable"] == "no" and scdm["ours"] is None
    reasons = " ".join(scdm["reasons"])
    for reason in (
        "no FID",
        "ours: rendered",
        "ours: 8",
        "ours: 64",
        "may hold the test pictures",
    ):
        assert reason in reasons
    assert "## Beside published figures" in (tmp_path / "results.md").read_text()


@pytest.mark.slow
def test_two_processes_make_the_pictures_and_scores_of_one(
    model: Path,
    faces: Path,
    judges: Path,
    tmp_path: Path,
    root: Path,
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    words = [model, "--data", faces, "--judges", judges, "--protocol", "full", "--keep-images"]
    words += ["--n", "10", "--batch-size", "4"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "--"]
    tool = root / "tools" / "evaluate.py"
    done = python(*launcher, tool, *words, "--out", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Ceiling: real test pictures") == 1  # one process prints
    assert evaluate(model, faces, judges, tmp_path / "one", *map(str, words[5:])) == 0
    pictures = [
        {path.name: path.read_bytes() for path in (tmp_path / name / "images").iterdir()}
        for name in ("one", "two")
    ]
    assert len(pictures[0]) == 10 and pictures[0] == pictures[1]
    rows = [
        [json.loads(line) for line in (tmp_path / name / "results.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert rows[0] == rows[1]
    pages = [(tmp_path / name / "report.html").read_text() for name in ("one", "two")]
    assert len(pages[0]) > 100_000 and abs(len(pages[0]) - len(pages[1])) < 100


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--judges", "{judges}", "{judges}"), "both judges have the same parser"),
        (("--judges", "a", "b", "c"), "3 judges are given"),
        (("--features", "inceptoin:x"), "Did you mean 'inception'"),
        (("--protocol", "full", "--lpips-trunk", "none.pth"), "none.pth: there is no such file"),
        (("--embedder", "facenet:x"), "unknown face embedding 'facenet:x'"),
        (("--protocol", "references"), "--protocol: this model was not trained with references"),
    ],
)
def test_faults_of_the_options_are_said_before_any_work(
    words: tuple[str, ...],
    message: str,
    model: Path,
    faces: Path,
    judges: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [word.format(judges=judges) for word in words]
    assert evaluate(model, faces, judges, tmp_path / "out", *given) == 2
    error = capsys.readouterr().err
    assert message in error and "generate" not in error and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_routing_with_windows_is_evaluated(data: Path, judges: Path, tmp_path: Path) -> None:
    """Its gates depend on the noise level; the page shows the strongest."""
    words = [
        "train",
        "rendered_debug",
        "--out",
        str(tmp_path / "run"),
        "--set",
        f"data.root={data}",
    ]
    words += [
        "routing.preset=early_late",
        "train.steps=1",
        "train.batch_size=4",
        "sampling.steps=2",
    ]
    assert main([*words, "train.sample_every=0"]) == 0
    out = tmp_path / "out"
    assert evaluate(tmp_path / "run" / "model", data, judges, out, "--n", "4") == 0
    assert "Which source reaches which layer" in (out / "report.html").read_text()


def test_another_routing_is_evaluated_without_training(
    model: Path, data: Path, judges: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(model), "--data", str(data), "--judges", str(judges), "--n", "4"]
    (tmp_path / "no_mask.yaml").write_text("rules: [{source: attributes, layers: '*'}]")
    scores = {}
    for name in ("", "coarse_fine", str(tmp_path / "no_mask.yaml")):
        out = tmp_path / f"scores-{len(scores)}"
        more = ["--routing", name] if name else []
        assert main([*words, "--out", str(out), *more]) == 0
        found = read_json(out / "results.json")
        scores[found["routing"]] = found["mask_miou"]
        assert (f"--routing {name}" in (out / "report.html").read_text("utf-8")) == bool(name)
    assert list(scores) == ["all_all", "coarse_fine", "no_mask"]
    assert len(set(scores.values())) == 3
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "bad"), "--routing", "coarse_fin"]) == 2
    assert "coarse_fine" in capsys.readouterr().err and not (tmp_path / "bad").exists()
