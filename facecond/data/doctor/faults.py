"""Plants known faults into a copy of a plain folder, so that finding them can be measured.

Every kind of fault befalls its own faces; faces that none befell are the clean ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facecond.data.doctor.fault_kinds import FAULTS, anything_goes
from facecond.data.doctor.plain_copy import PlainCopy
from facecond.seeding import numpy_generator


@dataclass
class Planted:
    """What was planted.

    Attributes:
        folder: the copy.
        faults: (kind, names) of every fault.
        clean: names of the faces that nothing befell.
    """

    folder: Path
    faults: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    clean: list[str] = field(default_factory=list)


def plant_faults(
    root: str | Path,
    out: str | Path,
    share: float = 0.01,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    count: int | None = None,
) -> Planted:
    """Copy a plain folder and plant faults in it.

    Args:
        root: images/, masks/ and a table; faces without a mask are not copied.
        out: the copy to make; must not exist yet.
        share: of the faces, for each kind; at least one face.
        seed: decides which faces, and how.
        kinds: keys of `FAULTS`. Default all.
        count: copy only this many faces, drawn by the seed; those with attributes first.

    Raises:
        UserError: `root` cannot be read or `out` exists.
    """
    random = numpy_generator(seed, "faults")
    copy = PlainCopy.make(Path(root), Path(out), seed, count)
    untouched = [copy.names[i] for i in random.permutation(len(copy.names))]
    wanted = max(1, round(share * len(untouched)))
    planted = Planted(copy.root)
    chosen = list(FAULTS) if kinds is None else list(kinds)
    for kind in sorted(chosen, key=lambda kind: FAULTS[kind].eligible is anything_goes):
        fault = FAULTS[kind]
        befallen = [name for name in untouched if fault.eligible(copy, name)][:wanted]
        for name in befallen:
            if name in copy.touched:  # the other half of a pair
                continue
            names = fault.plant(copy, name, numpy_generator(seed, "fault", kind, name))
            planted.faults.append((kind, names))
            copy.touched.update(names)
            untouched = [other for other in untouched if other not in names]
    copy.write_table()
    planted.clean = sorted(untouched)
    return planted
