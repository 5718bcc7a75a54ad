"""The model in the box: a small one, trained on rendered faces, that travels with facecond.

Its recipe, its figures and its limits are in `model/README.md`.
"""

from __future__ import annotations

from pathlib import Path

from facecond.errors import UserError

NAME = "boxed"
"""What the command line and the records of faces call it. (A folder of this name is `./boxed`.)"""


def model_folder(model: str | Path) -> Path:
    """Folder of a model: where a path leads, or that of the model in the box for `boxed`.

    Raises:
        UserError: an installation without the model in the box.
    """
    if str(model) != NAME:
        return Path(model)
    folder = Path(__file__).parent / "model"
    if not folder.is_dir():
        fix = "Name one: `facecond demo` makes demo/run/model in ten minutes."
        raise UserError("no model is named, and none came with this facecond", "MODEL", fix)
    return folder
