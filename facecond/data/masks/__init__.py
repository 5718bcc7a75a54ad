"""Label masks to start from, to change and to keep: templates, random ones, edits, PNG files."""

from facecond.data.masks.edits import CLASS_NAMES, class_of, open_classes, replace_classes
from facecond.data.masks.files import mask_png, palette_picture, read_mask
from facecond.data.masks.templates import (
    TEMPLATES,
    Template,
    random_face,
    random_mask,
    template_mask,
)

__all__ = [
    "CLASS_NAMES",
    "TEMPLATES",
    "Template",
    "class_of",
    "mask_png",
    "open_classes",
    "palette_picture",
    "random_face",
    "random_mask",
    "read_mask",
    "replace_classes",
    "template_mask",
]
