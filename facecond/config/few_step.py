"""The section of a distilled model."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class FewStepConfig:
    """Distilling a flow model into one that makes a face in 1, 2, 4 or 8 steps of one pass each
    (`diffusion/shortcut.py`)."""

    teacher: str = ""
    """Model folder or finished run to distill, of the same denoiser; empty = no distillation."""
    guidance: dict[str, list[float]] = field(default_factory=dict)
    """`attributes`, `mask` -> least and greatest scale of guidance, such as [1, 3], which the model
    takes as an input: guided faces need no second pass. One that is not named is not guided."""
