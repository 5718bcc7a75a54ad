"""CelebA-HQ-to-CelebA-mapping.txt read past its faults: which CelebA picture each id is.

The name of a person, and CelebA's own partition, are looked up by it: a wrong row gives a face to
somebody else without any other sign.
"""

from __future__ import annotations

from pathlib import Path

from facecond.data.annotations import MAPPING_HEADER, NUMBER
from facecond.data.doctor.findings import Finding
from facecond.data.doctor.tables import Reading, raw_name, text_of
from facecond.data.raw_layout import COUNT
from facecond.data.table import bare_name


def read_origins(path: Path) -> Reading:
    """Rows `idx orig_idx orig_file`; `lines` names the ids of the faces, in five digits.

    Found are rows of another form, ids that are none or are there twice, an `orig_idx` that does
    not belong to its `orig_file` (which counts from 1), and one origin given to several ids.
    """
    reading = Reading(path)
    owners: dict[str, list[str]] = {}
    for line, text in enumerate(text_of(path, reading).splitlines(), 1):
        words = text.split()
        if not words or words == MAPPING_HEADER:
            continue
        where, name, origin = f"{path.name}, line {line}", raw_name(words[0]), bare_name(words[-1])
        known = bool(NUMBER.fullmatch(words[0])) and int(words[0]) < COUNT
        if name in reading.lines:
            lines = f"lines {reading.lines[name]} and {line}"
            reading.report("duplicate-row", f"{path.name} has it on {lines}", name)
            continue
        if known:
            reading.lines[name] = line
        if len(words) != len(MAPPING_HEADER) or not (
            NUMBER.fullmatch(words[1]) and NUMBER.fullmatch(origin)
        ):
            what = f"'{' '.join(words)}' is not {' '.join(MAPPING_HEADER)}"
            reading.report("bad-row", f"{where}: {what}", *([name] if known else []))
        elif not known:
            reading.report("bad-row", f"{where}: '{words[0]}' is no id from 0 to {COUNT - 1}")
        elif int(words[1]) + 1 != int(origin):
            what = f"orig_idx {words[1]} does not belong to orig_file {words[2]}"
            reading.report("bad-row", f"{where}: {what}", name)
        else:
            owners.setdefault(origin, []).append(name)
    for origin, ids in owners.items():
        if len(ids) > 1:
            message = f"{path.name} gives them all the origin {origin}"
            # Leaving the faces out would not mend the file, which is refused as a whole.
            reading.findings.append(Finding("duplicate-id", tuple(ids), message, exclude=()))
    return reading
