"""Beginning from saved weights: what of them fits, and what a run remembers of their origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facecond.errors import UserError

EXAMPLES = 3
"""Names that a line of the report shows."""


@dataclass(frozen=True)
class Transfer:
    """What of some weights goes into a module, by name and shape.

    Attributes:
        taken: names in both, of one shape.
        new: names of the module only; they keep what they have.
        left_out: names of the weights only.
        reshaped: names in both, with the shapes of the weights and of the module.
    """

    taken: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def counts(self) -> dict[str, int]:
        """Number of tensors of each kind."""
        return {name: len(value) for name, value in vars(self).items()}

    def report(self, source: str | Path) -> str:
        """Lines with counts and examples."""
        shapes = [f"{n} {list(a)} -> {list(b)}" for n, (a, b) in self.reshaped.items()]
        lines = [f"{source}: {len(self.taken)} tensors taken over"]
        for title, names in (
            ("new, not in it", list(self.new)),
            ("left out, not in this model", list(self.left_out)),
            ("left out, of another shape", shapes),
        ):
            if names:
                more = ", ..." if len(names) > EXAMPLES else ""
                lines.append(f"  {len(names)} {title}: {', '.join(names[:EXAMPLES])}{more}")
        return "\n".join(lines)


def compare(module: nn.Module, weights: Mapping[str, Tensor]) -> Transfer:
    """What `take_over` would do; the module may be on the meta device."""
    own = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    shared = [name for name in own if name in weights]
    same = {name for name in shared if own[name] == tuple(weights[name].shape)}
    return Transfer(
        taken=tuple(name for name in shared if name in same),
        new=tuple(name for name in own if name not in weights),
        left_out=tuple(name for name in weights if name not in own),
        reshaped={n: (tuple(weights[n].shape), own[n]) for n in shared if n not in same},
    )


@torch.no_grad()
def take_over(module: nn.Module, weights: Mapping[str, Tensor], where: str | Path) -> Transfer:
    """Copy into the module what fits it by name and shape; the rest of it stays as it is.

    Raises:
        UserError: nothing fits; `where` names the weights.
    """
    transfer = compare(module, weights)
    if not transfer.taken:
        raise UserError("none of its weights fits this model", where, "Check the architecture.")
    own = module.state_dict()
    for name in transfer.taken:
        own[name].copy_(weights[name])
    return transfer


def check_origin(
    before: dict[str, Any] | None, named: str | None, out: Path, has_state: bool
) -> dict[str, Any] | None:
    """What a run that goes on says about the weights that it began with; None: it has none.

    Args:
        before: what `run.json` or the checkpoint says of a run that goes on; None for a new one.
        named: hash of the weights that the user names; None where none are.
        out: run folder.
        has_state: whether it goes on from a checkpoint, so that weights need no source.

    Raises:
        UserError: the run was begun otherwise; it has no checkpoint and its source is not named.
    """
    recorded = before.get("init") if before else None
    if before is not None and named is not None and named != (recorded or {}).get("hash"):
        how = "from another model" if recorded else "without --init"
        raise UserError(f"the run was begun {how}", out, "Use --resume never or another --out.")
    if recorded is not None and named is None and not has_state:
        what = f"the run was begun with --init {recorded['path']} and has no checkpoint yet"
        raise UserError(what, out, "Give --init again, or use --resume never.")
    return recorded
