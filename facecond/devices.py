"""What a device is good at, and what decides how it rounds."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from facecond.errors import UserError

if TYPE_CHECKING:
    import torch

SMALL_MAP = 32
"""Side of the maps from which on torch's group normalisation takes channels last in its stride."""


def has_fast_bf16(device: str) -> bool:
    """Whether a kind of device (`cuda`, `cpu`, ...) multiplies bfloat16 in hardware."""
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, test)() for test in tests if hasattr(torch.cpu, test))
    return False


def memory_format(device: str, side: int) -> torch.memory_format:
    """Layout in which a kind of device is fastest with maps of side x side.

    A processor multiplies channels-last maps faster, but its group normalisation in bfloat16 is ten
    times slower on them while they have fewer than 1,024 places.
    """
    import torch

    small = device == "cpu" and side < SMALL_MAP
    return torch.contiguous_format if small else torch.channels_last


def check_compiler(device: str, asked_by: str) -> None:
    """Make sure that `torch.compile` has what it needs on a kind of device, and keep it quiet.

    Args:
        asked_by: option or key, which an error names.

    Raises:
        UserError: no C++ compiler, for a processor.
    """
    # diffusers asks for torch's version in its forward pass.
    warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`")
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        fix = "Install g++, or name another in the environment variable CXX."
        raise UserError(f"there is no C++ compiler '{compiler}'", asked_by, fix)


@contextlib.contextmanager
def zero_denormals() -> Iterator[None]:
    """Count numbers below 1e-38 as zero, as GPUs do: the gradients of a softmax over far tokens are
    full of them, and each takes a processor a hundred times as long. Afterwards all is as before.

    Threads take the setting over when they are made: begin it before the first computation.
    """
    import torch

    before = sys.float_info.min / 2 == 0  # true where they count as zero already
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def machine(device: str) -> dict[str, str]:
    """What decides the order of sums on a device (`cuda:0`, `cpu`, ...), beside the versions of
    packages: the processor, its instructions, the build of torch."""
    import torch

    build = torch.version.cuda or torch.version.hip or "cpu"
    told = {"torch_build": f"{torch.__version__} {build}"}
    if device.startswith("cuda"):
        return told | {"processor": torch.cuda.get_device_name(device)}
    instructions = torch.backends.cpu.get_cpu_capability()
    if limit := os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA"):
        instructions += f", oneDNN up to {limit}"
    return told | {"processor": _processor(), "instructions": instructions}


@cache
def _processor() -> str:
    """Name of the processor; where the system does not tell it, its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
