from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from facecond.data.augmentation import FaceAugmentation
from facecond.data.dataset import FaceDataset, IndexKeyedSampler, collate
from facecond.data.prepared import PreparedFolder
from facecond.data.writing import PreparedWriter
from facecond.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("data") / "prepared"
    random = np.random.default_rng(0)
    with PreparedWriter(out, 16, "rendered") as writer:
        for index in range(12):
            image = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            mask = random.integers(0, 19, (16, 16), dtype=np.uint8)
            attributes = random.integers(-1, 2, 40).astype(np.int8)
            writer.add(f"n{index}", image, mask, attributes, ("generator", "judges")[index % 2])
    return PreparedFolder.open(out)


def _stream(count, **options):
    batches = islice(iter(IndexKeyedSampler(**({"seed": 0} | options))), count)
    return [key for batch in batches for key in batch]


def test_each_epoch_shows_every_sample_once_in_an_order_of_its_own():
    keys = _stream(21, num_samples=7, batch_size=3)
    epochs = [keys[7 * epoch : 7 * epoch + 7] for epoch in range(9)]
    for epoch, part in enumerate(epochs):
        assert {e for e, _ in part} == {epoch}
        assert sorted(index for _, index in part) == list(range(7))
    assert len({tuple(index for _, index in part) for part in epochs}) > 6
    assert keys != _stream(21, num_samples=7, batch_size=3, seed=1)


def test_order_is_the_same_for_any_batch_size_and_resumes_anywhere():
    whole = _stream(60, num_samples=7, batch_size=1)
    assert _stream(12, num_samples=7, batch_size=5) == whole
    assert _stream(4, num_samples=7, batch_size=15) == whole
    for consumed in (0, 5, 7, 13):
        assert _stream(8, num_samples=7, batch_size=5, consumed=consumed) == whole[consumed:][:40]


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_global_order(world_size):
    whole = _stream(10, num_samples=7, batch_size=6)
    parts = [
        _stream(10, num_samples=7, batch_size=6 // world_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    size = 6 // world_size
    merged = [
        key
        for i in range(0, 60 // world_size, size)
        for part in parts
        for key in part[i : i + size]
    ]
    assert merged == whole


@pytest.mark.parametrize(
    "wrong", [{"num_samples": 0}, {"batch_size": 0}, {"consumed": -1}, {"rank": 1}]
)
def test_sampler_arguments_out_of_range(wrong):
    with pytest.raises(ValueError, match="out of range"):
        IndexKeyedSampler(**({"num_samples": 7, "batch_size": 2, "seed": 0} | wrong))


def test_a_batch_holds_what_the_folder_holds(folder):
    dataset = FaceDataset(folder, "judges")
    batch = collate([dataset[(3, 4)], dataset[0]])
    assert len(dataset) == 6 and len(batch) == 2 and batch.index.tolist() == [4, 0]
    for row, at in ((9, 0), (1, 1)):
        np.testing.assert_array_equal(batch.image[at].permute(1, 2, 0).numpy(), folder.image(row))
        np.testing.assert_array_equal(batch.mask[at].numpy(), folder.mask(row))
        np.testing.assert_array_equal(batch.attributes[at].numpy(), folder.attributes[row])
    dtypes = [batch.image.dtype, batch.mask.dtype, batch.attributes.dtype, batch.index.dtype]
    assert dtypes == [torch.uint8, torch.uint8, torch.int8, torch.int64]
    assert batch.image.shape == (2, 3, 16, 16) and batch.image.is_contiguous()
    assert torch.equal(batch.to("cpu").mask, batch.mask)


def test_workers_and_resuming_change_nothing(folder):
    def load(workers, consumed, steps):
        dataset = FaceDataset(folder, "generator", FaceAugmentation(0.5, 0.05, 0.08), seed=4)
        sampler = IndexKeyedSampler(len(dataset), 4, seed=4, consumed=consumed)
        loader = DataLoader(dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers)
        return list(islice(iter(loader), steps))

    expected = load(0, 0, 5)
    for batches, start in ((load(2, 0, 5), 0), (load(0, 12, 2), 3), (load(2, 12, 2), 3)):
        for got, want in zip(batches, expected[start:], strict=True):
            assert torch.equal(got.image, want.image) and torch.equal(got.mask, want.mask)
            assert torch.equal(got.index, want.index)


def test_augmentation_varies_by_epoch_and_belongs_to_the_seed(folder):
    dataset, other = (FaceDataset(folder, "generator", FaceAugmentation(), s) for s in (0, 1))
    flips = [
        [torch.equal(d[(e, 2)].mask, d[(0, 2)].mask) for e in range(24)] for d in (dataset, other)
    ]
    assert True in flips[0] and False in flips[0] and flips[0] != flips[1]


def test_empty_split(folder):
    with pytest.raises(UserError, match="'test' is empty"):
        FaceDataset(folder, "test")
