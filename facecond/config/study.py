"""Sections of an ablation study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class StudyDataConfig:
    """The faces that all runs share: a prepared folder, or rendered ones."""

    root: str = ""
    """Prepared folder; empty = render `count` faces into the study's folder, once."""
    count: int = 0
    size: int = 64
    seed: int = 0
    judges_fraction: float = 0.3
    test_fraction: float = 0.1
    variations: int = 1
    """Blocks of V geometries x V appearances, known to be the same: for references."""


@dataclass
class StudyJudgesConfig:
    """The judges that score all runs: folders, or trained once for the study."""

    folders: list[str] = field(default_factory=list)
    """One or two folders with `parser/` and `attributes/`; empty = train them."""
    parser: str = "judge_parser_64"
    """Config of the parser to train."""
    attributes: str = "judge_attributes_64"
    seeds: list[int] = field(default_factory=lambda: [1])
    """One or two: a pair of judges is trained for each."""
    steps: int = 0
    """Steps of both judges; 0 = as their configs say."""


@dataclass
class StudyEvaluateConfig:
    """How every run is scored: the same conditions and the same noise for all of them."""

    probes: list[str] = field(default_factory=lambda: ["adherence", "fidelity", "selectivity"])
    """Probes of `facecond evaluate --protocol full`."""
    n: int = 256
    """Conditions of the test split."""
    seed: int = 0
    guidance: dict[str, float] = field(default_factory=dict)
    """Scale per source; a source that is not named has 1: no guidance."""
    steps: int = 0
    """Sampling steps; 0 = as the config of the run says."""
    batch_size: int = 64
    turned: int = 8
    """Conditions on which the probe `selectivity` turns each attribute off and on."""
    swapped: int = 64
    """Conditions whose mask it exchanges."""
    diversity: int = 48
    """Conditions of the probe `diversity`."""
    samples: int = 4
    """Samples of each of them."""
    references: int = 128
    """Conditions of the probe `references`."""
    lpips_trunk: str = "random"
    """File with torchvision's AlexNet weights for that probe."""
    pictures: int = 8
    """Conditions whose samples are kept for the report."""


@dataclass
class StudyConfig:
    """An ablation: one base, named variants of it, seeds."""

    purpose: str = ""
    """The question that the study asks: the head of its report."""
    expect: str = ""
    """The answer that is expected, written before it is known."""
    base: str = ""
    """Config of the trainings that the variants change: a file or a shipped name."""
    data: StudyDataConfig = field(default_factory=StudyDataConfig)
    judges: StudyJudgesConfig = field(default_factory=StudyJudgesConfig)
    evaluate: StudyEvaluateConfig = field(default_factory=StudyEvaluateConfig)
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    """Of the trainings; each variant is trained with every one."""
    reference: str = ""
    """Variant that the others are compared with; empty = the first."""
    init: str = ""
    """Variant that all others begin from: it is trained first, and the run of the same seed lends
    its weights (`facecond train --init`). Empty = each begins from nothing."""
    variants: dict[str, Any] = field(default_factory=dict)
    """Name -> dotted keys of the base and their values; nothing for the base itself."""
    grid: dict[str, Any] = field(default_factory=dict)
    """Dotted key -> list of values: every combination is one more variant."""
