"""Arguments of the command line: what is in range is read, what is not is named."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from facecond.commands.arguments import (
    condition_count,
    config_arguments,
    non_negative_int,
    override,
    positive_int,
    positive_number,
    sampling_steps,
    share,
    share_of_one,
    source_scales,
    tau_window,
    tau_windows,
    weaker_model,
)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (positive_int, "1", 1),
        (non_negative_int, "0", 0),
        (sampling_steps, "1000", 1000),
        (condition_count, "2", 2),
        (positive_number, "0.25", 0.25),
        (share, "0", 0.0),
        (share, "1", 1.0),
        (share_of_one, "1", 1.0),
        (override, "a.b=c=d", "a.b=c=d"),
        (source_scales, "mask=2, attributes=0.5", {"mask": 2.0, "attributes": 0.5}),
        (source_scales, "mask=100,attributes=0", {"mask": 100.0, "attributes": 0.0}),
    ],
)
def test_the_edge_of_the_range_is_inside(
    read: Callable[[str], Any], text: str, value: object
) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "reason"),
    [
        (positive_int, "0", "from 1 up, not '0'"),
        (positive_int, "2.5", "whole number"),
        (non_negative_int, "-1", "from 0 up"),
        (sampling_steps, "1001", "from 1 to 1000"),
        (condition_count, "1", "at least 2"),
        (positive_number, "0", "above 0"),
        (positive_number, "nan", "finite"),
        (positive_number, "inf", "finite"),
        (share, "1.01", "from 0 to 1, not '1.01'"),
        (share, "-0.1", "from 0 to 1"),
        (share, "nan", "finite"),
        (share_of_one, "1.01", "up to 1"),
        (share_of_one, "0", "above 0"),
        (override, "a.b", "section.key=value"),
        (override, "=1", "section.key=value"),
        (source_scales, "mask", "mask=2,attributes=3"),
        (source_scales, "mask=2,", "has the part ''"),
        (source_scales, "mask=1,mask=2", "'mask' twice"),
        (source_scales, "mask=-1", "0 or above"),
        (source_scales, "mask=two", "finite number"),
        (source_scales, "mask=2,attributes=1e30", "'attributes' must be up to 100, not '1e30'"),
    ],
)
def test_what_is_out_of_range_is_named(read: Callable[[str], Any], text: str, reason: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=reason):
        read(text)


def test_overrides_of_several_set_options_add_up() -> None:
    parser = argparse.ArgumentParser()
    config_arguments(parser)
    args = parser.parse_args(
        ["demo.yaml", "--set", "a.b=1", "c.d=2", "--dry-run", "--set", "e.f=3"]
    )
    assert args.config == "demo.yaml" and args.dry_run
    assert args.overrides == ["a.b=1", "c.d=2", "e.f=3"]


def test_windows_of_noise_levels() -> None:
    assert tau_window("0.2:1") == (0.2, 1.0)
    assert tau_windows("mask=0.3:1, attributes=0:0.8") == {
        "mask": (0.3, 1.0), "attributes": (0.0, 0.8),
    }  # fmt: skip
    for text in ("0.2", "0.5:0.5", "-1:1", "0:2", "a:b"):
        with pytest.raises(argparse.ArgumentTypeError, match="LO:HI"):
            tau_window(text)
    for text in ("mask", "mask=0:1,mask=0:1"):
        with pytest.raises(argparse.ArgumentTypeError, match="mask=0"):
            tau_windows(text)


def test_a_weaker_model_with_its_scale() -> None:
    assert weaker_model("runs/a/model") == ("runs/a/model", 2.0)
    assert weaker_model("runs/a/model:1.5") == ("runs/a/model", 1.5)
    assert weaker_model("C:/runs/model") == ("C:/runs/model", 2.0)
    with pytest.raises(argparse.ArgumentTypeError, match="1 or above"):
        weaker_model("model:-1")
    for scale in ("0", "0.99"):  # below 1 it would lead towards the weaker model
        with pytest.raises(argparse.ArgumentTypeError, match="1 or above"):
            weaker_model(f"model:{scale}")
    with pytest.raises(argparse.ArgumentTypeError, match="up to 100, not '1e9'"):
        weaker_model("model:1e9")
