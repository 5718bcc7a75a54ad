"""Training with references: the whole path, frozen or joint, resumed exactly; faults told first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facecond.config import RunConfig, load
from facecond.data.pairs import PairRules, build_pairs
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.data.rendered import APPEARANCE_ATTRIBUTES
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES
from facecond.models.judges import AttributeClassifier
from facecond.models.reference import Reference
from facecond.pipeline import load_pipeline
from facecond.training.loop import train
from facecond.training.references import References

Weights = Callable[[Path], dict[str, torch.Tensor]]

TINY = ["train.batch_size=8", "train.log_every=2", "train.sample_every=0", "sampling.steps=2",
        "first_stage.latent_channels=6", "denoiser.block_out_channels=[16,32]",
        "denoiser.condition_dim=16", "reference.dim=16", "reference.queries=3",
        "pairs.min_pairs=1"]  # fmt: skip
DEADIFF = ["routing.preset=deadiff", "train.steps=6"]
IDENTITY = "routing.rules=[{source: 'reference:identity', layers: '*'}]"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 rendered faces of 64 px: blocks of 2 geometries x 2 appearances."""
    out = tmp_path_factory.mktemp("varied") / "data"
    render_prepared(out, 64, 64, 0, True, 0.2, 0.2, 1, variations=2)
    return out


def config(root: Path, *overrides: str) -> RunConfig:
    return load(RunConfig, "rendered_debug", [f"data.root={root}", *TINY, *overrides])


@pytest.fixture(scope="module")
def base(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(config(root, "train.steps=6"), tmp_path_factory.mktemp("base") / "run")


def test_frozen_training_moves_only_what_belongs_to_the_reference(
    root: Path, base: Path, tmp_path: Path, weights: Weights
) -> None:
    made = config(root, *DEADIFF, "reference.freeze=true")
    model = train(made, tmp_path / "run", init=base)
    before, after = weights(base), weights(model)
    assert all(torch.equal(after[name], before[name]) for name in before)
    new = set(after) - set(before)
    assert all("qformer" in name or "reference" in name for name in new)
    values = [after[name] for name in new if "to_kv.reference" in name]
    assert values and all(value[len(value) // 2 :].abs().sum() > 0 for value in values)
    pipeline, picture = load_pipeline(model), load_pipeline(base)(seeds=[5]).images[0]
    without = pipeline(seeds=[0]).images
    assert (without == load_pipeline(base)(seeds=[0]).images).all()
    faces = pipeline(seeds=[0], reference=[Reference(picture), Reference(picture, "geometry")])
    assert faces.images.shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    "overrides",
    [
        ["reference.mix={attribute: 1, both: 1}", "routing.combine=joint"],
        ["reference.same_picture=true", "reference.trunks=2", "train.accumulation=2"],
        ["routing.rules=[{source: mask, layers: '*'}, {source: reference, layers: '*'}]"],
    ],
    ids=["attributes and both, joint", "reconstructive, two trunks", "no instructions"],
)
def test_references_train_and_resume_exactly(
    root: Path, tmp_path: Path, overrides: list[str], weights: Weights
) -> None:
    whole = weights(train(config(root, *DEADIFF, *overrides), tmp_path / "run"))
    short = config(root, *DEADIFF, "train.checkpoint_every_s=0", *overrides)
    short.train.keep_checkpoints = 6
    train(short, tmp_path / "often")
    for step in sorted((tmp_path / "often" / "checkpoints").iterdir())[2:]:
        shutil.rmtree(step)
    again = weights(train(short, tmp_path / "often"))
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_model_says_what_it_was_taught(root: Path, tmp_path: Path) -> None:
    made = config(root, *DEADIFF, "reference.mix={appearance: 1, attribute: 1}", "train.steps=1")
    taught = load_pipeline(train(made, tmp_path / "run")).condition_encoder.config.instructions
    assert {"appearance", "Blond_Hair", "Smiling"} <= set(taught) and "geometry" not in taught
    # Never stated, and labelled at random.
    assert not {"Attractive", "Oval_Face"} & set(taught)


def test_what_is_hidden_and_dropped_fits_data_and_training(root: Path) -> None:
    folder, sources = PreparedFolder.open(root), ("attributes", "mask", "reference:appearance")
    for freeze, dropout in ((True, 0.0), (False, 0.15)):
        made = config(root, *DEADIFF, f"reference.freeze={freeze}")
        tasks = References(made, 64, (6, 16, 16), folder).tasks_of(sources)
        assert tasks.dropout == dropout  # without its reference a frozen model learns nothing
        ones = torch.ones(1, 40, dtype=torch.int8)
        which = torch.tensor([0]), torch.tensor([-1])
        mask, random = torch.ones(1, 4, 4, dtype=torch.uint8), torch.Generator().manual_seed(1)
        hidden = tasks(*which, ones, mask, random).attributes[0] < 0
        assert {n for n, h in zip(ATTRIBUTES, hidden, strict=True) if h} == {*APPEARANCE_ATTRIBUTES}


def test_other_weights_of_the_evidence_are_another_run(root: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    for name in ("c", "other"):
        judge = AttributeClassifier(width=4, image_size=64, feature_size=8)
        judge.eval().save_pretrained(tmp_path / name)
    evidence = f"reference.evidence=classifier:{tmp_path / 'c'}"
    made = config(root, *DEADIFF, evidence, "train.steps=1")
    train(made, tmp_path / "run")
    shutil.rmtree(tmp_path / "c")
    (tmp_path / "other").rename(tmp_path / "c")
    with pytest.raises(UserError, match="begun with another evidence encoder"):
        train(made, tmp_path / "run")


def test_identity_is_learned_from_two_pictures_of_a_person(root: Path, tmp_path: Path) -> None:
    drawn, people = PreparedFolder.open(root), {f"n{i}": str(i // 3) for i in range(12)}
    with PreparedWriter(tmp_path / "data", 64, "folder", identities=people) as writer:
        for row in range(12):
            face = drawn.image(row), drawn.mask(row), drawn.attributes[row]
            writer.add(f"n{row}", *face, "generator")
    rules = "[{source: mask, layers: '*'}, {source: 'reference:identity', layers: '*'}]"
    words = [f"routing.rules={rules}", "train.steps=1", "pairs.max_mask_miou=1.0"]
    kept = tmp_path / "pairs.safetensors"
    build_pairs(PreparedFolder.open(tmp_path / "data"), "generator",
                PairRules(max_mask_miou=1.0, min_pairs=1), cache=kept, tasks=())  # fmt: skip
    before = kept.stat().st_mtime_ns
    words += [f"reference.pairs={kept}", "reference.mix={identity: 1}"]
    model = load_pipeline(train(config(tmp_path / "data", *words), tmp_path / "run"))
    assert list(model.condition_encoder.config.instructions) == ["identity"]
    picture = np.asarray(drawn.image(0))
    assert model(seeds=[0], reference=Reference(picture, "identity")).images.shape[0] == 1
    # Pairs that were counted before are read, and not counted again.
    assert kept.stat().st_mtime_ns == before
    assert not (tmp_path / "run" / "pairs.safetensors").exists()


def test_evidence_of_a_classifier_travels_with_the_model(root: Path, tmp_path: Path) -> None:
    AttributeClassifier(width=4, image_size=64, feature_size=8).eval().save_pretrained(
        tmp_path / "c"
    )
    made = config(
        root, *DEADIFF, f"reference.evidence=classifier:{tmp_path / 'c'}", "train.steps=1"
    )
    model = train(made, tmp_path / "run")
    shutil.rmtree(tmp_path / "c")
    pipeline = load_pipeline(model)
    picture = pipeline(seeds=[1]).images[0]
    assert pipeline(seeds=[0], reference=Reference(picture)).images.shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["reference.freeze=true"], "--init"),
        (["reference.mix={apearance: 1}"], "Did you mean 'appearance'"),
        (["reference.mix={appearance: -1}"], "0 or more"),
        (["data.variants=2", "data.flip=true"], r"data\.variants"),
        (["pairs.attributes=[Yung]"], "Did you mean 'Young'"),
        (["pairs.attributes=[Attractive]"], "no attribute is left"),
        (["reference.dim=30"], r"reference\.dim"),
        (["reference.evidence=latent"], "Did you mean 'latents'"),
        (["reference.pairs=nowhere.safetensors"], "facecond data pairs DIR --cache"),
        (["reference.mix={identity: 1}"], "'identity' teaches nothing that is routed"),
        (["reference.mix={identity: 1}", IDENTITY], "rendered faces show nobody twice"),
        ([IDENTITY], "no task teaches reference:identity"),
        (["reference.trunks=2", IDENTITY], "a trunk would do nothing"),
    ],
)
def test_faults_are_told_before_anything_is_built(
    root: Path, tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(config(root, *DEADIFF, *overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_pairs_are_told_before_training(root: Path, tmp_path: Path) -> None:
    both = ["reference.mix={both: 1}", "pairs.max_pairs=3"]
    for words, told in ((["pairs.min_pairs=100000"], "pairs for the task"),
                        ([*both, "pairs.min_pairs=10"], "choices of two references")):  # fmt: skip
        with pytest.raises(UserError, match=told):
            train(config(root, *DEADIFF, *words), tmp_path / "run")
        assert not (tmp_path / "run" / "model").exists()
