"""Which devices multiply bfloat16 in hardware, and what decides how they round."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from facecond.devices import check_compiler, has_fast_bf16, machine, memory_format, zero_denormals
from facecond.errors import UserError

CPU_FLAGS = Path("/proc/cpuinfo")


@pytest.mark.skipif(not CPU_FLAGS.is_file(), reason="the kernel lists the processor's features")
def test_cpu_is_fast_where_the_kernel_says_so() -> None:
    flags = set(CPU_FLAGS.read_text().split())
    assert has_fast_bf16("cpu") == bool(flags & {"avx512_bf16", "amx_tile"})


def test_cuda_needs_a_card() -> None:
    if not torch.cuda.is_available():
        assert not has_fast_bf16("cuda")
    else:
        assert has_fast_bf16("cuda") == (torch.cuda.get_device_capability() >= (8, 0))


def test_other_devices_are_not_fast() -> None:
    assert not has_fast_bf16("meta") and not has_fast_bf16("xla")


def test_a_machine_says_what_decides_its_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    told = machine("cpu")
    assert told["torch_build"].startswith(torch.__version__) and told["processor"]
    assert told["instructions"] == torch.backends.cpu.get_cpu_capability()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert machine("cpu")["instructions"].endswith("oneDNN up to AVX2")


def test_small_maps_of_processors_have_channels_first() -> None:
    assert memory_format("cpu", 16) == torch.contiguous_format
    assert memory_format("cpu", 32) == memory_format("cuda", 16) == torch.channels_last


def test_denormals_are_zero_also_in_threads(
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    asked = """
import contextlib, torch
from facecond.devices import zero_denormals

torch.set_num_threads(2)
with zero_denormals() if {flush} else contextlib.nullcontext():
    print(int((torch.full((1 << 20,), 2e-38) / 100 != 0).sum()))
"""
    counts = [
        int(
            python(
                "-c", asked.format(flush=flush), env=os.environ | {"OMP_NUM_THREADS": "2"}
            ).stdout
        )
        for flush in (False, True)
    ]
    assert counts == [1 << 20, 0]


def test_afterwards_denormals_count_as_before() -> None:
    with zero_denormals():
        with zero_denormals():
            assert not torch.full((1,), 2e-38) / 100
        assert not torch.full((1,), 2e-38) / 100
    assert torch.full((1,), 2e-38) / 100


def test_a_compiler_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    check_compiler("cuda", "--compile")
    with pytest.raises(UserError, match="no-such-compiler"):
        check_compiler("cpu", "--compile")
