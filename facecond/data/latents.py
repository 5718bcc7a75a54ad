"""Latent cache: a split encoded once, in memmap shards that are read without copying.

manifest.json      identity (data, first stage, augmentation, ...) and SHA-256; written last
latents-00000.npy  float16 [n, V, C, h, w]: V variants of each face; variant 0 is plain
logvars-00000.npy  float16, the same shape: log variances, where the first stage has them
masks-00000.npy    uint8 [n, V, S, S]
attributes.npy     int8 [N, 40]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from facecond.data import latent_shards as shards
from facecond.data.latent_shards import Encode
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.seeding import key_of, numpy_generator
from facecond.storage import make_folder, read_json, sha256, write_json

if TYPE_CHECKING:
    from facecond.data.augmentation import FaceAugmentation

SCHEMA = "facecond.latents/2"
SHARD_SIZE = 2048
"""Faces per shard."""

_STALE = {
    "data_hash": "another data set",
    "split": "another split",
    "first_stage_hash": "another first stage",
    "latent_shape": "latents of another shape",
    "variants": "another number of variants",
    "augmentation": "other augmentation",
    "seed": "another seed",
}
_BUILD_ANEW = "Remove this folder, so that it is built anew."


def cache_identity(
    data_hash: str,
    split: str,
    first_stage_hash: str,
    latent_shape: Sequence[int],
    variants: int = 1,
    augmentation: FaceAugmentation | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """What the content of a cache depends on; equal identities mean equal caches.

    Args:
        data_hash: of the prepared folder.
        split: generator, judges or test.
        first_stage_hash: names the first stage with its weights, scale and shift.
        latent_shape: (C, h, w).
        variants: pictures kept per face: the plain one and `variants - 1` augmented ones.
        augmentation: makes the other variants.
        seed: of the augmentation. Without other variants it changes nothing and counts as 0.
    """
    varied = variants > 1 and augmentation is not None
    return {
        "data_hash": data_hash,
        "split": split,
        "first_stage_hash": first_stage_hash,
        "latent_shape": [int(n) for n in latent_shape],
        "variants": variants if varied else 1,
        "augmentation": augmentation.settings if augmentation is not None and varied else None,
        "seed": seed if varied else 0,
    }


def build_latent_cache(
    folder: PreparedFolder,
    split: str,
    encode: Encode,
    out: str | Path,
    *,
    first_stage_hash: str,
    latent_shape: Sequence[int],
    variants: int = 1,
    augmentation: FaceAugmentation | None = None,
    seed: int = 0,
    batch_size: int = 256,
) -> LatentCache:
    """Encode a split into the folder `out`, unless the same cache is there already.

    An interrupted build goes on with the first shard that is missing; a stale or damaged cache in
    `out` is built anew, after a line that says in what.

    Args:
        folder: the prepared data.
        split: generator, judges or test.
        encode: see `Encode`.
        out: folder of the cache; it should hold nothing else.
        first_stage_hash, latent_shape, variants, augmentation, seed: see `cache_identity`.
        batch_size: images per call of `encode`.

    Raises:
        UserError: the split is empty, `out` is not writable, or latents are not finite.
    """
    out = make_folder(out)
    identity = cache_identity(
        folder.data_hash, split, first_stage_hash, latent_shape, variants, augmentation, seed
    )
    try:
        return LatentCache.open(out, identity)
    except UserError as error:
        if (out / "manifest.json").exists():
            tqdm.write(f"{error.where}: {error.what}; building it anew")
    building = out / "building.json"
    begun = building.is_file() and not (out / "manifest.json").exists()
    plan = {"schema": SCHEMA, "identity": identity}
    if not begun or read_json(building) != plan:
        shards.clear(out)
        write_json(building, plan)
    rows = folder.indices(split)
    with tqdm(total=len(rows), desc="latents", unit="img") as bar, ThreadPoolExecutor(4) as readers:

        def batch(positions: range) -> dict[str, np.ndarray]:
            """Latents (and logvars) float16 [B, V, C, h, w], and masks uint8 [B, V, S, S]."""
            images = list(readers.map(folder.image, rows[positions]))
            masks = list(readers.map(folder.mask, rows[positions]))
            plain = list(zip(images, masks, strict=True))
            columns = [plain]
            for variant in range(1, identity["variants"]):
                assert augmentation is not None  # else the identity has one variant
                keys = [(seed, "latents", variant, position) for position in positions]
                told = folder.attributes[rows[positions]]
                columns.append(
                    [augmentation(*f, a, k) for f, a, k in zip(plain, told, keys, strict=True)]
                )
            bar.update(len(positions))
            parts = [shards.encoded(encode, [i for i, _ in c], latent_shape) for c in columns]
            arrays = {kind: np.stack([part[kind] for part in parts], 1) for kind in parts[0]}
            return arrays | {"masks": np.stack([[m for _, m in c] for c in columns], 1)}

        for start in range(0, len(rows), SHARD_SIZE):
            end = min(start + SHARD_SIZE, len(rows))
            if shards.is_written(out, start // SHARD_SIZE):
                bar.update(end - start)
                continue
            batches = [
                batch(range(first, min(first + batch_size, end)))
                for first in range(start, end, batch_size)
            ]
            arrays = {kind: [b[kind] for b in batches] for kind in batches[0]}
            shards.write_shard(out, start // SHARD_SIZE, arrays)
    shards.write_array(out / "attributes.npy", folder.attributes[rows])
    files = {path.name: sha256(path) for path in sorted(out.glob("*.npy"))}
    counts = {"count": len(rows), "shard_size": SHARD_SIZE, "image_size": folder.image_size}
    manifest = {**plan, **counts, "files": files}
    write_json(out / "manifest.json", manifest)
    building.unlink()
    return LatentCache.open(out, identity)


class LatentCache(Dataset[dict[str, torch.Tensor]]):
    """The cache as a dataset; opened with `LatentCache.open`, it gives the latents' means.

    An item, by the key (epoch, position in the split), is a dict that the default collate of a
    `DataLoader` batches:

    - latents: float32 [C, h, w], normalised: the mean, or after `sampling` a sample
    - mask: uint8 [S, S]; 0..18, 255 = anything
    - attributes: int8 [40]; 1 present, 0 absent, -1 unspecified
    - index: int64 []; the position

    Which variant an item shows depends on the cache's seed, the epoch and the position alone.
    Shards are mapped read-only and opened again in every process.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self.seed: int = manifest["identity"]["seed"]
        self.variants: int = manifest["identity"]["variants"]
        self.attributes = np.load(path / "attributes.npy")
        self._sample_seed: int | None = None
        self._shards: list[dict[str, np.ndarray]] | None = None

    @classmethod
    def open(cls, path: str | Path, identity: Mapping[str, Any]) -> LatentCache:
        """Open a finished cache and check that it is intact and the one that is wanted.

        Args:
            path: folder of the cache.
            identity: what it should be, from `cache_identity`.

        Raises:
            UserError: there is no finished cache, it is stale (the message says in what), or a
                file is missing or damaged.
        """
        path = Path(path)
        if not (path / "manifest.json").is_file():
            raise UserError("no finished latent cache", path, "Build it by starting the training.")
        manifest = read_json(path / "manifest.json")
        schema = manifest.get("schema") if isinstance(manifest, dict) else None
        if schema != SCHEMA:
            what = f"not a latent cache of this version ({SCHEMA}, found {schema})"
            raise UserError(what, path, _BUILD_ANEW)
        stale = [why for key, why in _STALE.items() if manifest["identity"][key] != identity[key]]
        if stale:
            what = f"the latent cache is stale: made with {' and '.join(stale)}"
            raise UserError(what, path, _BUILD_ANEW)
        for name, expected in manifest["files"].items():
            if not (path / name).is_file() or sha256(path / name) != expected:
                raise UserError("is missing or damaged", path / name, _BUILD_ANEW)
        return cls(path, manifest)

    @property
    def has_logvars(self) -> bool:
        """Whether the first stage gives a distribution of latents."""
        return any(name.startswith("logvars") for name in self.manifest["files"])

    def sampling(self, seed: int) -> LatentCache:
        """The same cache, whose items from now on hold samples mean + exp(logvar / 2) * noise.

        The noise is keyed by (seed, epoch, position).

        Raises:
            ValueError: the first stage is deterministic.
        """
        if not self.has_logvars:
            raise ValueError("the cache holds no log variances to sample with")
        self._sample_seed = seed
        return self

    def __len__(self) -> int:
        return self.manifest["count"]

    def __getitem__(self, key: tuple[int, int]) -> dict[str, torch.Tensor]:
        return self.__getitems__([key])[0]

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> list[dict[str, torch.Tensor]]:
        """The items of a batch, gathered shard by shard."""
        positions = np.array([position for _, position in keys], np.int64)
        variants = np.array([self._variant(*key) for key in keys])
        mapped = self._mapped()
        latents = np.empty((len(keys), *mapped[0]["latents"].shape[2:]), np.float32)
        masks = np.empty((len(keys), *mapped[0]["masks"].shape[2:]), np.uint8)
        owners, offsets = np.divmod(positions, self.manifest["shard_size"])
        for shard in np.unique(owners):
            mine = owners == shard
            rows = offsets[mine], variants[mine]
            latents[mine] = mapped[shard]["latents"][rows]
            masks[mine] = mapped[shard]["masks"][rows]
            if self._sample_seed is not None:
                spread = np.exp(mapped[shard]["logvars"][rows].astype(np.float32) / 2)
                owned = [key for key, own in zip(keys, mine, strict=True) if own]
                noise = [self._noise(self._sample_seed, *key) for key in owned]
                latents[mine] += spread * np.stack(noise)
        columns = {
            "latents": torch.from_numpy(latents),
            "mask": torch.from_numpy(masks),
            "attributes": torch.from_numpy(self.attributes[positions]),
            "index": torch.from_numpy(positions),
        }
        return [{name: c[i] for name, c in columns.items()} for i in range(len(keys))]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_shards": None}  # a pickled memmap would carry its content along

    def _variant(self, epoch: int, position: int) -> int:
        if self.variants == 1:
            return 0
        return key_of(self.seed, "variant", int(epoch), int(position)) % self.variants

    def _noise(self, seed: int, epoch: int, position: int) -> np.ndarray:
        """Standard normal float32 [C, h, w]."""
        generator = numpy_generator(seed, "posterior", int(epoch), int(position))
        return generator.standard_normal(self.manifest["identity"]["latent_shape"], np.float32)

    def _mapped(self) -> list[dict[str, np.ndarray]]:
        if self._shards is None:
            count = -(-len(self) // self.manifest["shard_size"])
            self._shards = [shards.map_shard(self.path, shard) for shard in range(count)]
        return self._shards
