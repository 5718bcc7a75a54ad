import os

import pytest

from facecond.data.parallel import ordered_map
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES, attribute_index

NAMES = list(ATTRIBUTES) * 3


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order_for_any_number_of_workers(workers):
    assert list(ordered_map(attribute_index, NAMES, workers, "x")) == list(range(40)) * 3
    assert list(ordered_map(attribute_index, [], workers, "x")) == []


def test_work_happens_in_other_processes():
    ask = ["__import__('os').getpid()"] * 100
    processes = set(ordered_map(eval, ask, 2, "x"))
    assert os.getpid() not in processes and len(processes) <= 2
    assert set(ordered_map(eval, ask, 1, "x")) == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_fault_in_order_is_raised_after_the_results_before_it(workers):
    names = [*NAMES[:50], "Smilling", *NAMES, "Yuong"]
    done = []
    with pytest.raises(UserError) as error:
        for index in ordered_map(attribute_index, names, workers, "x"):
            done.append(index)
    assert error.value.what == "unknown attribute 'Smilling'"
    assert (error.value.where, error.value.fix) == ("attributes", "Did you mean 'Smiling'?")
    assert done == [index % 40 for index in range(50)]
