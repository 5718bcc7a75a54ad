"""What a distilled denoiser is told of its steps: features, and a network that heeds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facecond.diffusion.shortcut import STEP_COUNTS
from facecond.errors import UserError
from facecond.models.step_features import SHORTEST, step_features, width
from facecond.models.unet import FaceUNet

GUIDANCE = {"attributes": [1.0, 3.0], "mask": [1.0, 2.0]}
Make = Callable[..., FaceUNet]


def test_features_tell_every_number_apart() -> None:
    steps = torch.tensor([[1.0, 1, 1], [0.5, 1, 1], [1.0, 1.1, 1], [1.0, 1, 1.1], [0.25, 3, 2]])
    found = step_features(steps, GUIDANCE)
    assert found.shape == (5, width(GUIDANCE))
    assert torch.pdist(found).min() > 0.1
    assert 1 / max(STEP_COUNTS) == SHORTEST
    fixed = step_features(torch.tensor([[0.5, 1.5]]), {"mask": [1.5, 1.5]})
    assert fixed.isfinite().all()


def test_the_student_begins_as_its_teacher_and_is_then_told_apart(
    make_unet: Make, make_inputs: Callable, tmp_path: Path
) -> None:
    teacher, student = make_unet(), make_unet(guidance_ranges=dict(reversed(GUIDANCE.items())))
    left = student.load_state_dict(teacher.state_dict(), strict=False)
    assert left.missing_keys == ["time_embedding.cond_proj.weight"] and not left.unexpected_keys
    x_t, tokens = make_inputs()
    given = student.conditions(tokens)

    @torch.no_grad()
    def predict(unet: FaceUNet, step: torch.Tensor | None = None) -> torch.Tensor:
        return unet(x_t, 300, replace(given, step=step)).sample

    whole = torch.tensor([[1.0, 3.0, 2.0]]).expand(len(x_t), -1)
    assert torch.equal(predict(student, whole), predict(teacher))
    with torch.no_grad():
        student.time_embedding.cond_proj.weight.normal_(generator=torch.Generator().manual_seed(1))
    assert not torch.equal(predict(student, whole), predict(teacher))
    each = whole.clone()
    each[1:] = torch.tensor([0.125, 1.0, 1.0])
    mixed = predict(student, each)
    torch.testing.assert_close(mixed[:1], predict(student, whole)[:1])
    assert not torch.allclose(mixed[1:], predict(student, whole)[1:])
    student.save_pretrained(tmp_path / "unet")
    loaded = FaceUNet.from_pretrained(tmp_path / "unet").eval()
    assert torch.equal(predict(loaded, each), mixed)
    with pytest.raises(UserError, match="a distilled model knows whole steps alone"):
        predict(student)
