"""face-parsing.PyTorch's BiSeNet: the names and shapes of its state dict, written out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from facecond.errors import UserError
from facecond.labels import MASK_CLASSES
from facecond.models.judges import load_parser

Shapes = dict[str, tuple[int, ...]]
BISENET = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip
"""Its classes, in the order of its logits."""


def norm(name: str, channels: int) -> Shapes:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (channels,) for part in vectors} | {f"{name}.num_batches_tracked": ()}


def block(name: str, channels_in: int, channels_out: int, kernel: int) -> Shapes:
    """ConvBNReLU."""
    weight = {f"{name}.conv.weight": (channels_out, channels_in, kernel, kernel)}
    return weight | norm(f"{name}.bn", channels_out)


def resnet(name: str) -> Shapes:
    """ResNet-18 without its classifier: four layers of two blocks of two 3x3 convolutions."""
    shapes: Shapes = {f"{name}.conv1.weight": (64, 3, 7, 7)} | norm(f"{name}.bn1", 64)
    before = 64
    for layer, channels in enumerate((64, 128, 256, 512), 1):
        for index in range(2):
            place = f"{name}.layer{layer}.{index}"
            width = before if index == 0 else channels
            shapes |= {f"{place}.conv1.weight": (channels, width, 3, 3)}
            shapes |= norm(f"{place}.bn1", channels)
            shapes |= {f"{place}.conv2.weight": (channels, channels, 3, 3)}
            shapes |= norm(f"{place}.bn2", channels)
            if index == 0 and layer > 1:
                shapes |= {f"{place}.downsample.0.weight": (channels, width, 1, 1)}
                shapes |= norm(f"{place}.downsample.1", channels)
        before = channels
    return shapes


def bisenet() -> Shapes:
    shapes = resnet("cp.resnet")
    for name, channels in (("arm16", 256), ("arm32", 512)):
        shapes |= block(f"cp.{name}.conv", channels, 128, 3)
        shapes |= {f"cp.{name}.conv_atten.weight": (128, 128, 1, 1)}
        shapes |= norm(f"cp.{name}.bn_atten", 128)
    shapes |= block("cp.conv_head32", 128, 128, 3) | block("cp.conv_head16", 128, 128, 3)
    shapes |= block("cp.conv_avg", 512, 128, 1)
    shapes |= block("ffm.convblk", 256, 256, 1)
    shapes |= {"ffm.conv1.weight": (64, 256, 1, 1), "ffm.conv2.weight": (256, 64, 1, 1)}
    for name, before, channels in (("", 256, 256), ("16", 128, 64), ("32", 128, 64)):
        shapes |= block(f"conv_out{name}.conv", before, channels, 3)
        shapes |= {f"conv_out{name}.conv_out.weight": (19, channels, 1, 1)}
    return shapes


def tensors(seed: int = 0) -> dict[str, Tensor]:
    """A state dict of these shapes, with running variances above 0."""
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for name, shape in bisenet().items():
        if name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(7)
        elif len(shape) == 1:
            made[name] = torch.rand(shape, generator=generator) + 0.5
        else:
            made[name] = torch.randn(shape, generator=generator) * 0.05
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(tensors(), tmp_path / "79999_iter.pth")
    return tmp_path / "79999_iter.pth"


def test_a_published_state_dict_is_read_whole(file: Path) -> None:
    parser = load_parser(file)
    held, given = parser.network.state_dict(), tensors()
    assert held.keys() == given.keys()
    assert all(torch.equal(held[name], given[name]) for name in given)
    assert parser.config["image_size"] == 0 and not parser.training
    assert tuple(parser.config["classes"]) == MASK_CLASSES
    assert not any(p.requires_grad for p in parser.parameters())


def test_its_logits_come_in_our_order(file: Path) -> None:
    parser = load_parser(file)
    images = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((images + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.inference_mode():
        own, ours = parser.network(normalised), parser(images)
    assert own.std() > 1e-3
    for ordinal, name in enumerate(BISENET):
        torch.testing.assert_close(ours[:, MASK_CLASSES.index(name)], own[:, ordinal])


@pytest.mark.parametrize("side", [(64, 64), (100, 60)])
def test_any_size_comes_back_at_its_size(file: Path, side: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = load_parser(file)(torch.zeros(1, 3, *side))
    assert logits.shape == (1, 19, *side)


def test_a_folder_with_that_file_alone_is_a_parser(file: Path) -> None:
    assert load_parser(file.parent).config["backbone"] == "bisenet"
    torch.save({}, file.parent / "another.pth")
    with pytest.raises(UserError, match="no parser judge here"):
        load_parser(file.parent)


def test_old_and_parallel_files_load_alike(file: Path) -> None:
    """Without counts of steps (before torch 0.4.1), or saved under DataParallel."""
    counted = [name for name in tensors() if name.endswith("num_batches_tracked")]
    torch.save({k: v for k, v in tensors().items() if k not in counted}, file)
    images = torch.zeros(1, 3, 64, 64)
    old = load_parser(file)(images)
    torch.save({f"module.{name}": tensor for name, tensor in tensors().items()}, file)
    assert torch.equal(load_parser(file)(images), old)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_out.conv_out.weight": torch.zeros(11, 256, 1, 1)}, "conv_out.conv_out.weight"),
        ({"ffm.conv1.weight": None}, "lacks BiSeNet's 'ffm.conv1.weight'"),
        ({"sp.conv1.conv.weight": torch.zeros(1)}, "holds 'sp.conv1.conv.weight'"),
        ({"cp.resnet.bn1.bias": torch.full((64,), torch.nan)}, "'cp.resnet.bn1.bias' holds NaN"),
    ],
)
def test_another_network_is_one_line(
    file: Path, change: dict[str, Tensor | None], message: str
) -> None:
    changed = {name: t for name, t in (tensors() | change).items() if t is not None}
    torch.save(changed, file)
    with pytest.raises(UserError, match=message) as caught:
        load_parser(file)
    assert str(caught.value).startswith(str(file)) and "79999_iter.pth" in caught.value.fix


def test_code_in_a_file_is_not_run(file: Path) -> None:
    torch.save(nn.Linear(1, 1), file)  # a pickled module, not tensors
    with pytest.raises(UserError, match=r"cannot be read \(it holds more than tensors\)"):
        load_parser(file)


def test_a_text_file_is_told_in_our_words(file: Path) -> None:
    for content in (b"no weights, but a text\n", b"PK\x03\x04 cut short", b""):
        file.write_bytes(content)
        with pytest.raises(UserError) as caught:
            load_parser(file)
        why = "it is not in torch's format, or damaged"
        assert caught.value.what == f"its weights cannot be read ({why})"
