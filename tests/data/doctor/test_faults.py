import json

import pytest

from facecond.data.doctor.examine import examine
from facecond.data.doctor.fault_kinds import FAULTS
from facecond.data.doctor.faults import plant_faults
from facecond.data.doctor.findings import KINDS
from facecond.data.doctor.trial import Trial, run_trial
from facecond.data.exclusions import write_exclusions
from facecond.data.render_set import render_plain
from facecond.errors import UserError


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    out = tmp_path_factory.mktemp("faults") / "plain"
    render_plain(out, 90, 64, seed=2, workers=1)
    return out


def test_one_fault_of_every_kind_is_found_and_nothing_else_is_flagged(large, tmp_path):
    trial = run_trial(large, tmp_path, [0], share=0.01, workers=1)
    assert set(trial.planted) == set(FAULTS)
    assert trial.missed == [] and trial.found == trial.planted
    assert trial.clean >= 40 and trial.flagged == []
    assert "| all | 36 (100.0%) | 36 |" in trial.markdown()
    assert "Clean faces flagged: 0 of" in trial.markdown()
    assert json.loads(json.dumps(trial.as_json()))["faults"]["mask squeezed"] == [1, 1]


def test_every_fault_counts_on_kinds_of_findings_that_exist():
    assert len(FAULTS) >= 12
    assert {code for fault in FAULTS.values() for code in fault.codes} <= set(KINDS)


def test_planting_depends_on_the_seed_alone_and_touches_nothing_else(large, tmp_path):
    first = plant_faults(large, tmp_path / "a", seed=3, kinds=["mask all 255", "row missing"])
    second = plant_faults(large, tmp_path / "b", seed=3, kinds=["mask all 255", "row missing"])
    assert first.faults == second.faults and len(first.faults) == 2
    befallen = {name for _, names in first.faults for name in names}
    assert befallen.isdisjoint(first.clean) and len(first.clean) == 88
    for name in first.clean:
        for part in ("images", "masks"):
            copy, source = (folder / part / f"{name}.png" for folder in (first.folder, large))
            assert copy.read_bytes() == source.read_bytes()


def test_a_trial_counts_what_is_missed_and_what_is_flagged(large, tmp_path):
    planted = plant_faults(large, tmp_path / "a", seed=0, kinds=["mask all 255"])
    clean = planted.clean[0]
    planted.faults.append(("mask all 255", (clean,)))  # a claim that is not true
    planted.clean.append(planted.faults[0][1][0])
    trial = Trial()
    trial.add(0, planted, examine(planted.folder, workers=1))
    assert trial.missed == [(0, "mask all 255", (clean,))]
    assert trial.flagged == [(0, planted.faults[0][1][0], ("empty-mask",))]


def test_faces_known_to_be_at_fault_are_not_copied(plain, tmp_path):
    write_exclusions(plain, {"000001": "known"})
    planted = plant_faults(plain, tmp_path / "a", kinds=["row twice"])
    assert not (planted.folder / "images" / "000001.png").exists()
    few = plant_faults(plain, tmp_path / "b", kinds=["row twice"], count=10)
    assert len(few.clean) == 9


def test_bad_input(tmp_path, plain):
    with pytest.raises(UserError, match="exists already"):
        plant_faults(plain, plain)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images with masks"):
        plant_faults(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()
