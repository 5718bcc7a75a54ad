"""The judges: networks that read masks and attributes from a picture, to score what is generated.

`FaceParser` and `AttributeClassifier` are trained by `facecond train judge` on a backbone of
one's choice; `load_parser` also reads well-known public parsers.
"""

from facecond.models.judges.backbones import BACKBONES, load_backbone
from facecond.models.judges.loading import load_classifier, load_parser, weights_file
from facecond.models.judges.networks import SMALL, AttributeClassifier, FaceParser
from facecond.models.judges.public import PublicParser

__all__ = [
    "BACKBONES",
    "SMALL",
    "AttributeClassifier",
    "FaceParser",
    "PublicParser",
    "load_backbone",
    "load_classifier",
    "load_parser",
    "weights_file",
]
