"""Study files: strict keys, variants, grids, names, and the shipped ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facecond.config import load_study
from facecond.errors import UserError

STUDY = "base: base.yaml\nseeds: [0, 1]\n"
BASE = "train: {steps: 7, batch_size: 4}\nobjective: {weighting: p2}\n"


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, base: str = BASE) -> Path:
        (tmp_path / "base.yaml").write_text(base)
        path = tmp_path / "study.yaml"
        path.write_text(STUDY + text)
        return path

    return write


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        load_study(path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_variants_change_the_base_and_keep_the_rest(write: Callable[..., Path]) -> None:
    study = load_study(
        write(
            "variants:\n"
            "  plain: {}\n"
            "  bare:\n"
            "  other: {objective.gamma: 0.5, dropout: {mask: 0.2, attributes: 0.3}}\n"
            "reference: bare\n".replace("  bare:\n", "  bare: {train.batch_size: 5}\n")
        )
    )
    assert (study.name, study.reference) == ("study", "bare")
    plain, bare, other = study.variants
    assert plain.config == study.base and bare.config.train.batch_size == 5
    assert other.config.objective.gamma == 0.5 and other.config.objective.weighting == "p2"
    assert (other.config.dropout.mask, other.config.dropout.attributes) == (0.2, 0.3)
    assert other.config.train.steps == 7
    assert study.variant("other") is other


def test_the_first_variant_is_the_reference_unless_another_is_named(
    write: Callable[..., Path],
) -> None:
    assert load_study(write("variants: {b: {}, a: {train.steps: 9}}")).reference == "b"
    said = refusal(write("variants: {alpha: {}}\nreference: alhpa"))
    assert "(reference)" in said and "Did you mean 'alpha'?" in said


def test_variants_may_begin_from_one_of_them(write: Callable[..., Path]) -> None:
    path = write("variants: {first: {}, then: {train.steps: 9}}\ninit: first\n")
    assert load_study(path).init == "first"
    assert load_study(write("variants: {first: {}}")).init == ""
    said = refusal(write("variants: {first: {}}\ninit: fist\n"))
    assert "(init)" in said and "Did you mean 'first'?" in said


def test_a_grid_adds_every_combination(write: Callable[..., Path]) -> None:
    text = "variants: {base: {}}\ngrid: {objective.gamma: [0.5, 2], optim.optimizer: [adamw, muon]}"
    study = load_study(write(text))
    names = [variant.name for variant in study.variants]
    assert names == ["base"] + [
        f"gamma={g},optimizer={o}" for g in ("0.5", "2") for o in ("adamw", "muon")
    ]
    last = study.variant("gamma=2,optimizer=muon").config
    assert (last.objective.gamma, last.optim.optimizer) == (2.0, "muon")


def test_overrides_go_to_the_study_or_to_its_base(write: Callable[..., Path]) -> None:
    path = write("variants: {a: {}, b: {train.batch_size: 9}}")
    words = ["evaluate.n=12", "train.steps=3", "data.root=faces", "data.sample_latents=true"]
    study = load_study(path, [*words, "seeds=[4]", "train.batch_size=2"])
    assert (study.config.evaluate.n, study.config.data.root) == (12, "faces")
    assert study.config.seeds == [4]
    assert study.base.train.steps == 3 and study.base.data.sample_latents
    assert [v.config.train.batch_size for v in study.variants] == [2, 9]  # a variant comes last


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("variants: {a: {}}\nsedes: [1]", ["unknown key 'sedes'", "Did you mean 'seeds'?"]),
        ("variants: {a: {}}\nevaluate: {m: 3}", ["unknown key 'evaluate.m'"]),
        ("variants: {a: {}}\nevaluate: {n: 1}", ["1 is out of range", "(evaluate.n)"]),
        (
            "variants: {a: {objectiv.gamma: 1}}",
            ["(variant 'a')", "unknown key 'objectiv.gamma'", "Did you mean 'objective'?"],
        ),
        (
            "variants: {a: {objective.gama: 1}}",
            ["(variant 'a')", "unknown key 'objective.gama'", "Did you mean 'gamma'?"],
        ),
        ("variants: {a: {objective: {gama: 1}}}", ["'a'", "Did you mean 'gamma'?"]),
        ("variants: {a: {objective.gamma: much}}", ["(variant 'a')", "objective.gamma"]),
        ("variants: {a: {objective.gamma: -1}}", ["(variant 'a')", "-1.0 is out of range"]),
        ("variants: {a: {train.seed: 1}}", ["'train.seed' is the same for all", "Set seeds."]),
        ("variants: {a: {data.root: x}}", ["'data.root' is the same for all variants"]),
        ("variants: {a: {data: {root: x}}}", ["'data.root' is the same for all variants"]),
        ("variants: {a: {}, a: {train.steps: 2}}", ["not valid YAML", "duplicate"]),
        ("variants: {a: {}, A: {train.steps: 2}}", ["the name is taken (by 'a')"]),
        ("variants: {a: {}, b: {train.steps: 7}}", ["'a' and 'b' are the same training"]),
        ("variants: {a/b: {}}", ["this name cannot be a folder"]),
        ("variants: {a: 3}", ["a variant is a mapping"]),
        ("variants: {}", ["the study has no variants"]),
        ("variants: {a: {}}\ngrid: {objective.gamma: 3}", ["a grid needs lists"]),
        ("variants: {a: {}}\ngrid: {objective.gama: [3]}", ["Did you mean 'gamma'?"]),
    ],
)
def test_faults_are_one_line_that_names_place_and_fix(
    text: str, parts: list[str], write: Callable[..., Path]
) -> None:
    said = refusal(write(text))
    assert "study.yaml" in said
    for part in parts:
        assert part in said


@pytest.mark.parametrize("seeds", ["[]", "[1, 1]", "[-1]"])
def test_seeds_are_different_numbers(seeds: str, write: Callable[..., Path]) -> None:
    assert "(seeds)" in refusal(write("variants: {a: {}}"), f"seeds={seeds}")


def test_a_base_in_minutes_is_refused(write: Callable[..., Path]) -> None:
    path = write("variants: {a: {}}", "train: {minutes: 2}")
    assert "base.yaml (train.steps)" in refusal(path)


def test_a_missing_base_or_study_is_named(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text("variants: {a: {}}")
    assert "(base): no base is named" in refusal(path)
    path.write_text("base: rendered_46\nvariants: {a: {}}")
    assert "rendered_46" in refusal(path) and "rendered_64.yaml" in refusal(path)
    assert "there is no such config" in refusal(Path("no_such_study"))
