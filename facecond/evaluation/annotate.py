"""Judges -> the labels that a prepared folder lacks, each with the probability that it is right.

A judge is checked on the truth that the folder holds before it labels anything: attributes and
mask classes that it reads no better than a stated bound stay open, and so do attributes of which it
is sure of one value only.
"""

from __future__ import annotations

from typing import Any

from facecond.data.predicted import read_predicted, write_predicted
from facecond.data.prepared import PreparedFolder
from facecond.evaluation.judges import Judge
from facecond.evaluation.label_attributes import label_attributes
from facecond.evaluation.label_masks import label_masks
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.provenance import commit, versions
from facecond.storage import read_json

MIN_CONFIDENCE = 0.8
"""Least confidence of an attribute that is filled in.

A wrong label teaches the denoiser to ignore the condition; an open one teaches nothing, and open
attributes are a normal state of training. At 0.8 a value is wrong at most one time in five.
"""


def label_folder(
    folder: PreparedFolder,
    parser: Judge[FaceParser] | None = None,
    classifier: Judge[AttributeClassifier] | None = None,
    *,
    min_confidence: float = MIN_CONFIDENCE,
    progress: bool = True,
) -> dict[str, Any]:
    """Fill what is missing in a prepared folder; writes its `predicted/`.

    Args:
        folder: opened with the true labels alone.
        parser: a `FaceParser`, for faces without mask; without one, earlier predicted masks stay.
        classifier: an `AttributeClassifier`, for attributes that are unspecified; without one,
            earlier predicted attributes stay.
        min_confidence: attributes less certain than this stay unspecified.

    Returns:
        The manifest written, without its list of files.

    Raises:
        UserError: a judge reads nothing of these faces well enough; then nothing is written.
    """
    if folder.attribute_predicted.any() or folder.mask_predicted.any():
        raise ValueError("open the folder with labels='true'")
    earlier = None if parser and classifier else read_predicted(folder)
    with write_predicted(folder) as writer:
        writer.details |= {"commit": commit(), "versions": versions()}
        if classifier:
            writer.details["attributes"] = label_attributes(
                folder, classifier, writer, min_confidence, progress
            )
        elif earlier and "attributes" in earlier.manifest:
            writer.set_attributes(earlier.attributes, earlier.confidence)
            writer.details["attributes"] = earlier.manifest["attributes"]
        if parser:
            writer.details["masks"] = label_masks(folder, parser, writer, progress)
        elif earlier and "masks" in earlier.manifest:
            writer.keep_masks(earlier)
            writer.details["masks"] = earlier.manifest["masks"]
    written = read_json(folder.root / "predicted" / "manifest.json")
    return {key: value for key, value in written.items() if key != "files"}
