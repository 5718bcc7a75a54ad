"""Versions and commit that go into every result."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from facecond.provenance import PACKAGES, versions

TELL = "from facecond.provenance import commit; print(commit())"


def test_versions_name_the_packages() -> None:
    found = versions()
    assert set(found) == {"python", *PACKAGES}
    assert found["torch"] != "unknown" and found["python"].count(".") == 2


def test_the_commit_is_that_of_the_checkout_with_a_plus_when_it_is_changed(
    tmp_path: Path, root: Path
) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", *identity, *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.strip()

    def told() -> str:
        command = [sys.executable, "-c", TELL]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.strip()

    (tmp_path / "facecond").mkdir()
    (tmp_path / "facecond" / "__init__.py").write_text("")
    shutil.copy(root / "facecond" / "provenance.py", tmp_path / "facecond")
    assert told() == "unknown"  # no repository
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "benchmarks.md").write_text("a table")
    git("init")
    git("add", "-A")
    git("commit", "-m", "first")
    assert told() == git("rev-parse", "HEAD") and len(told()) == 40
    (tmp_path / "docs" / "benchmarks.md").write_text("a table with results")
    assert told() == git("rev-parse", "HEAD")
    (tmp_path / "facecond" / "__init__.py").write_text("x = 1")
    assert told() == git("rev-parse", "HEAD") + "+"


def test_another_repository_around_the_package_is_not_taken_for_its_own(
    tmp_path: Path, root: Path
) -> None:
    inside = tmp_path / "venv"
    (inside / "facecond").mkdir(parents=True)
    (inside / "facecond" / "__init__.py").write_text("")
    shutil.copy(root / "facecond" / "provenance.py", inside / "facecond")
    subprocess.run(["git", "init"], cwd=tmp_path, capture_output=True, check=True)
    command = [sys.executable, "-c", TELL]
    result = subprocess.run(command, cwd=inside, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "unknown"
