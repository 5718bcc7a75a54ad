"""What the configs of a pipeline and of judges say: sizes that must fit, and identities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.judges import Judges
from facecond.storage import hash_of


def check_sizes(folder: PreparedFolder, sizes: Mapping[str, int | None]) -> None:
    """Raise `UserError` unless these parts (name -> side in pixels) and the faces have one size; 0
    and None stand for any."""
    size = folder.image_size
    for name, other in sizes.items():
        if other not in (0, None, size):  # a public parser takes any
            raise UserError(
                f"{name} is for {other} px, these faces have {size} px",
                folder.root,
                "Prepare the faces at that size, or give a model and judges of this size.",
            )


def sizes_of(pipeline: Any, judges: Sequence[Judges]) -> dict[str, int | None]:
    """Sides in pixels of the pictures of a pipeline and of judges."""
    sizes: dict[str, int | None] = {"the model": pipeline.image_size}
    for number, each in enumerate(judges):
        which = "" if number == 0 else "second "
        sizes[f"the {which}parser"] = each.parser.image_size
        sizes[f"the {which}attribute classifier"] = each.classifier.image_size
    return sizes


def configs_of(pipeline: Any) -> dict[str, str]:
    """Configs of a pipeline and of its components: what counts beside their weights."""
    parts = getattr(pipeline, "components", {})
    return {"": config_of(pipeline)} | {n: config_of(part) for n, part in sorted(parts.items())}


def config_of(owner: Any) -> str:
    """The config of a component; private keys name its file and version of origin."""
    config = dict(getattr(owner, "config", None) or {})
    return repr(sorted((key, repr(value)) for key, value in config.items() if key[0] != "_"))


def routing_of(pipeline: Any) -> dict[str, str]:
    """Name and hash of the routing in use; nothing of a pipeline without a denoiser of ours."""
    routing = getattr(getattr(pipeline, "unet", None), "routing", None)
    if routing is None:
        return {}
    return {"routing": routing.name, "routing_hash": hash_of(routing.to_dict())}
