"""The section of a reference face as a condition."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ReferenceConfig:
    """How a reference is read and learned from, where the routing has a source of it."""

    evidence: str = "latents"
    """`latents`, `classifier:PATH`, `timm:NAME:PATH` or `timm:NAME`: `models/evidence.py`."""
    grid: int = 8
    """Evidence is read in grid x grid cells: latents are cut into them, finer feature maps are
    averaged (DINOv2's 37 x 37 patches of 30,000 faces would take 32 GB, as 8 x 8 they take 1.5)."""
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
    reconstruction alike. `attribute` teaches single attributes; `identity` who it is, where data
    show persons more than once; `both` the appearance of one face with the geometry of another."""
    embedder: str = ""
    """`mobilefacenet:PATH` tells persons apart where the data do not say who is who."""
    pairs: str = ""
    """File of `facecond data pairs --cache`, whose pairs are not counted again; empty = they are
    kept in the run folder."""
    same_picture: bool = False
    """The reference is the target itself in every task: reconstructive training, the control."""
    dropout: float = 0.15
    """Chance that a sample does without its reference (never in `reconstruction`, nor with
    `freeze`, where it would teach nothing)."""
    keep: float = 0.1
    """Chance that what the reference is to give is said by the conditions too."""
    freeze: bool = False
    """Train only what belongs to the reference; the rest stays as `--init` brought it."""
