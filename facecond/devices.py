"""What a device is good at."""

from __future__ import annotations


def has_fast_bf16(device: str) -> bool:
    """Whether a kind of device (`cuda`, `cpu`, ...) multiplies bfloat16 in hardware."""
    import torch

    if device == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, test)() for test in tests if hasattr(torch.cpu, test))
    return False
