"""A path of faces as a GIF that goes there and back, and as an MP4 where it can be encoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from facecond.figures import enlarge
from facecond.storage import atomic_file

FRAMES_PER_SECOND = 12
HOLD = 6
"""Frames that each end stays."""


def back_and_forth(frames: np.ndarray) -> np.ndarray:
    """Frames [n, S, S, 3] -> there and back, with a rest at both ends."""
    first, last = [frames[:1]] * HOLD, [frames[-1:]] * HOLD
    return np.concatenate([*first, frames, *last, frames[::-1]])


def write_gif(path: Path, frames: np.ndarray, scale: int) -> None:
    """Write frames uint8 [n, S, S, 3] as a GIF without end."""
    pictures = [enlarge(frame, scale).quantize(dither=Image.Dither.NONE) for frame in frames]
    with atomic_file(path) as temporary:
        pictures[0].save(
            temporary, "GIF", save_all=True, append_images=pictures[1:], loop=0,
            duration=1000 // FRAMES_PER_SECOND,
        )  # fmt: skip


def write_mp4(path: Path, frames: np.ndarray, scale: int) -> bool:
    """Write frames as an MP4; False where this OpenCV has no encoder."""
    import cv2

    side = frames.shape[1] * scale
    with atomic_file(path) as temporary:
        writer = cv2.VideoWriter(
            str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), FRAMES_PER_SECOND, (side, side)
        )
        there = writer.isOpened()
        for frame in frames if there else ():
            writer.write(cv2.cvtColor(np.asarray(enlarge(frame, scale)), cv2.COLOR_RGB2BGR))
        writer.release()
        if there and temporary.stat().st_size > 0:
            return True
    path.unlink(missing_ok=True)
    return False
