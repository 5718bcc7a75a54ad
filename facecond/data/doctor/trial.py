"""Measures the examination on planted faults: how many it finds, how many clean faces it flags."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facecond.data.doctor.examine import Report, examine
from facecond.data.doctor.fault_kinds import FAULTS
from facecond.data.doctor.faults import Planted, plant_faults


@dataclass
class Trial:
    """The sum over several plantings.

    Attributes:
        planted, found: fault -> number.
        missed: (seed, fault, names) that no finding names.
        clean: clean faces, over all seeds.
        flagged: (seed, name, codes) of clean faces that findings name.
    """

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)
    clean: int = 0
    flagged: list[tuple[int, str, tuple[str, ...]]] = field(default_factory=list)

    def add(self, seed: int, planted: Planted, report: Report) -> None:
        """Count one planting."""
        named: dict[str, set[str]] = {}
        for finding in report.findings:
            for name in finding.names:
                named.setdefault(name, set()).add(finding.code)
        for kind, names in planted.faults:
            self.planted[kind] += 1
            wanted = set(names)
            if any(
                f.code in FAULTS[kind].codes and wanted <= set(f.names) for f in report.findings
            ):
                self.found[kind] += 1
            else:
                self.missed.append((seed, kind, names))
        self.clean += len(planted.clean)
        for name in planted.clean:
            if name in named:
                self.flagged.append((seed, name, tuple(sorted(named[name]))))

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {
            "faults": {kind: [self.found[kind], self.planted[kind]] for kind in self.planted},
            "missed": [[seed, kind, *names] for seed, kind, names in self.missed],
            "clean": self.clean,
            "flagged": [[seed, name, *codes] for seed, name, codes in self.flagged],
        }

    def markdown(self) -> str:
        """The counts as a table."""
        lines = ["| fault | found | planted |", "|---|---:|---:|"]
        kinds = [kind for kind in FAULTS if self.planted[kind]]
        lines += [f"| {kind} | {self.found[kind]} | {self.planted[kind]} |" for kind in kinds]
        found, planted = self.found.total(), self.planted.total()
        lines.append(f"| all | {found} ({found / max(planted, 1):.1%}) | {planted} |")
        share = len(self.flagged) / max(self.clean, 1)
        codes = Counter(code for _, _, found in self.flagged for code in found)
        listed = ", ".join(f"{code} {count}" for code, count in codes.most_common())
        flagged = f"{len(self.flagged)} of {self.clean} ({share:.2%})"
        return "\n".join([*lines, "", f"Clean faces flagged: {flagged}. {listed}".strip()])


def run_trial(
    root: str | Path,
    out: str | Path,
    seeds: Sequence[int],
    share: float = 0.01,
    count: int | None = None,
    kinds: Sequence[str] | None = None,
    workers: int | None = None,
) -> Trial:
    """Plant faults once per seed, in `out`/seed-N, examine each copy, and count.

    The arguments are those of `plant_faults` and `examine`.

    Raises:
        UserError: see `plant_faults`.
    """
    trial = Trial()
    for seed in seeds:
        planted = plant_faults(root, Path(out) / f"seed-{seed}", share, seed, kinds, count)
        trial.add(seed, planted, examine(planted.folder, workers))
    return trial
