"""Reports on first stages whose loss is known: none, planted, and some."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from facecond import metrics
from facecond.data.prepared import PreparedFolder
from facecond.data.rendered import render
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.evaluation.reconstruction import HIGHEST_PSNR, assess_stage
from facecond.evaluation.reconstruction_report import summary
from facecond.evaluation.reconstruction_rows import FRECHET
from facecond.evaluation.stage_opening import open_stage
from facecond.labels import ATTRIBUTES
from facecond.models.first_stage import FirstStage
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.kl_autoencoder import build_kl_autoencoder
from facecond.models.lpips_distance import LpipsDistance

SIZE, TEST_ROWS, NO_MASK, NO_ATTRIBUTES = 64, 21, 4, 5


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> PreparedFolder:
    """Rendered faces; one of the test split has no mask, one no attributes."""
    root = tmp_path_factory.mktemp("reconstruction") / "faces"
    with PreparedWriter(root, SIZE, "rendered") as writer:
        for i in range(90):
            face = render(0, i, SIZE)
            mask = None if i == NO_MASK else face.mask
            attributes = np.full(40, -1, np.int8) if i == NO_ATTRIBUTES else face.attributes
            split = "test" if i < TEST_ROWS else "generator"
            writer.add(f"{i:03d}", face.image, mask, attributes, split)
    return PreparedFolder.open(root)


@pytest.fixture(scope="module")
def judges() -> tuple[FaceParser, AttributeClassifier]:
    """Small and untrained: they see what they see, the same in the same picture."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = AttributeClassifier(8, SIZE, 8, attributes=ATTRIBUTES[:30])
        return FaceParser(8, SIZE).eval(), classifier.eval()


@pytest.fixture(scope="module")
def lossless(faces: PreparedFolder) -> FirstStage:
    """All twelve components of 2 x 2 patches, decoded without ridge: nothing is lost."""
    stage = FirstStage("LinearPatchCode", {"patch_size": 2, "latent_channels": 12})
    rows = faces.indices("generator")
    pictures = np.stack([faces.image(int(row)) for row in rows])
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1
    stage.autoencoder.fit(images, ridge=0.0)
    stage.measure([images])
    return stage.requires_grad_(False).eval()


def by_name(report: object) -> dict[str, dict]:
    return {row["metric"]: row for row in report.rows}  # type: ignore[attr-defined]


def test_a_lossless_stage_scores_as_the_pictures_do(
    faces: PreparedFolder,
    judges: tuple[FaceParser, AttributeClassifier],
    lossless: FirstStage,
) -> None:
    parser, classifier = judges
    distance = LpipsDistance("squeeze", "random")
    report = assess_stage(
        lossless, faces, parser=parser, classifier=classifier, distance=distance,
        batch_size=8, progress=False,
    )  # fmt: skip
    rows = by_name(report)
    assert list(rows) == [
        "psnr", "ssim", "random_squeeze", "mask_miou", "attribute_bacc",
        "frechet_judge_reconstruction",
    ]  # fmt: skip
    assert rows["psnr"]["score"] == rows["psnr"]["low"] == rows["psnr"]["high"] == HIGHEST_PSNR
    assert rows["ssim"]["score"] == pytest.approx(1.0)
    assert rows["random_squeeze"]["score"] == 0
    for name in ("mask_miou", "attribute_bacc", FRECHET):
        assert rows[name]["score"] == pytest.approx(rows[name]["ceiling"], abs=1e-9), name
    assert (rows["psnr"]["n"], rows[FRECHET]["n"]) == (TEST_ROWS, TEST_ROWS)
    assert (rows["mask_miou"]["n"], rows["attribute_bacc"]["n"]) == (TEST_ROWS - 1, TEST_ROWS - 1)
    assert rows[FRECHET]["reference_n"] == 90 - TEST_ROWS
    counted = faces.attributes[faces.indices("test")]
    enough = np.minimum((counted == 1).sum(0), (counted == 0).sum(0)) >= metrics.MINIMUM_CASES
    judged = [name for name, ok in zip(ATTRIBUTES[:30], enough, strict=False) if ok]
    assert judged and list(rows["attribute_bacc"]["detail"]) == judged
    assert report.notes == ["random_squeeze has an untrained trunk: it is not LPIPS."]
    assert report.facts["latent_shape"] == [12, 32, 32]
    assert report.facts["reduction"] == 2 and report.facts["compression"] == 1
    assert report.facts["parameters"] == 12 * 12 + 12 + 12 * 12 * 9 + 12
    assert report.facts["ms_per_image"] > 0
    json.dumps(summary(report), allow_nan=False)


def test_figures_of_a_lossy_stage_are_those_of_its_pictures(
    faces: PreparedFolder, judges: tuple[FaceParser, AttributeClassifier]
) -> None:
    stage = open_stage("linear", faces, patch_size=4, latent_channels=4)
    report = assess_stage(stage, faces, parser=judges[0], show=TEST_ROWS, progress=False)
    rows = by_name(report)
    original, rebuilt = report.first[:, 0].astype(float), report.first[:, 1].astype(float)
    errors = ((original - rebuilt) ** 2).reshape(TEST_ROWS, -1).mean(1)
    values = [10 * math.log10(255**2 / error) for error in errors]
    assert rows["psnr"]["score"] == pytest.approx(np.mean(values))
    assert rows["psnr"]["low"] < rows["psnr"]["score"] < rows["psnr"]["high"]
    worst = ((report.worst[:, 0].astype(float) - report.worst[:, 1]) ** 2).mean((1, 2, 3))
    assert worst.tolist() == sorted(errors.tolist(), reverse=True)
    # The parser's mIoU, summed by hand over the faces that have a mask.
    names = {faces.image(int(i)).tobytes(): int(i) for i in faces.indices("test")}
    order = [names[picture.tobytes()] for picture in report.first[:, 0]]
    truth = np.stack([faces.mask(i) for i in order])
    counts = []
    for side in (report.first[:, 1], report.first[:, 0]):
        pixels = torch.from_numpy(side).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            parsed = judges[0](pixels).argmax(1).to(torch.uint8).numpy()
        counts.append(metrics.mask_counts(truth, parsed).sum(0))
    row = rows["mask_miou"]
    assert row["score"] == pytest.approx(float(metrics.mean_iou(counts[0])))
    assert row["ceiling"] == pytest.approx(float(metrics.mean_iou(counts[1])))
    assert row["score"] != row["ceiling"]


def test_latents_are_reported_as_they_are(faces: PreparedFolder, lossless: FirstStage) -> None:
    """A wrong scale shows: halving the stored std doubles the latents."""
    table = assess_stage(lossless, faces, progress=False).latents
    assert len(table) == 12 and all(0.5 < row["std"] < 2 for row in table)
    wrong = FirstStage("LinearPatchCode", {"patch_size": 2, "latent_channels": 12})
    wrong.load_state_dict(lossless.state_dict())
    halved = [std / 2 for std in lossless.config.latents_std]
    wrong.register_to_config(latents_mean=lossless.config.latents_mean, latents_std=halved)
    for right, other in zip(table, assess_stage(wrong, faces, progress=False).latents, strict=True):
        assert other["std"] == pytest.approx(2 * right["std"], rel=1e-4)
        assert other["stored_std"] == right["stored_std"] / 2


def test_what_is_left_out_is_said(faces: PreparedFolder, lossless: FirstStage) -> None:
    report = assess_stage(lossless, faces, n=2, progress=False)
    assert [row["metric"] for row in report.rows] == ["psnr", "ssim"]
    assert len(report.notes) == 3 and all("No " in note for note in report.notes)
    assert len(report.first) == len(report.worst) == report.provenance["n"] == 2


def test_rows_follow_the_seed_and_batches_do_not_matter(
    faces: PreparedFolder, lossless: FirstStage
) -> None:
    def scores(**options: int) -> list[float]:
        stage = open_stage("linear", faces, 4, 3)
        found = assess_stage(stage, faces, n=9, progress=False, **options)  # type: ignore[arg-type]
        return [row["score"] for row in found.rows]

    assert scores(batch_size=4) == pytest.approx(scores(batch_size=9))
    assert scores() == scores() != scores(seed=1)


def test_stages_of_every_kind_are_opened(
    faces: PreparedFolder, lossless: FirstStage, tmp_path: Path
) -> None:
    build_kl_autoencoder(SIZE, (8, 8), 1, 3, 4, False).save_pretrained(tmp_path / "vae")
    lossless.save_pretrained(tmp_path / "stage")
    lossless.save_pretrained(tmp_path / "model" / "first_stage")
    (tmp_path / "model" / "model_index.json").write_text("{}")
    kinds = {"vae": "AutoencoderKL", "stage": "LinearPatchCode", "model": "LinearPatchCode"}
    for name, kind in kinds.items():
        stage = open_stage(str(tmp_path / name), faces)
        assert stage.config.autoencoder_class == kind and stage.config.latents_std
    assert open_stage("linear", faces).config.autoencoder_config["latent_channels"] == 12


def test_sizes_that_do_not_fit_are_one_line(
    faces: PreparedFolder, lossless: FirstStage, tmp_path: Path
) -> None:
    build_kl_autoencoder(128, (8,) * 8, 1, 3, 4, False).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="it cannot take 64 px pictures"):
        open_stage(str(tmp_path), faces)
    with pytest.raises(UserError, match="patch_size 5"):
        open_stage("linear", faces, 5)
    with pytest.raises(UserError, match="the parser is for 32 px, these faces have 64 px"):
        assess_stage(lossless, faces, parser=FaceParser(8, 32), progress=False)
    with pytest.raises(UserError, match="22 test pictures are wanted, 21 are there"):
        assess_stage(lossless, faces, n=22, progress=False)
