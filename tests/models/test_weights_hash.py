"""The hash of weights."""

from __future__ import annotations

from types import SimpleNamespace

from facecond.models.judges import FaceParser
from facecond.models.weights_hash import weights_hash


def test_the_hash_names_the_weights() -> None:
    first = FaceParser(width=8)
    second = FaceParser(width=8)
    second.load_state_dict(first.state_dict())
    assert weights_hash(first) == weights_hash(second)
    next(second.parameters()).data.flatten()[0] += 1e-6
    assert weights_hash(first) != weights_hash(second)
    whole = SimpleNamespace(components={"parser": first, "scheduler": object()})
    assert weights_hash(whole) == weights_hash(SimpleNamespace(components={"parser": first}))
