"""The dry run: parameters, states, time; it writes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from facecond.analysis.ablation.manifest import Manifest
from facecond.analysis.ablation.preview import measure, preview
from facecond.analysis.ablation.tasks import Outcome
from facecond.config import load_study


def test_a_study_that_is_not_begun(study_file: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    more = "  wrong: {first_stage.patch_size: 7}\n  window: {routing.preset: early_late}\n"
    broken = {"  split: {": f"{more}  split: {{"}
    text = preview(load_study(study_file(broken)), out)
    assert "4 variants, 8 runs of 5 steps: 8 missing" in text and "not begun" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line and line[0].isalpha()}
    assert "all on" in rows["all"] and "missing: 0 1" in rows["all"]
    assert "7 absent" in rows["split"] and re.search(r"-\d\.\d%", rows["split"])
    assert "wrong cannot be built: first_stage: patch_size 7" in text
    assert "about 1 min for 6 runs (steps timed now" in text
    assert not out.exists()


def test_off_cells_keep_their_parameters_and_are_not_trained(
    study_file: Callable[..., Path],
) -> None:
    rules = (
        "{routing.rules: [{source: mask, layers: '*'}, {source: attributes, layers: 'group:fine'}, "
        "{source: attributes, layers: 'group:coarse', scale: 0}]}"
    )
    study = load_study(study_file({"{routing.preset: coarse_fine}": rules}))
    base, off = (measure(variant.config, 64, timed=False) for variant in study.variants)
    assert off.parameters == base.parameters == base.trained
    assert off.trained < base.trained and re.fullmatch(r"\d off", off.left_out)
    assert base.step_seconds is None


def test_states_errors_and_the_time_that_finished_runs_took(planted: Callable[..., Any]) -> None:
    world = planted({"all": [0.5, 0.6]})
    manifest = Manifest.open(world.study, world.out)
    manifest.take_in(world.runs, world.hashes)
    manifest.end(world.runs[1], Outcome("failed", "as planned", 1.0))
    text = preview(world.study, world.out, workers=2, timed=False)
    assert "4 runs of 5 steps: 1 missing, 2 done, 1 failed" in text
    assert "holds this study" in text
    assert "done: 0 1" in text and "failed: 0; missing: 1" in text
    assert "failed split/seed-0: as planned" in text
    # 90 s for each run of `all`, taken for those of `split` too: 2 left, 2 at a time.
    assert "about 2 min for 2 runs (as long as the finished runs took)" in text
    chosen = preview(world.study, world.out, only=["all"], timed=False)
    assert "nothing is left to do" in chosen and "split " not in chosen.split("\n\n")[1]
