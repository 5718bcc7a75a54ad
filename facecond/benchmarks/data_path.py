"""From downloaded files to prepared pictures, and from the latent cache to batches."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.settings import Settings
from facecond.data.celebamask import prepare_celebamask
from facecond.data.dataset import IndexKeyedSampler
from facecond.data.latent_shards import write_shard
from facecond.data.latents import SHARD_SIZE, LatentCache
from facecond.data.render_raw import render_celebamask
from facecond.labels import ATTRIBUTES, MASK_CLASSES
from facecond.seeding import numpy_generator

BATCH, BATCHES = 64, 20


def entries(settings: Settings, case: str) -> Entries:
    """Raw preparation by number of worker processes, or batches of a cache."""
    if case == "prepare":
        counts = (1,) if settings.quick else (1, 2)
        return {f"{n} process{'es' * (n > 1)}": partial(_preparing, settings, n) for n in counts}
    count = 256 if settings.quick else 30_000
    return {f"cache of {count:,}": partial(reading, settings, count)}


def _preparing(settings: Settings, workers: int) -> Contender:
    """Raw files as downloaded (JPEG of 1024 px, part masks of 512 px) -> pictures of 256 px."""
    count, raw, size = (2, 128, 64) if settings.quick else (64, 1024, 256)
    place = Path(tempfile.mkdtemp(prefix="facecond-benchmark-"))
    render_celebamask(place / "raw", count, raw, settings.seed)
    numbers = itertools.count()

    def run(out_folder: Path, out: Tensor) -> None:
        folder = prepare_celebamask(
            place / "raw", out_folder, size, split="random", test_fraction=0.0,
            judges_fraction=0.0, workers=workers,
        )  # fmt: skip
        out[0] = len(folder)
        out[1] = float(np.mean([folder.image(i).mean() for i in range(min(4, len(folder)))]))

    return Contender(
        prepare=lambda repeat: place / f"prepared-{next(numbers)}",
        run=run,
        shape=(2,),
        units=count,
        unit="images",
        facts={"raw_px": raw, "px": size},
        fresh=False,
        close=lambda: shutil.rmtree(place, ignore_errors=True),
    )


def reading(settings: Settings, count: int, side: int = 16, channels: int = 4) -> Contender:
    """Batches in training's order from a cache of `count` faces (masks of `side` px), warm."""
    place = Path(tempfile.mkdtemp(prefix="facecond-benchmark-"))
    cache = simulated_cache(place, count, side, channels)
    batches = 2 if settings.quick else BATCHES
    shape = (BATCH, channels, side // 4, side // 4)

    def prepare(repeat: int) -> IndexKeyedSampler:
        consumed = (repeat % 97) * BATCH * batches
        return IndexKeyedSampler(count, BATCH, settings.seed, consumed)

    def run(sampler: IndexKeyedSampler, out: Tensor) -> None:
        order = iter(sampler)
        for _ in range(batches):
            items = cache.__getitems__(next(order))
            out.copy_(torch.stack([item["latents"] for item in items]))

    return Contender(
        prepare=prepare,
        run=run,
        shape=shape,
        units=batches * BATCH,
        unit="images",
        facts={"faces": count, "batch": BATCH},
        close=lambda: shutil.rmtree(place, ignore_errors=True),
    )


def simulated_cache(place: Path, count: int, side: int, channels: int) -> LatentCache:
    """A cache of random latents; all its shards but the last are one file under many names, so a
    million faces take the disk of 2,048 and the maps of a million."""
    generator = numpy_generator(0, "simulated cache")

    def arrays(faces: int) -> dict[str, list[np.ndarray]]:
        latents = generator.standard_normal((faces, 1, channels, side // 4, side // 4), np.float32)
        masks = generator.integers(0, len(MASK_CLASSES), (faces, 1, side, side), np.uint8)
        return {"latents": [latents.astype(np.float16)], "masks": [masks]}

    shards = -(-count // SHARD_SIZE)
    write_shard(place, 0, arrays(min(count, SHARD_SIZE)))
    for shard in range(1, shards):
        left = min(SHARD_SIZE, count - shard * SHARD_SIZE)
        if left < SHARD_SIZE:
            write_shard(place, shard, arrays(left))
            continue
        for kind in ("latents", "masks"):
            (place / f"{kind}-{shard:05d}.npy").hardlink_to(place / f"{kind}-00000.npy")
    np.save(place / "attributes.npy", np.zeros((count, len(ATTRIBUTES)), np.int8))
    identity = {
        "seed": 0, "variants": 1, "latent_shape": [channels, side // 4, side // 4],
    }  # fmt: skip
    manifest = {"identity": identity, "count": count, "shard_size": SHARD_SIZE, "files": {}}
    return LatentCache(place, manifest)
