from dataclasses import asdict

import pytest

from facecond.config.pairs import PairsConfig
from facecond.data.pairs import UNRELIABLE, PairRules
from facecond.data.render_set import render_prepared
from facecond.data.rendered import APPEARANCE_ATTRIBUTES
from facecond.errors import UserError
from facecond.labels import APPEARANCE, ATTRIBUTES


def test_the_config_has_the_same_fields_and_defaults():
    rules = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(PairRules()).items()}
    assert asdict(PairsConfig()) == rules


def test_the_compared_attributes_are_reliable_and_fit_the_data(tmp_path):
    folder = render_prepared(tmp_path / "a", 2, 64, workers=1)
    expected = [name for name in APPEARANCE_ATTRIBUTES if name not in UNRELIABLE]
    assert list(PairRules().compared(folder)) == expected
    folder.source = "celebamask"
    expected = [name for name in ATTRIBUTES if name in APPEARANCE and name != "Attractive"]
    assert list(PairRules().compared(folder)) == expected
    chosen = PairRules(attributes=["Young", "Male", "Attractive"]).compared(folder)
    assert chosen == ("Male", "Young")
    with pytest.raises(UserError, match="no attribute is left"):
        PairRules(attributes=["Attractive"]).compared(folder)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("attributes", ["Yung"], "unknown attribute 'Yung'.*'Young'"),
        ("unreliable", ["Yung"], "unknown attribute 'Yung'.*'Young'"),
        ("classes", "mergd", "unknown classes 'mergd'.*'merged'"),
        ("min_mask_miou", 1.5, "pairs.min_mask_miou: 1.5 is out of range"),
        ("max_mask_miou", -1, "pairs.max_mask_miou: -1 is out of range"),
        ("min_stated", 2, "pairs.min_stated: 2 is out of range"),
        ("same_person", 2, "pairs.same_person: 2 is out of range"),
        ("one_person", -2, "pairs.one_person: -2 is out of range"),
        ("max_pairs", 10**9, "pairs.max_pairs: 1,000,000,000 is out of range"),
        ("min_flips", -1, "pairs.min_flips: -1 is out of range"),
        ("max_pairs", 0, "pairs.max_pairs: 0 is out of range"),
    ],
)
def test_impossible_rules_are_refused(field, value, message):
    with pytest.raises(UserError, match=message):
        PairRules(**{field: value})
