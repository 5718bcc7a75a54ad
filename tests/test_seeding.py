"""Index-keyed randomness: fixed by its keys and by nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecond.seeding import key_of, numpy_generator, torch_generator


def test_key_is_stable_across_versions():
    # Written down once. A change here changes every rendered face and every sample ever made.
    assert key_of(0, "augment", 3, 17) == 4102476922913471213
    draws = numpy_generator(0, "augment", 3, 17).integers(0, 1000, 4)
    assert draws.tolist() == [952, 85, 155, 899]


def test_keys_depend_on_every_part_on_order_and_on_type():
    keys = [
        (0,),
        (1,),
        ("0",),
        (0, 1),
        (1, 0),
        (0, 1, 0),
        ("a", "b"),
        ("b", "a"),
        ("ab",),
        ("a/str:b",),
        (),
    ]
    values = [key_of(*key) for key in keys]
    assert len(set(values)) == len(keys)
    assert all(0 <= value < 2**64 for value in values)


def test_generators_repeat_and_differ():
    first = numpy_generator(0, "x", 1).random(8)
    assert np.array_equal(first, numpy_generator(0, "x", 1).random(8))
    assert not np.isin(numpy_generator(0, "x", 2).random(8), first).any()
    assert not np.isin(numpy_generator(1, "x", 1).random(8), first).any()


def test_neighbouring_keys_are_independent():
    draws = np.stack([numpy_generator(0, "x", index).standard_normal(200) for index in range(50)])
    correlation = np.corrcoef(draws)[np.triu_indices(50, 1)]
    # 1225 pairs of independent rows of 200: standard deviation 1 / sqrt(200) = 0.071.
    assert abs(correlation).max() < 5 * 0.071
    assert abs(draws.mean()) < 5 / np.sqrt(draws.size)


def test_torch_generator():
    first = torch.randn(8, generator=torch_generator(0, "noise", 1))
    assert torch.equal(first, torch.randn(8, generator=torch_generator(0, "noise", 1)))
    assert not torch.equal(first, torch.randn(8, generator=torch_generator(0, "noise", 2)))


def test_whole_numbers_of_numpy_are_those_of_python():
    assert key_of(np.int64(3), "latents", np.uint8(2)) == key_of(3, "latents", 2)
    with pytest.raises(TypeError):
        key_of(1.5)
