"""Whose code facecond is compared with, and where it lies. Nothing of it is in this repository."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from facecond.errors import UserError, nearest

LDM, DIFFUSERS = "ldm", "diffusers"
PEERS = (LDM, DIFFUSERS)

_MARK = {LDM: "ldm/modules/diffusionmodules/openaimodel.py"}
"""A file that the checkout of a peer has."""

PUBLISHED = {
    "sample-256": "published, not measured here: SDM (semantic-diffusion-model, 1000 steps in "
    "pixels) 22.79 s per image on an RTX 4090, as a third-party page quotes it "
    "(arxivlens.com, SISMA summary)",
}
"""Case -> figure of a peer that cannot be run here, with its source."""

_registered: dict[str, str] = {}


def parse_peers(words: Sequence[str]) -> dict[str, str]:
    """`["ldm=PATH", "diffusers"]` -> name -> path (empty for an installed package).

    Raises:
        UserError: an unknown name, a path that is missing or is no checkout of the peer.
    """
    found: dict[str, str] = {}
    for word in words:
        name, _, path = word.partition("=")
        if name not in PEERS:
            raise UserError(f"unknown peer '{name}'", "--peer", nearest(name, PEERS))
        found[name] = path
    _check(found)
    return found


def _check(peers: Mapping[str, str]) -> None:
    for name, path in peers.items():
        if name == DIFFUSERS:
            if path:
                fix = "Leave the path out: the installed package is measured."
                raise UserError("takes no path", f"--peer {name}", fix)
        elif not path:
            raise UserError("needs a path", f"--peer {name}", f"Give --peer {name}=CHECKOUT.")
        elif not (Path(path) / _MARK[name]).is_file():
            what = f"no checkout of {name} (it has no {_MARK[name]})"
            raise UserError(what, path, "Name the folder that was cloned.")


def register(peers: Mapping[str, str]) -> None:
    """Make the code of these peers importable in this process, unmodified.

    Only what the user names here is ever imported: no saved model can name a path.
    """
    for name, path in peers.items():
        _registered[name] = path
        if path and str(Path(path).resolve()) not in sys.path:
            sys.path.append(str(Path(path).resolve()))


def require(name: str) -> None:
    """Raise `UserError` unless a peer was named and its code can be found."""
    if name not in _registered:
        fix = f"Add --peer {name}{'' if name == DIFFUSERS else '=CHECKOUT'}."
        raise UserError("is needed here", f"the peer '{name}'", fix)
    if find_spec(name) is None:
        raise UserError("cannot be imported", f"the peer '{name}'", "Check its folder.")


def commit_of(name: str) -> str:
    """Commit of a peer's checkout, or the version of its package."""
    import subprocess
    from importlib.metadata import version

    if name == DIFFUSERS:
        return version(name)
    try:
        told = subprocess.run(
            ["git", "-C", _registered[name], "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return told.stdout.strip()
