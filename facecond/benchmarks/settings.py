"""What a benchmark is asked for, as values that travel to another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

QUICK_REPEATS, REPEATS = 2, 7
QUICK_REQUESTS, REQUESTS = 24, 1000


@dataclass(frozen=True)
class QualitySettings:
    """What the case of equal quality compares.

    Attributes:
        models: contender -> folder of a trained model; the others are trained.
        data, judges: prepared folder; folder of judges.
        config, overrides: of the trainings.
        conditions: test conditions of each setting.
        steps: numbers of steps to try.
        solvers: to try, where the model's noise schedule knows them.
        shipped: solver and steps that a peer is used with by its authors.
    """

    models: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    judges: str = ""
    config: str = "rendered_64"
    overrides: tuple[str, ...] = ()
    conditions: int = 512
    steps: tuple[int, ...] = (4, 8, 20, 50)
    solvers: tuple[str, ...] = ("unipc", "dpm++", "euler", "ddim")
    shipped: tuple[str, int] = ("ddim", 50)


@dataclass(frozen=True)
class Settings:
    """One call of `facecond benchmark`.

    Attributes:
        repeats: rounds; in each, every contender of a case runs once.
        precision: `fp32` or `bf16` (autocast over float32 weights), for every contender but those
            named `-shipped`.
        compile: run networks through `torch.compile`.
        threads: of torch; 0 leaves its default.
        quick: tiny sizes, for tests.
        device: `cpu` or `cuda`; empty = `cuda` where there is one.
        peers: name -> path of its checkout, empty for an installed package.
        model: saved model that the studio draws with; empty = an untrained one.
        requests: of the case `studio-soak`.
        folder: for what cases make on the way.
        seed: of weights and inputs.
        quality: of the case `equal-quality`.
    """

    repeats: int = REPEATS
    precision: str = "fp32"
    compile: bool = False
    threads: int = 0
    quick: bool = False
    device: str = ""
    peers: Mapping[str, str] = field(default_factory=dict)
    model: str = ""
    requests: int = REQUESTS
    folder: str = "benchmarks"
    seed: int = 0
    quality: QualitySettings = QualitySettings()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Settings:
        """The inverse of `to_dict`, also after a journey through JSON."""
        given = dict(value)
        quality = dict(given.pop("quality"))
        for key in ("overrides", "steps", "solvers", "shipped"):
            quality[key] = tuple(quality[key])
        return cls(**given, quality=QualitySettings(**quality))
