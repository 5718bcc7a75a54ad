"""Filling what is missing: judges whose answers are the planted truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.data.predicted import read_predicted
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.evaluation.annotate import label_folder
from facecond.evaluation.inference import check_rows, resized
from facecond.evaluation.judges import Judge
from facecond.evaluation.label_attributes import BY_JUDGE, ONE_VALUE
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.metrics.attribute_calibration import calibrate
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.models.weights_hash import weights_hash
from facecond.seeding import key_of

SIZE, COUNT = 16, 160
KNOWN = 100
"""The faces before this one have the truth; the others lack it."""
SPLIT = ["generator"] * 5 + ["judges"] * 2 + ["test"]


def faces() -> np.ndarray:
    """uint8 [COUNT, SIZE, SIZE, 3]: smooth random pictures."""
    coarse = np.random.default_rng(5).integers(0, 256, (COUNT, 4, 4, 3))
    return coarse.repeat(SIZE // 4, 1).repeat(SIZE // 4, 2).astype(np.uint8)


def network(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def classifier() -> Judge:
    """An untrained classifier; its thresholds are the medians of its answers."""
    with torch.random.fork_rng():
        torch.manual_seed(key_of("classifier") >> 1)
        model = AttributeClassifier(width=8, image_size=SIZE, attributes=ATTRIBUTES[:30]).eval()
    with torch.no_grad():
        model.register_to_config(thresholds=model(network(faces())).median(0).values.tolist())
    return Judge(model, Path("judges/attributes"), {"seed": 4, "data_hash": "elsewhere"})


@pytest.fixture(scope="module")
def parser() -> Judge:
    """An untrained parser."""
    with torch.random.fork_rng():
        torch.manual_seed(key_of("parser") >> 1)
        model = FaceParser(width=8, image_size=SIZE).eval()
        torch.nn.init.normal_(model.network.head[1].weight, std=3)
        model.network.head[1].bias.data.zero_()
    return Judge(model, Path("judges/parser"))


@torch.no_grad()
def answers(classifier: Judge, parser: Judge) -> tuple[np.ndarray, np.ndarray]:
    """What the two say: int8 [COUNT, 40] and uint8 [COUNT, SIZE, SIZE]."""
    images = network(faces())
    present = classifier.model(images) > torch.tensor(classifier.model.config["thresholds"])
    return present.numpy().astype(np.int8), parser.model(images).argmax(1).numpy().astype(np.uint8)


def write(root: Path, attributes: np.ndarray, masks: np.ndarray, known: int = KNOWN) -> Path:
    with PreparedWriter(root, SIZE, "folder") as writer:
        for i, image in enumerate(faces()):
            truth = attributes[i] if i < known else np.full(40, UNSPECIFIED, np.int8)
            split = SPLIT[i % len(SPLIT)]
            writer.add(f"n{i:03d}", image, masks[i] if i < known else None, truth, split)
    return root


@pytest.fixture
def root(classifier: Judge, parser: Judge, tmp_path: Path) -> Path:
    """A folder whose truth is what the judges say."""
    return write(tmp_path / "data", *answers(classifier, parser))


def test_judges_that_are_right_restore_what_is_missing(
    classifier: Judge, parser: Judge, root: Path
) -> None:
    attributes, masks = answers(classifier, parser)
    manifest = label_folder(PreparedFolder.open(root), parser, classifier, progress=False)
    full = PreparedFolder.open(root, labels="all")
    hidden = np.arange(KNOWN, COUNT)
    given = full.attribute_predicted[hidden, :30]
    assert given.mean() > 0.7
    right = full.attributes[hidden, :30] == attributes[hidden, :30]
    assert right[given].mean() > 0.99
    assert not full.attribute_predicted[:, 30:].any()  # columns that were not trained
    assert (full.attributes[:KNOWN] == attributes[:KNOWN]).all()
    assert full.mask_predicted.tolist() == [i >= KNOWN for i in range(COUNT)]
    used = [found["used"] for found in manifest["masks"]["check"]["per_class"].values()]
    assert sum(used) >= 3
    given_masks = np.stack([full.mask(i) for i in hidden])
    expected = np.where(np.array(used)[masks[hidden]], masks[hidden], ANYTHING)
    assert (given_masks == expected).mean() > 0.98  # a fitted bias may tip a pixel on the edge
    assert manifest["attributes"]["weights"] == weights_hash(classifier.model)
    assert manifest["attributes"]["scores"] == {"seed": 4, "data_hash": "elsewhere"}
    assert manifest["masks"]["weights"] == weights_hash(parser.model)
    assert manifest["masks"]["check"]["mask_miou"] > 0.95
    assert manifest["counts"]["masks"] == manifest["masks"]["faces_filled"] == COUNT - KNOWN
    assert set(manifest["attributes"]["per_attribute"]) == set(ATTRIBUTES[:30])


def test_the_test_split_decides_nothing(classifier: Judge, parser: Judge, tmp_path: Path) -> None:
    attributes, masks = answers(classifier, parser)
    in_test = np.array([SPLIT[i % len(SPLIT)] == "test" for i in range(COUNT)])
    lying, false = attributes.copy(), masks.copy()
    lying[in_test], false[in_test] = 1 - lying[in_test], 0
    written = []
    for name, values, pictures in (("a", attributes, masks), ("b", lying, false)):
        folder = PreparedFolder.open(write(tmp_path / name, values, pictures))
        label_folder(folder, parser, classifier, progress=False)
        written.append(read_predicted(folder))
    first, second = written
    assert first is not None and second is not None
    np.testing.assert_array_equal(first.attributes[KNOWN:], second.attributes[KNOWN:])
    np.testing.assert_array_equal(first.confidence[KNOWN:], second.confidence[KNOWN:])
    assert first.manifest["masks"]["check"] == second.manifest["masks"]["check"]


def test_an_attribute_that_the_judge_misreads_stays_open(
    classifier: Judge, parser: Judge, tmp_path: Path
) -> None:
    attributes, masks = answers(classifier, parser)
    attributes[::2, 4] = 1 - attributes[::2, 4]  # half of its answers are wrong
    folder = PreparedFolder.open(write(tmp_path / "x", attributes, masks))
    manifest = label_folder(folder, None, classifier, progress=False)
    found = manifest["attributes"]["per_attribute"]
    assert not found[ATTRIBUTES[4]]["used"] and found[ATTRIBUTES[4]]["filled"] == 0
    assert found[ATTRIBUTES[3]]["used"] and found[ATTRIBUTES[3]]["filled"] > 0
    full = PreparedFolder.open(folder.root, labels="all")
    assert not full.attribute_predicted[:, 4].any()


def test_a_mask_class_that_the_parser_misreads_stays_open(
    classifier: Judge, parser: Judge, tmp_path: Path
) -> None:
    attributes, masks = answers(classifier, parser)
    common = np.bincount(masks.ravel(), minlength=19).argsort()[::-1]
    bad, other = int(common[1]), int(common[0])
    wrong = masks.copy()
    odd = (np.arange(SIZE) % 4 != 0)[None, :, None]  # three of its pixels in four are another class
    wrong[(masks == bad) & odd] = other
    folder = PreparedFolder.open(write(tmp_path / "x", attributes, wrong))
    label_folder(folder, parser, progress=False)
    full = PreparedFolder.open(folder.root, labels="all")
    given = np.stack([full.mask(i) for i in range(KNOWN, COUNT)])
    assert not (given == bad).any()
    assert (given == other).any()


def test_least_confidence_leaves_the_unsure_open(
    classifier: Judge, parser: Judge, tmp_path: Path
) -> None:
    attributes, masks = answers(classifier, parser)
    random = np.random.default_rng(1)
    flipped = np.where(random.random(attributes.shape) < 0.15, 1 - attributes, attributes)
    folder = PreparedFolder.open(write(tmp_path / "x", flipped.astype(np.int8), masks))
    counts = []
    for least in (0.0, 0.8, 0.95):
        label_folder(folder, None, classifier, min_confidence=least, progress=False)
        given = read_predicted(folder)
        assert given is not None
        sure = given.confidence[given.attributes != UNSPECIFIED]
        assert (sure >= max(least, 0.5) - 1e-4).all()
        counts.append(len(sure))
    assert counts[0] == (COUNT - KNOWN) * 30 > counts[1] > counts[2]


def test_an_attribute_of_which_one_value_is_sure_stays_open(
    classifier: Judge, parser: Judge, tmp_path: Path
) -> None:
    """An attribute that one face in eight has, and that is hardly seen."""
    attributes, masks = answers(classifier, parser)
    with torch.no_grad():
        logits = classifier.model(network(faces())).numpy()[:, 4]
    noisy = logits + np.random.default_rng(4).normal(0, 0.8 * logits.std(), COUNT)
    attributes[:, 4] = noisy > np.quantile(noisy, 0.86)
    folder = PreparedFolder.open(write(tmp_path / "x", attributes, masks))
    manifest = label_folder(folder, None, classifier, progress=False)
    found = manifest["attributes"]["per_attribute"][ATTRIBUTES[4]]
    assert found["accuracy"] > 0.6 and found["low"] > 0.5  # what was enough to be labelled
    assert found["stated_absent"][0] > 40 and found["stated_present"][0] < 5
    assert found["left_open"] == ONE_VALUE and not found["used"] and found["filled"] == 0
    given = read_predicted(folder)
    assert given is not None and (given.attributes[:, 4] == UNSPECIFIED).all()
    assert manifest["attributes"]["per_attribute"][ATTRIBUTES[5]]["filled_present"] > 0


def test_one_judge_keeps_what_the_other_filled(
    classifier: Judge, parser: Judge, root: Path
) -> None:
    label_folder(PreparedFolder.open(root), parser, classifier, progress=False)
    both = PreparedFolder.open(root, labels="all")
    for judges in ((parser, None), (None, classifier)):
        label_folder(PreparedFolder.open(root), *judges, progress=False)
        again = PreparedFolder.open(root, labels="all")
        assert again.data_hash == both.data_hash
        manifest = read_predicted(PreparedFolder.open(root)).manifest  # type: ignore[union-attr]
        assert {"attributes", "masks"} <= set(manifest)


def test_without_truth_the_judges_own_figures_stand(
    classifier: Judge, parser: Judge, tmp_path: Path
) -> None:
    attributes, masks = answers(classifier, parser)
    folder = PreparedFolder.open(write(tmp_path / "x", attributes, masks, known=0))
    with pytest.raises(UserError, match=r"judges/attributes: no true attributes to check"):
        label_folder(folder, None, classifier, progress=False)
    assert not (folder.root / "predicted").exists()
    weak = Judge(classifier.model, classifier.path, {"per_attribute": {ATTRIBUTES[2]: 0.9}})
    with pytest.raises(UserError, match=r"no scores\.json that tells how often"):
        label_folder(folder, None, weak, progress=False)
    with torch.no_grad():
        logits = classifier.model(network(faces())).numpy()
    sure = calibrate(logits[:, 2], attributes[:, 2] == 1).as_json()
    scores = {"per_attribute": {ATTRIBUTES[2]: 0.9}, "calibration": {ATTRIBUTES[2]: sure}}
    broken = Judge(classifier.model, classifier.path, scores | {"calibration": {ATTRIBUTES[2]: 1}})
    with pytest.raises(UserError, match=r"scores\.json: 'calibration' is damaged"):
        label_folder(folder, None, broken, progress=False)
    told = Judge(classifier.model, classifier.path, scores)
    manifest = label_folder(folder, parser, told, progress=False)
    full = PreparedFolder.open(folder.root, labels="all")
    given = full.attribute_predicted[:, 2]
    assert given.mean() > 0.7
    assert (full.attributes[given, 2] == attributes[given, 2]).all()
    assert not full.attribute_predicted[:, np.arange(40) != 2].any()
    assert manifest["attributes"]["faces_checked"] == 0
    assert manifest["attributes"]["calibration"]["source"] == BY_JUDGE
    found = manifest["attributes"]["per_attribute"][ATTRIBUTES[2]]
    assert found["checked_on"] == "judge" and found["base_rate"] == sure["base_rate"]
    assert found["read_rate"] == pytest.approx(sure["base_rate"], abs=0.05)
    assert found["stated_present"] == [row[1:] for row in sure["stated_present"]][3]
    assert manifest["masks"]["check"] == {} and "calibration" not in manifest["masks"]
    np.testing.assert_array_equal(full.mask(7), masks[7])


def test_judges_that_read_nothing_are_refused(
    classifier: Judge, parser: Judge, tmp_path: Path
) -> None:
    attributes, masks = answers(classifier, parser)
    noise = np.random.default_rng(3).permutation(masks.ravel()).reshape(masks.shape)
    folder = PreparedFolder.open(write(tmp_path / "x", 1 - attributes, noise))
    with pytest.raises(UserError, match=r"reads no attribute.*0\.6.*alignment"):
        label_folder(folder, None, classifier, progress=False)
    with pytest.raises(UserError, match=r"judges/parser: reads the masks .* 0\.2 is the least"):
        label_folder(folder, parser, None, progress=False)
    assert not (folder.root / "predicted").exists()


def test_rows_that_a_judge_learned_from_prove_nothing(root: Path) -> None:
    folder = PreparedFolder.open(root)
    known = (folder.attributes != UNSPECIFIED).any(1)
    foreign = check_rows(folder, known, {"data_hash": "elsewhere"})
    own = check_rows(folder, known, {"data_hash": folder.data_hash})
    assert set(folder.splits[foreign]) == {"generator", "judges"}
    assert set(folder.splits[own]) == {"generator"}
    assert foreign.max() < KNOWN and set(own) < set(foreign)


def test_a_judge_of_another_size_reads_resized_pictures(
    classifier: Judge, parser: Judge, tmp_path: Path
) -> None:
    attributes, masks = answers(classifier, parser)
    with PreparedWriter(tmp_path / "x", 2 * SIZE, "folder") as writer:
        for i, image in enumerate(faces()):
            large = image.repeat(2, 0).repeat(2, 1)
            mask = masks[i].repeat(2, 0).repeat(2, 1) if i < KNOWN else None
            truth = attributes[i] if i < KNOWN else np.full(40, UNSPECIFIED, np.int8)
            writer.add(f"n{i:03d}", large, mask, truth, "generator")
    label_folder(PreparedFolder.open(tmp_path / "x"), parser, classifier, progress=False)
    full = PreparedFolder.open(tmp_path / "x", labels="all")
    given = full.attribute_predicted
    assert (full.attributes == attributes)[given].mean() > 0.95 and given[:, :30].sum() > 1000
    assert full.mask(COUNT - 1).shape == (2 * SIZE, 2 * SIZE)


def test_resizing_averages_and_keeps() -> None:
    maps = torch.rand(2, 3, 8, 8)
    assert resized(maps, 8) is maps
    assert resized(maps, 4).shape == (2, 3, 4, 4)
    torch.testing.assert_close(resized(torch.full((1, 1, 8, 8), 0.3), 16).mean(), torch.tensor(0.3))


def test_labels_of_labels_are_refused(classifier: Judge, parser: Judge, root: Path) -> None:
    label_folder(PreparedFolder.open(root), parser, classifier, progress=False)
    with pytest.raises(ValueError, match="labels='true'"):
        label_folder(PreparedFolder.open(root, labels="all"), parser, progress=False)
