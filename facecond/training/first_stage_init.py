"""Beginning the training of an autoencoder from a saved one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from facecond.models.first_stage import load_autoencoder
from facecond.models.weights_hash import weights_hash
from facecond.training.transfer import check_origin, take_over


def begin_from(
    init: str | None,
    autoencoder: nn.Module,
    out: Path,
    before: dict[str, Any] | None,
    has_state: bool,
) -> tuple[dict[str, Any] | None, str | None]:
    """Fill a new autoencoder from the one that the user names, unless the run only goes on.

    Args:
        init: first stage, autoencoder or model, by folder or hub id; None for none.
        autoencoder: filled where name and shape of a weight agree.
        out: run folder.
        before: what `run.json` or the checkpoint says of a run that goes on; None for a new one.
        has_state: whether it goes on from a checkpoint, so that weights need no source.

    Returns:
        What `run.json` says about it (path, hash, counts; None: the run begins from nothing), and
        a report of what was taken over (None: nothing was).

    Raises:
        UserError: no autoencoder there, or nothing of it fits; the run was begun otherwise; it has
            no checkpoint and its source is not named.
    """
    source = None if init is None else load_autoencoder(init).autoencoder
    named = None if source is None else weights_hash(source)
    recorded = check_origin(before, named, out, has_state)
    if has_state or init is None or source is None:
        return recorded, None
    transfer = take_over(autoencoder, source.state_dict(), init)
    return {"path": init, "hash": named, "tensors": transfer.counts}, transfer.report(init)
