"""What figures were made with: versions of the packages, commit of the code."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("facecond", "torch", "diffusers", "accelerate", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def commit() -> str:
    """Commit of the checkout that this file lies in, `+` when it is changed (beside `docs`, where
    results are written), else `unknown`."""
    package = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        told = subprocess.run(
            ["git", *words], cwd=package, capture_output=True, text=True, timeout=10, check=True
        )
        return told.stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")) != package.parent:
            return "unknown"  # installed inside somebody else's repository
        code = (":(top)", ":(top,exclude)docs")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", *code)
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
