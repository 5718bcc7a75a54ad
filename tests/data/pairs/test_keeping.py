import numpy as np

from facecond.data.pairs.keeping import KeptPairs


def offer(kept: KeptPairs, found: np.ndarray, seed: int = 0, size: int = 7) -> np.ndarray:
    """Offer bool [T, R] in blocks; returns the priorities."""
    priority = np.random.default_rng(seed).random(found.shape, np.float32)
    targets, references = np.arange(found.shape[0]), np.arange(found.shape[1])
    for start in range(0, found.shape[1], size):
        part = slice(start, start + size)
        kept.add(targets, references[part], found[:, part], priority[:, part])
    return priority


def test_everything_is_kept_below_the_limit():
    found = np.random.default_rng(1).random((20, 20)) < 0.3
    kept = KeptPairs(20, 1000)
    offer(kept, found)
    rows = kept.rows()
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows[:, [1, 0]], np.argwhere(found))


def test_no_target_dominates_and_the_lowest_priorities_are_kept():
    found = np.zeros((40, 40), bool)
    found[0] = True  # one face that pairs with everybody, and 39 with three others each
    found[1:, 10:13] = True
    kept = KeptPairs(40, 100)
    priority = offer(kept, found)
    rows = kept.rows()
    assert len(rows) == 100
    sizes = np.bincount(rows[:, 1], minlength=40)
    assert sizes.min() >= 2 and sizes.max() <= 3  # 40 targets share 100 rows evenly
    for target in range(40):
        mine = np.where(found[target], priority[target], np.inf)
        lowest = set(np.argsort(mine)[: sizes[target]].tolist())
        assert set(rows[rows[:, 1] == target, 0].tolist()) == lowest


def test_what_few_references_leave_goes_to_targets_with_many():
    found = np.zeros((40, 40), bool)
    found[:4] = True
    kept = KeptPairs(40, 100)
    offer(kept, found)
    assert np.bincount(kept.rows()[:, 1]).tolist() == [25] * 4


def test_nobody_and_nothing():
    assert KeptPairs(0, 5).rows().shape == (0, 2)
    assert KeptPairs(3, 5).rows().shape == (0, 2)
