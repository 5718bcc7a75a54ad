"""The section of a reference face as a condition."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ReferenceConfig:
    """How a reference is read and learned from, where the routing has a source of it."""

    evidence: str = "latents"
    """`latents`, `classifier:PATH`, `timm:NAME:PATH` or `timm:NAME`: `models/evidence.py`."""
    grid: int = 8
    """Latents are read in grid x grid cells."""
    queries: int = 16
    """Tokens that the Q-Former gives."""
    dim: int = 128
    """Width of the Q-Former."""
    depth: int = 2
    heads: int = 4
    trunks: int = 1
    """1: one trunk for all instructions; 2: one for appearance and one for the rest."""
    mix: dict[str, float] = field(default_factory=dict)
    """Shares of the tasks (`models/reference_tasks.py`); empty = appearance, geometry and
    reconstruction alike. `attribute` teaches single attributes."""
    embedder: str = ""
    """`mobilefacenet:PATH` tells persons apart where the data do not say who is who."""
    same_picture: bool = False
    """The reference is the target itself in every task: reconstructive training, the control."""
    dropout: float = 0.15
    """Chance that a sample does without its reference (never in `reconstruction`)."""
    keep: float = 0.1
    """Chance that what the reference is to give is said by the conditions too."""
    freeze: bool = False
    """Train only what belongs to the reference; the rest stays as `--init` brought it."""
