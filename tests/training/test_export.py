"""Provenance: equal runs have equal hashes, and what matters changes them."""

from __future__ import annotations

from facecond.config import RunConfig
from facecond.training.export import provenance


def test_the_hash_follows_the_config_but_not_the_place_of_the_data() -> None:
    plain, moved, other = RunConfig(), RunConfig(), RunConfig()
    moved.data.root = "/elsewhere"
    other.objective.k = 2.0
    hashes = [provenance(c, "d")["config_hash"] for c in (plain, moved, other)]
    assert hashes[0] == hashes[1] != hashes[2]
