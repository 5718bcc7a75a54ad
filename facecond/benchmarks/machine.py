"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def processor() -> str:
    """Name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Processor, cores, memory, system, and the load that others put on it, as JSON values."""
    found: dict[str, Any] = {
        "processor": processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.release()}",
    }
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        found["memory_gib"] = round(pages / 2**30, 1)
    if hasattr(os, "getloadavg"):
        found["load"] = [round(each, 2) for each in os.getloadavg()]
    return found


def device_name(cuda: bool) -> str:
    """How tables call the device: `AMD EPYC 9R45 (2 cores)`, `NVIDIA H100 80GB HBM3`."""
    if cuda:
        import torch

        return torch.cuda.get_device_name()
    return f"{processor()} ({cores()} cores)"
