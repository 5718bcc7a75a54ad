"""Which models must have checksums: the one in the box, whose files come with facecond."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facecond import boxed
from facecond.errors import UserError
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.sampling.checksums import FILE


def test_the_box_without_checksums_is_refused(
    make_pipeline: Callable[..., FacePipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boxed, "__file__", str(tmp_path / "__init__.py"))
    make_pipeline().save_pretrained(tmp_path / "model")
    load_pipeline(boxed.NAME)
    (tmp_path / "model" / FILE).unlink()
    with pytest.raises(UserError, match="the checksums are missing"):
        load_pipeline(boxed.NAME)
    load_pipeline(tmp_path / "model")  # by its path it is one like any other
