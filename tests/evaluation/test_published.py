"""Which published figures may be compared, and the reasons against."""

from __future__ import annotations

from dataclasses import replace

import pytest

from facecond.evaluation.published import (
    OURS,
    PUBLISHED,
    Setting,
    as_json,
    compare,
    reasons_against,
)

SAME = Setting(
    source="celebamask",
    split="papers-28000",
    trained_images=28_000,
    n=2000,
    image_size=256,
    features="inception",
    distance="lpips_alex",
    samples=10,
    trained_on_split=True,
)
ROWS = [{"metric": name, "score": 0.5} for name in OURS.values()]


def found(model: str, metric: str, setting: Setting) -> tuple[str, str]:
    (one,) = (
        each
        for each in compare(ROWS, setting)
        if (each.published.model, each.published.metric) == (model, metric)
    )
    return one.verdict, "; ".join(one.reasons)


def test_only_mask_conditional_figures_can_be_compared_and_with_care() -> None:
    verdict, reason = found("SCDM", "fid", SAME)
    assert verdict == "with care" and "OASIS" in reason and "third-party" in reason
    assert found("SCDM", "lpips", SAME)[0] == "with care"
    comparable = {each.published.task for each in compare(ROWS, SAME) if each.verdict != "no"}
    assert comparable == {"mask"}
    assert [each.verdict for each in compare(ROWS, SAME)] == sorted(
        (each.verdict for each in compare(ROWS, SAME)), reverse=True
    )  # "with care" before "no"
    assert "ours 25200" in found("SCDM", "fid", replace(SAME, trained_images=25_200))[1]


@pytest.mark.parametrize(
    ("change", "metric", "reason"),
    [
        ({"features": "judge"}, "fid", "without Inception there is no FID"),
        ({"features": "vit_large"}, "fid", "features of vit_large"),
        ({}, "mask_miou", "its parser is another"),
        ({"distance": "random_alex"}, "lpips", "random_alex"),
        ({"distance": None}, "lpips", "not measured"),
        ({"samples": 4}, "lpips", "over 10 samples"),
        ({"source": "rendered"}, "fid", "ours: rendered"),
        ({"split": "papers-27000"}, "fid", "ours: papers-27000"),
        ({"split": ""}, "fid", "not named"),
        ({"n": 1999}, "fid", "ours: 1999"),
        ({"image_size": 128}, "fid", "ours: 128"),
        ({"trained_on_split": False}, "fid", "may hold the test pictures"),
    ],
)
def test_every_difference_is_a_reason(change: dict, metric: str, reason: str) -> None:
    verdict, said = found("SCDM", metric, replace(SAME, **change))
    assert verdict == "no" and reason in said
    if change:
        assert reason not in found("SCDM", metric, SAME)[1]


def test_other_tasks_are_never_compared() -> None:
    for model in ("LDM-4", "Collaborative Diffusion"):
        assert "its task is another" in found(model, "fid", SAME)[1]


def test_every_figure_has_a_source_and_no_unread_one_is_carried() -> None:
    tags = {figure.tag.partition(",")[0] for figure in PUBLISHED}
    assert tags == {"code", "page", "secondary"}
    assert all(figure.source for figure in PUBLISHED)
    keys = [(figure.model, figure.metric) for figure in PUBLISHED]
    assert len(set(keys)) == len(keys)
    for figure in PUBLISHED:
        assert (figure.value < 1) == (figure.metric != "fid")
        assert reasons_against(figure, replace(SAME, source="folder"))


def test_our_score_stands_beside_as_json() -> None:
    told = as_json(compare([{"metric": "fid_to_test", "score": 20.0}], SAME))
    scdm = next(one for one in told if (one["model"], one["metric"]) == ("SCDM", "fid"))
    assert (scdm["published"], scdm["ours"], scdm["comparable"]) == (17.4, 20.0, "with care")
    assert all(one["ours"] is None for one in told if one["metric"] != "fid")
