"""Sections of a training of a judge."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class JudgeDataConfig:
    """The prepared folder whose judges' split a judge learns from."""

    root: str = ""


@dataclass
class JudgeSection:
    """Training of a judge."""

    steps: int = 500
    batch_size: int = 32
    learning_rate: float = 2.0e-2
    """Of Muon."""
    width: int = 32
    """Channels of the finest level."""
    seed: int = 0


@dataclass
class JudgeConfig:
    """A training of a judge (parser or attribute classifier)."""

    data: JudgeDataConfig = field(default_factory=JudgeDataConfig)
    judge: JudgeSection = field(default_factory=JudgeSection)
