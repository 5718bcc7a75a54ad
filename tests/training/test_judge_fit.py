"""The loop of the judges: every backbone learns, averages and choices keep what they should."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES
from facecond.models.judges import BACKBONES, FaceParser, load_parser
from facecond.training.judge_faces import read_faces
from facecond.training.judge_fit import Recipe, fit
from facecond.training.judges import train_judge


@pytest.fixture(scope="module")
def folder(rendered_root: Path) -> PreparedFolder:
    return PreparedFolder.open(rendered_root)


def run(folder: PreparedFolder, score=lambda model: 0.0, **settings) -> FaceParser:
    recipe = Recipe(**({"steps": 6, "batch_size": 4, "width": 8} | settings))
    faces = read_faces(folder, "parser", progress=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = FaceParser(recipe.width, folder.image_size)
    fit(model, "parser", faces, torch.ones(19), recipe, score, progress=False)
    return model


def same(first: FaceParser, second: FaceParser) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_learns(quarters: PreparedFolder, tmp_path: Path, backbone: str) -> None:
    """Chance is an IoU of 1/7 with four classes, and one half for an attribute."""
    few = {"batch_size": 8, "width": 8, "optimizer": "adamw", "backbone": backbone}
    few |= {"progress": False, "learning_rate": 1e-2}
    parser = train_judge("parser", quarters, tmp_path / "parser", steps=45, **few)
    assert parser["backbone"] == backbone and parser["mask_miou"] > 0.3
    assert load_parser(tmp_path / "parser").config["backbone"] == backbone
    classifier = train_judge("attributes", quarters, tmp_path / "attributes", steps=40, **few)
    assert classifier["per_attribute"][ATTRIBUTES[0]] > 0.9


def test_the_average_lies_between_and_holds_its_statistics(folder: PreparedFolder) -> None:
    last, slow, fast = (run(folder, ema_decay=decay) for decay in (0.0, 0.9, 1e-6))
    for name, tensor in fast.state_dict().items():  # an average that forgets at once
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, last.state_dict()[name], rtol=1e-3, atol=1e-4)
    assert not same(slow, last)
    means = [n for n in last.state_dict() if n.endswith("running_mean")]
    assert any(not torch.equal(slow.state_dict()[n], last.state_dict()[n]) for n in means)


def test_the_best_of_the_validations_is_kept(folder: PreparedFolder) -> None:
    marks = iter([0.2, 0.9, 0.4])
    seen = []

    def score(model: torch.nn.Module) -> float:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return next(marks)

    kept = run(folder, score, validations=3)
    assert len(seen) == 3
    assert all(torch.equal(t, seen[1][name]) for name, t in kept.state_dict().items())
    assert any(not torch.equal(t, seen[2][name]) for name, t in kept.state_dict().items())


def test_choices_without_meaning_are_user_errors(folder: PreparedFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"judge\.weights: the small network"):
        train_judge("parser", folder, tmp_path / "a", weights="resnet18.pth", progress=False)
    with pytest.raises(UserError, match=r"judge\.dice: only a parser"):
        train_judge("attributes", folder, tmp_path / "b", dice=1.0, progress=False)
    missing = {"backbone": "resnet18", "weights": str(tmp_path / "none.pth")}
    with pytest.raises(UserError, match=r"none\.pth: there is no such file"):
        train_judge("parser", folder, tmp_path / "c", progress=False, **missing)
    assert not list(tmp_path.iterdir())
