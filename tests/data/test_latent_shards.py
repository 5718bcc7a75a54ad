"""Files of a latent cache: a shard counts once its last array is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facecond.data import latent_shards as shards


def arrays(seed: int, kinds: tuple[str, ...]) -> dict[str, list[np.ndarray]]:
    random = np.random.default_rng(seed)
    return {kind: [random.random((n, 2, 3)).astype(np.float16) for n in (4, 1)] for kind in kinds}


def test_what_is_written_is_read_in_the_order_of_its_batches(tmp_path: Path) -> None:
    written = arrays(0, ("latents", "logvars", "masks"))
    shards.write_shard(tmp_path, 3, written)
    mapped = shards.map_shard(tmp_path, 3)
    assert mapped.keys() == written.keys()
    for kind, batches in written.items():
        np.testing.assert_array_equal(mapped[kind], np.concatenate(batches))
    shards.write_shard(tmp_path, 4, arrays(1, ("latents", "masks")))
    assert set(shards.map_shard(tmp_path, 4)) == {"latents", "masks"}


def test_a_shard_without_its_last_array_is_not_written(tmp_path: Path) -> None:
    shards.write_shard(tmp_path, 0, arrays(0, ("masks", "logvars")))
    assert not shards.is_written(tmp_path, 0)  # killed before the latents, which come last
    shards.write_shard(tmp_path, 0, arrays(0, ("masks", "logvars", "latents")))
    assert shards.is_written(tmp_path, 0) and not shards.is_written(tmp_path, 1)
    assert shards.KINDS[-1] == "latents"


def test_clearing_leaves_what_is_not_a_cache(tmp_path: Path) -> None:
    shards.write_shard(tmp_path, 0, arrays(0, ("masks", "latents")))
    for name in ("manifest.json", "building.json", ".latents-00001.npy.x.npy", "notes.txt"):
        (tmp_path / name).write_text("{}")
    shards.clear(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
