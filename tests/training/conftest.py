"""A small set of rendered faces that the training tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from facecond.data.render_set import render_prepared


@pytest.fixture(scope="session")
def rendered_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folder of 96 rendered faces of 64 px."""
    root = tmp_path_factory.mktemp("rendered") / "data"
    render_prepared(str(root), 96, 64, 0, True, 0.2, 0.2, 1)
    return root
