"""Config files: precedence, strictness, and errors that say which key."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facecond import config
from facecond.config import FirstStageRunConfig, JudgeConfig, RunConfig, dump, find, load
from facecond.errors import UserError


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "run.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def test_defaults_stand_where_nothing_is_said(write: Callable[..., Path]) -> None:
    assert load(RunConfig, write("{}")) == RunConfig()
    assert load(JudgeConfig, write("judge: {}")) == JudgeConfig()


def test_precedence(write: Callable[..., Path]) -> None:
    write("train: {steps: 1, batch_size: 1, seed: 1}", "base.yaml")
    path = write("base: base.yaml\ntrain: {steps: 2, batch_size: 2}")
    loaded = load(RunConfig, path, ["train.steps=3"])
    assert loaded.train.steps == 3  # --set over file over base over default
    assert loaded.train.batch_size == 2
    assert loaded.train.seed == 1
    assert loaded.train.accumulation == RunConfig().train.accumulation
    assert load(RunConfig, path, ["train={steps: 4}"]).train == loaded.train.__class__(
        **(vars(loaded.train) | {"steps": 4})
    )
    # A later --set wins over an earlier one.
    assert load(RunConfig, path, ["train.steps=3", "train.steps=4"]).train.steps == 4


def test_base_is_found_beside_the_file(write: Callable[..., Path]) -> None:
    write("train: {steps: 7}", "base.yaml")
    path = write("base: ../base.yaml", "ablations/delta.yaml")
    assert load(RunConfig, path).train.steps == 7


def test_lists_and_mappings(write: Callable[..., Path]) -> None:
    path = write(
        "denoiser: {block_out_channels: [8, 16, 32]}\n"
        "sampling: {guidance: {mask: 2}}\n"
        "routing: {rules: [{source: mask, layers: ['*'], scale: 0.5}]}\n"
    )
    loaded = load(RunConfig, path, ["sampling.guidance.attributes=1.5"])
    assert loaded.denoiser.block_out_channels == [8, 16, 32]
    assert loaded.sampling.guidance == {"mask": 2.0, "attributes": 1.5}
    assert loaded.routing.rules == [{"source": "mask", "layers": ["*"], "scale": 0.5}]
    replaced = load(RunConfig, path, ["denoiser.block_out_channels=[64, 128]"])
    assert replaced.denoiser.block_out_channels == [64, 128]


def test_scientific_numbers_and_the_words_no_and_yes(write: Callable[..., Path]) -> None:
    """YAML 1.1 as OmegaConf reads it: `1e-4` is a number, a bare `no` is false."""
    path = write(
        "optim: {learning_rate: 1e-4}\n"
        "first_stage: {autoencoder: 'no'}\n"
        "train: {compile: yes, gradient_checkpointing: no}"
    )
    overrides = [
        "optim.learning_rate=1e-4",
        "first_stage.autoencoder='no'",
        "train.compile=yes",
        "train.gradient_checkpointing=no",
    ]
    for loaded in (load(RunConfig, path), load(RunConfig, write("{}"), overrides)):
        assert loaded.optim.learning_rate == 1e-4
        assert isinstance(loaded.optim.learning_rate, float)
        assert loaded.first_stage.autoencoder == "no"
        assert loaded.train.compile is True and loaded.train.gradient_checkpointing is False


def test_a_value_may_hold_an_equals_sign_and_spaces(write: Callable[..., Path]) -> None:
    loaded = load(RunConfig, write("{}"), ["data.root=/some where/a=b"])
    assert loaded.data.root == "/some where/a=b"


def message(write: Callable[..., Path], text: str, *overrides: str, kind: Any = RunConfig) -> str:
    with pytest.raises(UserError) as caught:
        load(kind, write(text), overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "override", "key", "near"),
    [
        ("trian: {steps: 1}", None, "trian", "train"),
        ("train: {stpes: 1}", None, "train.stpes", "steps"),
        ("{}", "trian.steps=1", "trian.steps", "train"),
        ("{}", "train.batchsize=1", "train.batchsize", "batch_size"),
        ("{}", "train={stpes: 1}", "train.stpes", "steps"),
        ("{}", "objectiv=1", "objectiv", "objective"),
    ],
)
def test_unknown_keys_offer_the_nearest(
    write: Callable[..., Path], text: str, override: str | None, key: str, near: str
) -> None:
    said = message(write, text, *([override] if override else []))
    assert f"unknown key '{key}'" in said and f"Did you mean '{near}'" in said
    assert ("--set" if override else "run.yaml") in said


def test_unknown_key_of_the_base_is_refused(write: Callable[..., Path]) -> None:
    write("train: {stpes: 1}", "base.yaml")
    assert "unknown key 'train.stpes'" in message(write, "base: base.yaml")


def test_sections_of_another_kind_are_unknown(write: Callable[..., Path]) -> None:
    assert "unknown key 'judge'" in message(write, "judge: {steps: 3}")
    assert "unknown key 'objective'" in message(write, "objective: {}", kind=JudgeConfig)


@pytest.mark.parametrize(
    ("text", "override", "key"),
    [
        ("train: {steps: many}", None, "train.steps"),
        ("train: {steps: 1.5}", None, "train.steps"),
        ("train: {batch_size: null}", None, "train.batch_size"),
        ("optim: {optimizer: sgd}", None, "optim.optimizer"),
        ("denoiser: {block_out_channels: wide}", None, "denoiser.block_out_channels"),
        ("denoiser: {block_out_channels: [a]}", None, "denoiser.block_out_channels"),
        ("sampling: {guidance: {mask: strong}}", None, "sampling.guidance"),
        ("train: 5", None, "train"),
        ("train:", None, "train"),
        ("train: [1]", None, "train"),
        ("{}", "train.steps=many", "train.steps"),
        ("{}", "train.compile=maybe", "train.compile"),
        ("{}", "train=5", "train"),
        ("{}", "train=null", "train"),
        ("{}", "train.steps.x=3", "train.steps"),
        ("{}", "objective.schedule=flwo", "objective.schedule"),
    ],
)
def test_values_of_a_wrong_type_name_their_key(
    write: Callable[..., Path], text: str, override: str | None, key: str
) -> None:
    assert key in message(write, text, *([override] if override else []))


@pytest.mark.parametrize(
    ("override", "allowed"),
    [
        ("train.batch_size=0", "at least 1"),
        ("train.keep_checkpoints=1", "at least 2"),
        ("train.seed=-1", "at least 0"),
        ("optim.learning_rate=0", "above 0"),
        ("optim.learning_rate=.inf", "above 0"),
        ("optim.learning_rate=.nan", "above 0"),
        ("optim.decay_share=0", "above 0, at most 1"),
        ("optim.decay_share=1.01", "above 0, at most 1"),
        ("optim.ema_decay=1", "at least 0, below 1"),
        ("dropout.mask=1.1", "at least 0, at most 1"),
        ("data.jitter=0.31", "at least 0, at most 0.3"),
        ("sampling.steps=1001", "at least 1, at most 1000"),
        ("denoiser.block_out_channels=[16, 0]", "at least 1"),
        ("objective.density_mean=-11", "at least -10, at most 10"),
        ("perceptual.weight=-1", "at least 0"),
        ("perceptual.layers=0", "at least 1"),
    ],
)
def test_values_out_of_range_name_place_key_and_range(
    write: Callable[..., Path], override: str, allowed: str
) -> None:
    key, _, value = override.partition("=")
    said = message(write, "{}", override)
    assert said.startswith(f"--set ({key}): ") and said.endswith(f"Allowed: {allowed}.")
    section, _, name = key.partition(".")
    said = message(write, f"{section}: {{{name}: {value}}}")
    assert f"run.yaml ({key}): " in said and f"Allowed: {allowed}." in said


def test_a_value_out_of_range_is_found_where_it_was_written(write: Callable[..., Path]) -> None:
    write("train: {batch_size: 0, log_every: 0}", "base.yaml")
    text = "base: base.yaml\ntrain: {batch_size: 1}"
    assert "base.yaml (train.log_every): 0" in message(write, text)
    assert load(RunConfig, write(text), ["train.log_every=1"]).train.log_every == 1
    assert "--set (judge.width): 3" in message(write, "{}", "judge.width=3", kind=JudgeConfig)


@pytest.mark.parametrize(
    "override",
    ["optim.decay_share=1", "optim.ema_decay=0", "dropout.mask=0", "dropout.mask=1",
     "sampling.steps=1", "sampling.steps=1000", "train.sample_every=0", "train.batch_size=1"],
)  # fmt: skip
def test_the_ends_of_a_range_are_allowed(write: Callable[..., Path], override: str) -> None:
    load(RunConfig, write("{}"), [override])


def test_every_number_of_a_config_has_a_range() -> None:
    """A key that is in no row of the table, or in two, or that no config has."""
    ranged = [key for keys in config.RANGES.values() for key in keys.split()]
    numbers = {
        f"{section}.{name}"
        for kind in (RunConfig(), JudgeConfig(), FirstStageRunConfig(), config.StudyConfig())
        for section, fields in vars(kind).items()
        if dataclasses.is_dataclass(fields)
        for name, value in vars(fields).items()
        if type(value[0] if isinstance(value, list) and value else value) in (int, float)
    }
    assert sorted(ranged) == sorted(numbers)


@pytest.mark.parametrize("setting", ["flip=true", "affine=0.1", "jitter=0.1"])
def test_a_variation_without_variants_is_refused(write: Callable[..., Path], setting: str) -> None:
    said = message(write, "{}", f"data.{setting}")
    assert f"'data.{setting.partition('=')[0]}' has no effect while data.variants is 1" in said
    load(RunConfig, write("{}"), [f"data.{setting}", "data.variants=2"])


@pytest.mark.parametrize(
    ("settings", "most"), [(["data.variants=2"], 1), (["data.variants=3", "data.flip=true"], 2)]
)
def test_variants_that_would_repeat_another_are_refused(
    write: Callable[..., Path], settings: list[str], most: int
) -> None:
    said = message(write, "{}", *settings)
    assert "without affine or jitter" in said and f"Set data.variants={most}." in said
    load(RunConfig, write("{}"), [*settings, "data.affine=0.1"])
    load(RunConfig, write("{}"), [*settings, f"data.variants={most}"])


def test_a_judge_reads_a_root_and_a_half_of_it(write: Callable[..., Path]) -> None:
    assert load(JudgeConfig, write("data: {root: here}")).data.root == "here"
    assert load(JudgeConfig, write("data: {part: b}")).data.part == "b"
    assert "data.part" in message(write, "data: {part: c}", kind=JudgeConfig)
    assert "unknown key 'data.flip'" in message(write, "data: {flip: true}", kind=JudgeConfig)


@pytest.mark.parametrize(
    "override", ["train.steps", "", "train", "=3", "data.root=[1", "data.root={"]
)
def test_malformed_overrides_are_refused(write: Callable[..., Path], override: str) -> None:
    assert "--set" in message(write, "{}", override)


def test_base_of_a_base_is_refused(write: Callable[..., Path]) -> None:
    write("train: {steps: 1}", "ground.yaml")
    write("base: ground.yaml", "base.yaml")
    assert "base" in message(write, "base: base.yaml")


def test_files_at_fault_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    assert "not valid YAML" in message(write, "train: {steps: 1")
    assert "not valid YAML" in message(write, "a: 1\n b: 2")
    assert "no mapping" in message(write, "[1, 2]")
    with pytest.raises(UserError, match="no such config"):
        load(RunConfig, tmp_path / "nowhere.yaml")
    with pytest.raises(UserError, match="no such config"):
        load(RunConfig, tmp_path)  # a folder
    assert "ground.yaml" in message(write, "base: ground.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UserError, match=r"bytes\.yaml"):
        load(RunConfig, tmp_path / "bytes.yaml")


def test_shipped_configs_are_found_by_name(monkeypatch: Any, tmp_path: Path, root: Path) -> None:
    monkeypatch.chdir(tmp_path)
    expected = root / "configs" / "rendered_64.yaml"
    for name in ("rendered_64", "rendered_64.yaml", "configs/rendered_64.yaml"):
        assert find(name).resolve() == expected
    with pytest.raises(UserError, match="Did you mean 'rendered_64"):
        find("renderd_64")
    # A file of the user comes first.
    (tmp_path / "rendered_64.yaml").write_text("train: {steps: 123}")
    assert load(RunConfig, "rendered_64.yaml").train.steps == 123


def test_dump_reloads_equal(write: Callable[..., Path]) -> None:
    original = load(
        RunConfig,
        write("sampling: {guidance: {mask: 2.5}}"),
        [
            "optim.learning_rate=1e-7",
            "first_stage.autoencoder='no'",
            "data.root='a: b # c'",
            "routing.rules=[{source: mask, layers: ['*'], scale: 1e-3}]",
        ],
    )
    assert original.data.root == "a: b # c" and original.first_stage.autoencoder == "no"
    assert load(RunConfig, write(dump(original), "resolved.yaml")) == original
    judge = JudgeConfig()
    assert load(JudgeConfig, write(dump(judge), "judge.yaml")) == judge


def test_configs_do_not_share_their_defaults() -> None:
    first, second = RunConfig(), RunConfig()
    first.denoiser.block_out_channels.append(1)
    first.sampling.guidance["mask"] = 3.0
    assert second == RunConfig() and second.sampling.guidance == {}


def test_config_does_not_import_torch(
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = python("-c", "import sys, facecond.config; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False", done.stderr
    assert config.__doc__
