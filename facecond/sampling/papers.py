"""What lies beside a model's weights and says what they are: its card and its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facecond.storage import write_text

NAMES = ("README.md", "provenance.json")


@dataclass(frozen=True)
class Papers:
    """The papers of a loaded model, as they were when it was loaded.

    Attributes:
        folder: that it was loaded from; None = it was not.
        texts: by name of the file.
    """

    folder: Path | None = None
    texts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Papers:
        """Those that a model folder has; a file that is no text is none."""
        texts = {}
        for name in NAMES:
            try:
                texts[name] = (folder / name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
        return cls(folder.resolve(), texts)

    def write(self, folder: Path) -> None:
        """Put them into another folder; those where they came from may be newer by now."""
        if folder.resolve() != self.folder:
            for name, text in self.texts.items():
                write_text(folder / name, text)
