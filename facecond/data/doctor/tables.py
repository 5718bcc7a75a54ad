"""Tables read with their faults: every row that makes sense, and a finding for the rest."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facecond.data.annotations import NUMBER
from facecond.data.doctor.findings import Finding
from facecond.data.table import EXTRA_COLUMNS, NAME_COLUMNS, SPLIT_WORDS, VALUES, bare_name
from facecond.errors import nearest
from facecond.labels import ATTRIBUTES, UNSPECIFIED

FEW = 0.1
"""Up to this share of the rows, the rarer coding is taken for the mistake of these rows."""


@dataclass
class Reading:
    """What could be read of a table.

    Attributes:
        path: the file.
        attributes: name -> int8 [40]; 1 present, 0 absent, -1 unspecified.
        lines: name -> line of its first row, be it readable or not.
        identities: name -> identity, where given.
        splits: name -> generator, judges or test, where given.
        ids: name -> CelebA-HQ id as written, where given.
        findings: what is wrong with the table.
        has_splits: whether there is a column `split`.
    """

    path: Path
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    has_splits: bool = False
    lines: dict[str, int] = field(default_factory=dict)
    _zero: list[str] = field(default_factory=list)
    _minus: list[str] = field(default_factory=list)

    def report(self, code: str, message: str, *names: str) -> None:
        """Add a finding about this table."""
        self.findings.append(Finding(code, names, message, {"file": self.path.name}))

    def enter(self, line: int, name: str, columns: list[int], words: list[str]) -> bool:
        """Take a row's name and attribute words; False when the row is of no use."""
        if not name:
            self.report("bad-row", f"{self.path.name}, line {line}: no name")
            return False
        if name in self.lines:
            lines = f"lines {self.lines[name]} and {line}"
            self.report("duplicate-row", f"{self.path.name} has it on {lines}", name)
            return False
        self.lines[name] = line
        values = np.full(len(ATTRIBUTES), UNSPECIFIED, np.int8)
        wrong = []
        for column, word in zip(columns, words, strict=True):
            if word.lower() in VALUES:
                values[column] = VALUES[word.lower()]
            else:
                wrong.append(f"{ATTRIBUTES[column]} is '{word}'")
        if wrong:
            more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            self.report("bad-row", f"{self.path.name}, line {line}: {wrong[0]}{more}", name)
        for coding, where in ((("0", "0.0"), self._zero), (("-1", "-1.0"), self._minus)):
            if any(word in coding for word in words):
                where.append(name)
        self.attributes[name] = values
        return True

    def finish(self) -> Reading:
        """Judge what only the whole table shows: mixed coding, ids given twice."""
        if self._zero and self._minus:
            rarer, word = min((self._minus, "-1"), (self._zero, "0"), key=lambda pair: len(pair[0]))
            few = len(rarer) <= FEW * len(self.attributes)
            message = (
                f"{self.path.name} codes absent as 0 in {len(self._zero)} rows and as -1 in "
                f"{len(self._minus)}; the rarer is {word}"
            )
            names = tuple(rarer) if few else ()
            self.findings.append(Finding("mixed-coding", names, message, {"rarer": word}))
        owners: dict[str, list[str]] = {}
        for name, id_ in self.ids.items():
            owners.setdefault(id_, []).append(name)
        for id_, both in owners.items():
            if len(both) > 1:
                message = f"{self.path.name} gives them all the celebahq_id {id_}"
                self.report("duplicate-id", message, *both)
        return self


def read_csv(path: Path) -> Reading:
    """Read a table as `table.read_table` does, but past every fault."""
    reading = Reading(path)
    try:
        rows = list(_rows(path, reading))
    except csv.Error as error:
        reading.report("bad-table", f"{path.name} is not a CSV file ({error})")
        return reading
    header = rows[0][1] if rows else []
    name_column = next((header.index(word) for word in NAME_COLUMNS if word in header), None)
    if name_column is None:
        reading.report("bad-table", f"{path.name} has no column '{NAME_COLUMNS[0]}'")
        return reading
    known = (*ATTRIBUTES, *EXTRA_COLUMNS)
    for title, count in Counter(header).items():
        if count > 1:
            reading.report("bad-table", f"{path.name} has the column '{title}' {count} times")
        if title not in known and title != header[name_column]:
            hint = nearest(title, known)
            reading.report("bad-table", f"{path.name} has an unknown column '{title}'. {hint}")
    at = {title: header.index(title) for title in known if title in header}
    columns = [ATTRIBUTES.index(title) for title in at if title in ATTRIBUTES]
    reading.has_splits = "split" in at
    for line, row in rows[1:]:
        name = bare_name(row[name_column]) if len(row) > name_column else ""
        if len(row) != len(header):
            what = f"{len(row)} fields where the header has {len(header)}"
            reading.report("bad-row", f"{path.name}, line {line}: {what}", *filter(None, [name]))
            reading.lines.setdefault(name, line)
            continue
        if not reading.enter(line, name, columns, [row[at[ATTRIBUTES[c]]] for c in columns]):
            continue
        if "identity" in at and row[at["identity"]]:
            reading.identities[name] = row[at["identity"]]
        if "celebahq_id" in at and row[at["celebahq_id"]]:
            reading.ids[name] = row[at["celebahq_id"]]
        if "split" in at:
            _enter_split(reading, name, row[at["split"]])
    return reading.finish()


def read_annotations(path: Path) -> Reading:
    """Read CelebAMask-HQ-attribute-anno.txt: a count, the 40 names, `0.jpg -1 1 ...`."""
    reading = Reading(path)
    lines = [(n, line.split()) for n, line in enumerate(text_of(path, reading).splitlines(), 1)]
    lines = [(n, words) for n, words in lines if words]
    titles = lines[1][1] if len(lines) > 1 else []
    if sorted(titles) != sorted(ATTRIBUTES):
        odd = sorted(set(titles) ^ set(ATTRIBUTES))
        what = f"missing or unknown: {', '.join(odd[:3])}" if odd else "one stands there twice"
        reading.report("bad-table", f"{path.name}: line 2 does not name the 40 attributes ({what})")
        return reading
    columns = [ATTRIBUTES.index(title) for title in titles]
    for line, words in lines[2:]:
        name = raw_name(bare_name(words[0]))
        if len(words) != len(titles) + 1:
            what = f"{len(words) - 1} values instead of {len(titles)}"
            reading.report("bad-row", f"{path.name}, line {line}: {what}", name)
            reading.lines.setdefault(name, line)
            continue
        reading.enter(line, name, columns, words[1:])
    if lines[0][1] != [str(len(lines) - 2)]:
        found = f"{' '.join(lines[0][1])} rows, has {len(lines) - 2}"
        reading.report("bad-table", f"{path.name} announces {found}")
    return reading.finish()


def raw_name(stem: str) -> str:
    """Name of a face of the raw data: its id in five digits; other stems stay as they are."""
    return f"{int(stem):05d}" if NUMBER.fullmatch(stem) else stem


def _enter_split(reading: Reading, name: str, word: str) -> None:
    if word in SPLIT_WORDS:
        reading.splits[name] = SPLIT_WORDS[word]
    else:
        what = f"the split '{word}'" if word else "no split"
        reading.report("bad-split", f"{reading.path.name} gives it {what}", name)


def _rows(path: Path, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text_of(path, reading), newline=""))
    for row in reader:
        if row:
            yield reader.line_num, [word.strip() for word in row]


def text_of(path: Path, reading: Reading) -> str:
    """The text of a file, with a finding when it is not UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reading.report("bad-table", f"{path.name} is not UTF-8 text ({error.reason})")
        return content.decode("utf-8-sig", errors="replace")
