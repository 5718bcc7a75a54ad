"""A path of faces as files: a GIF, there and back, that says that it is synthetic, and an MP4."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from facecond.figures import enlarge
from facecond.storage import atomic_file

FRAMES_PER_SECOND = 12
HOLD = 6
"""Frames that each end stays."""
CODECS = ("avc1", "vp09", "mp4v")
"""H.264, VP9, MPEG-4 Part 2, as an MP4 names them: the first that this OpenCV encodes is taken.
Browsers play the first two."""
UNPLAYED = "mp4v"


def back_and_forth(frames: np.ndarray) -> np.ndarray:
    """Frames [n, S, S, 3] -> there and back, with a rest at both ends."""
    first, last = [frames[:1]] * HOLD, [frames[-1:]] * HOLD
    return np.concatenate([*first, frames, *last, frames[::-1]])


def write_gif(path: Path, frames: np.ndarray, scale: int, comment: str) -> None:
    """Write frames uint8 [n, S, S, 3] as a GIF without end."""
    pictures = [enlarge(frame, scale).quantize(dither=Image.Dither.NONE) for frame in frames]
    with atomic_file(path) as temporary:
        pictures[0].save(
            temporary, "GIF", save_all=True, append_images=pictures[1:], loop=0,
            duration=1000 // FRAMES_PER_SECOND, comment=comment,
        )  # fmt: skip


def write_mp4(path: Path, frames: np.ndarray, scale: int) -> str | None:
    """Write frames uint8 [n, S, S, 3] as an MP4; the name of the codec, or None where this OpenCV
    has no encoder: then there is no file."""
    pictures = [np.asarray(enlarge(frame, scale)) for frame in frames]
    with atomic_file(path) as temporary:
        for codec in CODECS:
            if _encoded(temporary, codec, pictures):
                return codec
    path.unlink(missing_ok=True)  # it is empty
    return None


def _encoded(path: Path, codec: str, pictures: Sequence[np.ndarray]) -> bool:
    import cv2

    height, width = pictures[0].shape[:2]
    kind = cv2.VideoWriter.fourcc(*codec)
    with _quiet():
        writer = cv2.VideoWriter(str(path), kind, FRAMES_PER_SECOND, (width, height))
    there = writer.isOpened()
    for picture in pictures if there else ():
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    writer.release()
    return there and path.stat().st_size > 0


@contextmanager
def _quiet() -> Iterator[None]:
    """FFmpeg says which encoders it lacks on the standard error of the process, past Python's."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
