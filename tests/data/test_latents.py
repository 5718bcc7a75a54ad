import pickle
from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from facecond.data import latents as module
from facecond.data.augmentation import FaceAugmentation
from facecond.data.dataset import IndexKeyedSampler
from facecond.data.latents import LatentCache, build_latent_cache, cache_identity
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError
from facecond.labels import mirror_mask
from facecond.storage import read_json, write_json

COUNT, SHAPE = 23, (4, 8, 8)
LOGVAR = (-6.0, -2.0, 0.0, 1.0)


class Encoder:
    """A first stage of known result: means of 2x2 pixels, and the mean of all channels.

    With `logvar` (one per channel) its latents have that distribution around these means.
    """

    def __init__(self, fail_after=10**9, logvar=None):
        self.images = 0
        self.fail_after, self.logvar = fail_after, logvar

    def __call__(self, images):
        self.images += len(images)
        if self.images > self.fail_after:
            raise KeyboardInterrupt
        means = torch.nn.functional.avg_pool2d(images.float() / 255, 2)
        latents = torch.cat([means, means.mean(1, keepdim=True)], 1)
        if self.logvar is None:
            return latents, None
        return latents, torch.tensor(self.logvar).view(1, -1, 1, 1).expand_as(latents)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "prepared"
    random = np.random.default_rng(0)
    with PreparedWriter(out, 16, "rendered") as writer:
        for index in range(2 * COUNT):
            image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            mask = random.integers(0, 19, (16, 16), dtype=np.uint8)
            attributes = random.integers(-1, 2, 40).astype(np.int8)
            writer.add(f"n{index}", image, mask, attributes, ("judges", "generator")[index % 2])
    return PreparedFolder.open(out)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(module, "SHARD_SIZE", 10)


def _build(folder, out, encode=None, **options):
    options = {"first_stage_hash": "stage", "latent_shape": SHAPE, "batch_size": 4} | options
    return build_latent_cache(folder, "generator", encode or Encoder(), out, **options)


def _expected(image):
    return Encoder()(torch.from_numpy(image).permute(2, 0, 1)[None])[0][0].half().float()


def test_the_cache_holds_the_split_in_its_order(folder, tmp_path):
    cache = _build(folder, tmp_path)
    rows = folder.indices("generator")
    assert len(cache) == COUNT
    for position in range(COUNT):
        item = cache[(5, position)]
        assert torch.equal(item["latents"], _expected(folder.image(rows[position])))
        np.testing.assert_array_equal(item["mask"].numpy(), folder.mask(rows[position]))
        np.testing.assert_array_equal(item["attributes"].numpy(), folder.attributes[rows[position]])
        assert item["index"] == position
    dtypes = [item[name].dtype for name in ("latents", "mask", "attributes", "index")]
    assert dtypes == [torch.float32, torch.uint8, torch.int8, torch.int64]
    files = sorted(path.name for path in tmp_path.iterdir())
    shards = [f"{kind}-0000{i}.npy" for kind in ("latents", "masks") for i in range(3)]
    assert files == sorted(["attributes.npy", "manifest.json", *shards])


@pytest.mark.parametrize("sampled", [False, True])
def test_batches_equal_items_for_any_number_of_workers(folder, tmp_path, sampled):
    encode = Encoder(logvar=LOGVAR)
    cache = _build(folder, tmp_path, encode, variants=3, augmentation=FaceAugmentation(0.5, 0.05))
    if sampled:
        cache = cache.sampling(seed=1)
    sampler = IndexKeyedSampler(COUNT, 9, seed=0)
    keys = list(islice(iter(sampler), 6))
    for workers in (0, 2):
        loader = DataLoader(cache, batch_sampler=sampler, num_workers=workers)
        for batch_keys, batch in zip(keys, islice(iter(loader), 6), strict=True):
            for at, key in enumerate(batch_keys):
                item = cache[key]
                assert all(torch.equal(batch[name][at], item[name]) for name in item)


def test_variants_are_augmented_with_their_masks_and_the_first_is_plain(folder, tmp_path):
    augmentation = FaceAugmentation(0.5, 0.05)
    cache = _build(folder, tmp_path, variants=3, augmentation=augmentation, seed=7)
    rows = folder.indices("generator")
    stored = [np.load(tmp_path / f"latents-0000{i}.npy") for i in range(3)]
    latents = torch.from_numpy(np.concatenate(stored)).float()
    masks = np.concatenate([np.load(tmp_path / f"masks-0000{i}.npy") for i in range(3)])
    assert latents.shape == (COUNT, 3, *SHAPE) and masks.shape == (COUNT, 3, 16, 16)
    for position, row in enumerate(rows):
        face = folder.image(row), folder.mask(row)
        for variant in range(3):
            if variant:
                key = (7, "latents", variant, position)
                image, mask = augmentation(*face, folder.attributes[row], key)
            else:
                image, mask = face
            assert torch.equal(latents[position, variant], _expected(image))
            np.testing.assert_array_equal(masks[position, variant], mask)

    def variant_of(epoch, position):
        same = [torch.equal(cache[(epoch, position)]["latents"], v) for v in latents[position]]
        return same.index(True)

    seen = [variant_of(epoch, position) for epoch in range(8) for position in range(COUNT)]
    assert min(seen.count(variant) for variant in range(3)) > len(seen) // 5
    assert seen == [variant_of(epoch, position) for epoch in range(8) for position in range(COUNT)]


def test_samples_have_the_mean_and_the_variance_of_their_distribution(folder, tmp_path):
    cache = _build(folder, tmp_path, Encoder(logvar=LOGVAR))
    stored = [np.load(tmp_path / f"logvars-0000{i}.npy") for i in range(3)]
    expected = np.broadcast_to(np.float16(LOGVAR)[:, None, None], (COUNT, 1, *SHAPE))
    np.testing.assert_array_equal(np.concatenate(stored), expected)

    means = torch.stack([cache[0, i]["latents"] for i in range(COUNT)])
    sampled = cache.sampling(seed=5)
    epochs = [[sampled[epoch, i]["latents"] for i in range(COUNT)] for epoch in range(20)]
    noise = torch.stack([torch.stack(items) for items in epochs]) - means  # [20, N, C, h, w]
    noise = noise / (torch.tensor(LOGVAR) / 2).exp().view(-1, 1, 1)
    count = noise[:, :, 0].numel()
    assert noise.mean((0, 1, 3, 4)).abs().max() < 5 / count**0.5
    assert (noise.var((0, 1, 3, 4)) - 1).abs().max() < 5 * (2 / count) ** 0.5
    # Every epoch and every face has noise of its own.
    flat = noise.flatten(2).flatten(0, 1)[:200]
    likeness = torch.corrcoef(flat) - torch.eye(200)
    assert likeness.abs().max() < 6 / flat.shape[1] ** 0.5


def test_samples_are_named_by_seed_epoch_and_position(folder, tmp_path):
    encode = Encoder(logvar=LOGVAR)
    cache = _build(folder, tmp_path, encode).sampling(seed=5)
    first = cache[3, 7]["latents"]
    together = cache.__getitems__([(3, 21), (2, 7), (3, 7)])[2]["latents"]
    again = _build(folder, tmp_path, Encoder()).sampling(seed=5)
    assert torch.equal(first, together) and torch.equal(first, again[3, 7]["latents"])
    assert torch.equal(first, pickle.loads(pickle.dumps(cache))[3, 7]["latents"])
    others = [cache[4, 7], cache[3, 8], _build(folder, tmp_path).sampling(seed=6)[3, 7]]
    assert not any(torch.equal(first, other["latents"]) for other in others)
    # The same cache without samples gives the mean.
    mean = _build(folder, tmp_path)[3, 7]["latents"]
    assert torch.equal(mean, _expected(folder.image(folder.indices("generator")[7])))


def test_there_is_nothing_to_sample_of_a_deterministic_first_stage(folder, tmp_path):
    cache = _build(folder, tmp_path)
    assert not list(tmp_path.glob("logvars*"))
    with pytest.raises(ValueError, match="no log variances"):
        cache.sampling(seed=0)


def test_a_certain_flip_makes_the_second_variant_the_mirror(folder, tmp_path):
    cache = _build(folder, tmp_path, variants=2, augmentation=FaceAugmentation(flip=1.0))
    for position, row in enumerate(folder.indices("generator")):
        plain, mirror = (
            np.load(tmp_path / f"{kind}-{position // 10:05d}.npy")[position % 10]
            for kind in ("latents", "masks")
        )
        assert torch.equal(torch.from_numpy(plain[0]).float(), _expected(folder.image(row)))
        mirrored = _expected(np.ascontiguousarray(folder.image(row)[:, ::-1]))
        assert torch.equal(torch.from_numpy(plain[1]).float(), mirrored)
        # This encoder knows no left and right, so the mirror's latents are the latents' mirror.
        np.testing.assert_array_equal(plain[1], plain[0][:, :, ::-1])
        np.testing.assert_array_equal(mirror[0], folder.mask(row))
        np.testing.assert_array_equal(mirror[1], mirror_mask(folder.mask(row)))
    seen = [
        torch.equal(cache[0, i]["latents"], _expected(folder.image(row)))
        for i, row in enumerate(folder.indices("generator"))
    ]
    assert 0 < sum(seen) < COUNT  # an epoch shows some faces plain, some mirrored


def test_a_cache_of_an_earlier_version_is_built_anew_with_a_word(folder, tmp_path, capsys):
    cache = _build(folder, tmp_path)
    old = cache.manifest | {"schema": "facecond.latents/1"}
    write_json(tmp_path / "manifest.json", old)
    with pytest.raises(UserError, match=r"found facecond\.latents/1"):
        LatentCache.open(tmp_path, old["identity"])
    encoder = Encoder(logvar=LOGVAR)
    assert _build(folder, tmp_path, encoder).has_logvars
    assert encoder.images == COUNT
    printed = capsys.readouterr().out
    assert "not a latent cache of this version" in printed and "building it anew" in printed


def test_half_a_cache_of_an_earlier_version_is_not_gone_on_with(folder, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _build(folder, tmp_path, Encoder(fail_after=15))
    identity = read_json(tmp_path / "building.json")["identity"]
    write_json(tmp_path / "building.json", identity)  # as version 1 wrote it
    encoder = Encoder(logvar=LOGVAR)
    _build(folder, tmp_path, encoder)
    assert encoder.images == COUNT and len(list(tmp_path.glob("logvars*"))) == 3


def test_a_matching_cache_is_reused(folder, tmp_path, capsys):
    _build(folder, tmp_path)
    idle = Encoder()
    _build(folder, tmp_path, idle)
    _build(folder, tmp_path, idle, seed=99)  # nothing is drawn without other variants
    assert idle.images == 0
    assert "anew" not in capsys.readouterr().out
    _build(folder, tmp_path, idle, first_stage_hash="retrained")
    assert idle.images == COUNT
    assert "made with another first stage; building it anew" in capsys.readouterr().out


def test_an_interrupted_build_goes_on_with_the_missing_shards(folder, tmp_path):
    whole = _build(folder, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _build(folder, tmp_path / "part", Encoder(fail_after=15))
    with pytest.raises(UserError, match="no finished latent cache"):
        LatentCache.open(tmp_path / "part", whole.manifest["identity"])
    second = Encoder()
    resumed = _build(folder, tmp_path / "part", second)
    assert second.images == COUNT - 10
    assert resumed.manifest == whole.manifest

    with pytest.raises(KeyboardInterrupt):
        _build(folder, tmp_path / "other", Encoder(fail_after=15))
    third = Encoder()
    _build(folder, tmp_path / "other", third, first_stage_hash="retrained")
    assert third.images == COUNT  # shards of another first stage are not used


def _identity(folder, **changes):
    keys = {
        "data_hash": folder.data_hash,
        "split": "generator",
        "first_stage_hash": "stage",
        "latent_shape": SHAPE,
        "variants": 2,
        "augmentation": FaceAugmentation(0.5),
        "seed": 1,
    }
    return cache_identity(**(keys | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_hash": "x"}, "made with another data set"),
        ({"split": "test"}, "made with another split"),
        ({"first_stage_hash": "x"}, "made with another first stage"),
        ({"latent_shape": (4, 4, 4)}, "made with latents of another shape"),
        ({"variants": 3}, "made with another number of variants"),
        ({"augmentation": FaceAugmentation(0.4)}, "made with other augmentation"),
        ({"seed": 2}, "made with another seed"),
        ({"data_hash": "x", "seed": 2}, "made with another data set and another seed"),
    ],
)
def test_a_stale_cache_says_in_what(folder, tmp_path, changes, message):
    _build(folder, tmp_path, variants=2, augmentation=FaceAugmentation(0.5), seed=1)
    LatentCache.open(tmp_path, _identity(folder))
    with pytest.raises(UserError, match=message):
        LatentCache.open(tmp_path, _identity(folder, **changes))


def test_damage_is_found_and_repaired_by_building_anew(folder, tmp_path):
    identity = _build(folder, tmp_path).manifest["identity"]
    content = bytearray((tmp_path / "latents-00001.npy").read_bytes())
    content[-5] ^= 1
    (tmp_path / "latents-00001.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"latents-00001\.npy: is missing or damaged"):
        LatentCache.open(tmp_path, identity)
    encoder = Encoder()
    _build(folder, tmp_path, encoder)
    assert encoder.images == COUNT
    (tmp_path / "masks-00000.npy").unlink()
    with pytest.raises(UserError, match=r"masks-00000\.npy: is missing"):
        LatentCache.open(tmp_path, identity)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="not a latent cache"):
        LatentCache.open(tmp_path, identity)


@pytest.mark.parametrize("value", [float("nan"), 1e6])
def test_latents_that_are_not_finite(folder, tmp_path, value):
    def encode(images):
        latents, _ = Encoder()(images)
        latents[0, 0, 0, 0] = value
        return latents, None

    with pytest.raises(UserError, match="not finite"):
        _build(folder, tmp_path, encode)


def test_a_wrong_shape_is_a_fault_of_the_caller(folder, tmp_path):
    with pytest.raises(ValueError, match=r"encode gives \[4, 8, 8\], not \[4, 4, 4\]"):
        _build(folder, tmp_path, latent_shape=(4, 4, 4))


def test_a_pickled_cache_carries_no_latents(folder, tmp_path):
    cache = _build(folder, tmp_path)
    item = cache[(0, 3)]
    pickled = pickle.dumps(cache)
    assert len(pickled) < (tmp_path / "masks-00000.npy").stat().st_size
    assert torch.equal(pickle.loads(pickled)[(0, 3)]["latents"], item["latents"])
