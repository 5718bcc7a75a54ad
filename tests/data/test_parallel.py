import os
import subprocess
import sys

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


def test_the_bar_begins_at_what_is_done_already(capsys):
    assert len(list(ordered_map(attribute_index, NAMES, 1, "x", done=80))) == 120
    assert "200/200" in capsys.readouterr().err


SLEEPERS = """
from facecond.data.parallel import ordered_map

if __name__ == "__main__":
    report = "(os := __import__('os')).write(1, b'%9d ' % os.getpid())"
    report += " and __import__('time').sleep(600)"
    list(ordered_map(eval, [report] * 64, 2, "x"))
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    (tmp_path / "sleepers.py").write_text(SLEEPERS)
    command = [sys.executable, tmp_path / "sleepers.py"]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert parent.stdout is not None
    try:
        workers = [int(word) for word in parent.stdout.read(20).split()]
        assert len({*workers, parent.pid}) == 3
    finally:
        parent.kill()
    # The pipe closes when the last process that could write to it has ended.
    assert parent.communicate(timeout=60)[0] == ""
