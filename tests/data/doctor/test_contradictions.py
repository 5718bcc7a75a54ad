import numpy as np
import pytest

from facecond.data.doctor.contradictions import contradictions
from facecond.data.doctor.geometry import places
from facecond.labels import MASK_CLASSES, attribute_index


def _mask(part, rows):
    mask = np.ones((100, 100), np.uint8)
    mask[:rows] = MASK_CLASSES.index(part)
    return mask


@pytest.mark.parametrize(
    ("attribute", "value", "part", "rows", "code"),
    [
        ("Eyeglasses", 1, "eye_g", 0, "glasses-not-in-mask"),
        ("Eyeglasses", 1, "eye_g", 1, None),
        ("Eyeglasses", 0, "eye_g", 3, "glasses-not-in-table"),
        ("Eyeglasses", 0, "eye_g", 1, None),
        ("Eyeglasses", -1, "eye_g", 5, None),
        ("Wearing_Hat", 1, "hat", 0, "hat-not-in-mask"),
        ("Wearing_Hat", 1, "hat", 3, None),
        ("Wearing_Hat", 0, "hat", 13, "hat-not-in-table"),
        ("Wearing_Hat", 0, "hat", 12, None),  # a hair band
        ("Bald", 1, "hair", 20, "bald-with-hair"),
        ("Bald", 1, "hair", 11, None),  # at the sides
        ("Bald", 0, "hair", 40, None),
    ],
)
def test_rules(attribute, value, part, rows, code):
    attributes = np.full(40, -1, np.int8)
    attributes[attribute_index(attribute)] = value
    found = contradictions("a", attributes, places(_mask(part, rows)), known=1.0)
    assert [finding.code for finding in found] == ([code] if code else [])
    if code:
        assert found[0].evidence == {"area": rows / 100} and attribute in found[0].message


def test_nothing_is_missing_from_an_open_mask():
    attributes = np.zeros(40, np.int8)
    attributes[attribute_index("Eyeglasses")] = 1
    assert contradictions("a", attributes, places(_mask("hair", 0)), known=0.8) == []
