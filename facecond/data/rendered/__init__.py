"""Procedural faces: a picture, its 19-class mask and its attributes, all from one seed."""

from facecond.data.rendered.attributes import CLAIMED, UNCLAIMED
from facecond.data.rendered.scene import RenderedFace, render

__all__ = ["CLAIMED", "UNCLAIMED", "RenderedFace", "render"]
