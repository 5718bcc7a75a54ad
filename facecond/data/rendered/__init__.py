"""Procedural faces: a picture, its 19-class mask and its attributes, all from one seed."""

from facecond.data.rendered.attributes import CLAIMED, UNCLAIMED
from facecond.data.rendered.factors import APPEARANCE_ATTRIBUTES, GEOMETRY_ATTRIBUTES
from facecond.data.rendered.scene import RenderedFace, render

__all__ = [
    "APPEARANCE_ATTRIBUTES",
    "CLAIMED",
    "GEOMETRY_ATTRIBUTES",
    "UNCLAIMED",
    "RenderedFace",
    "render",
]
