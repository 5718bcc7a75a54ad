"""Which devices multiply bfloat16 in hardware."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from facecond.devices import has_fast_bf16

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
