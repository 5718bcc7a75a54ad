"""Reference and target pairs for training that does not merely reconstruct: built and counted."""

from facecond.data.pairs.build import build_pairs
from facecond.data.pairs.persons import Embed, check_shown_twice
from facecond.data.pairs.result import Pairs
from facecond.data.pairs.rules import TASKS, UNRELIABLE, PairRules
from facecond.data.pairs.triples import Triples

__all__ = [
    "TASKS", "UNRELIABLE", "Embed", "PairRules", "Pairs", "Triples", "build_pairs",
    "check_shown_twice",
]  # fmt: skip
