"""First stages and latent caches that several runs have in common, made once.

The store holds one folder for each first stage and one for each cache, named by a hash of what
they are made from. A run's own folder gets hard links to their files (copies where links cannot
be), so each run looks like any other training, and the training checks what it finds as always.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from facecond.config import RunConfig
from facecond.data.prepared import PreparedFolder
from facecond.models.first_stage import load as load_first_stage
from facecond.storage import atomic_folder, hash_of, make_folder
from facecond.training import setup


def first_stage_key(config: RunConfig, data_hash: str) -> str:
    """What a first stage is made from."""
    return hash_of([data_hash, asdict(config.first_stage)])[:16]


def latents_key(config: RunConfig, data_hash: str) -> str:
    """What a latent cache is made from. Without variants of pictures the seed does not count."""
    data = {key: value for key, value in asdict(config.data).items() if key != "root"}
    data.pop("sample_latents")  # drawn when the cache is read
    seed = config.train.seed if config.data.variants > 1 else 0
    return hash_of([first_stage_key(config, data_hash), data, seed])[:16]


def share_into(run: Path, config: RunConfig, folder: PreparedFolder, store: Path) -> None:
    """Give the run folder its `first_stage` and `latents`, from the store, which is filled first
    where they are missing. Several processes may call this at a time."""
    make_folder(store)
    stage = store / f"first_stage-{first_stage_key(config, folder.data_hash)}"
    latents = store / f"latents-{latents_key(config, folder.data_hash)}"
    with FileLock(f"{stage}.lock"):
        if not (stage / "identity.json").is_file():
            setup.first_stage_for(config, folder, stage)
    with FileLock(f"{latents}.lock"):
        if not (latents / "manifest.json").is_file():
            setup.latent_cache_for(config, folder, load_first_stage(stage), stage, latents)
    for source, name, whole in (
        (stage, "first_stage", "identity.json"),
        (latents, "latents", "manifest.json"),
    ):
        if not (run / name / whole).is_file():
            link_folder(source, run / name)


def link_folder(source: Path, out: Path) -> None:
    """`out` with the files of `source`, atomically; hard links, or copies across file systems.

    Whoever replaces a file in one of the two folders leaves the other as it is.
    """
    with atomic_folder(out) as temporary:
        for file in sorted(source.rglob("*")):
            target = temporary / file.relative_to(source)
            if file.is_dir():
                target.mkdir()
                continue
            try:
                os.link(file, target)
            except OSError:
                shutil.copy2(file, target)
