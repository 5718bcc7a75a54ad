"""A face parser of Hugging Face transformers: a Segformer whose class names are CelebAMask-HQ's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facecond.errors import UserError, reason
from facecond.models.judges.public import PublicParser, check_classes


class _Logits(nn.Module):
    """A transformers model as a function from pictures to logits."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(pixel_values=images).logits  # [B, classes, H/4, W/4]


def load_segformer(folder: Path, config: dict[str, Any]) -> PublicParser:
    """Read a `SegformerForSemanticSegmentation` folder, e.g. jonathandinu/face-parsing.

    Its pictures are normalised as ImageNet's, as its image processor does; only safetensors are
    read, and nothing is downloaded.

    Args:
        folder: config.json and model.safetensors.
        config: the content of config.json; `id2label` says which class each logit stands for.

    Raises:
        UserError: transformers is not installed, a class of ours has no logit, or the weights
            cannot be read or do not fit.
    """
    place = folder / "config.json"
    classes = _class_names(config, place)
    try:
        from transformers import SegformerForSemanticSegmentation
    except ImportError:
        fix = "Install it: pip install 'facecond[judges]'."
        raise UserError("this parser needs the transformers package", folder, fix) from None
    try:
        with torch.random.fork_rng(devices=[]):
            model, report = SegformerForSemanticSegmentation.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:  # transformers raises many kinds
        fix = "Download the whole folder again (config.json, model.safetensors)."
        raise UserError(f"its weights cannot be read ({reason(error)})", folder, fix) from None
    lost = sorted(report["missing_keys"]) + [str(key) for key in report["mismatched_keys"]]
    if lost:
        fix = "Download the folder again."
        raise UserError(f"its weights lack '{lost[0]}' of the right shape", folder, fix)
    return PublicParser(_Logits(model), classes, "segformer").eval().requires_grad_(False)


def _class_names(config: dict[str, Any], place: Path) -> list[str]:
    """Names by logit; some folders were converted from files and say `skin.png`."""
    table = config.get("id2label")
    if not isinstance(table, dict) or set(table) != {str(i) for i in range(len(table))}:
        fix = "Give a parser whose config names its classes from 0 up."
        raise UserError("'id2label' is missing or has gaps", place, fix)
    classes = [str(table[str(i)]).removesuffix(".png") for i in range(len(table))]
    check_classes(classes, place)
    return classes
