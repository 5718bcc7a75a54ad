"""LPIPS: the trunk from a file, honest names, properties of a distance."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from facecond.errors import UserError
from facecond.models.lpips_distance import NETS, LpipsDistance

_BUILDERS = {
    "alex": torchvision.models.alexnet,
    "vgg": torchvision.models.vgg16,
    "squeeze": torchvision.models.squeezenet1_1,
}


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("net", ["alex", "squeeze"])
def test_the_trunk_of_a_file_is_the_one_that_computes(
    net: str, tmp_path: Path, pictures: torch.Tensor
) -> None:
    torch.manual_seed(5)
    features = _BUILDERS[net](weights=None).features
    weights = {f"features.{key}": value.clone() for key, value in features.state_dict().items()}
    save_file(weights, tmp_path / "trunk.safetensors")
    measure = LpipsDistance(net, tmp_path / "trunk.safetensors")
    other = pictures.flip(0)
    # the definition, with torchvision's own network: unit-length features, weighed differences
    scale = measure.distance.scaling_layer
    x, y, total = scale(pictures), scale(other), torch.zeros(3)
    taps = {"alex": (1, 4, 7, 9, 11), "squeeze": (1, 4, 7, 9, 10, 11, 12)}[net]
    for index, layer in enumerate(features):
        x, y = layer(x), layer(y)
        if index in taps:
            unit = [v / (v.square().sum(1, keepdim=True).sqrt() + 1e-10) for v in (x, y)]
            head = measure.distance.lins[taps.index(index)].model[1]
            total += head((unit[0] - unit[1]).square()).mean((1, 2, 3))
    assert torch.allclose(measure(pictures, other), total, atol=1e-5)
    assert measure.name == f"lpips_{net}"
    torch.save(weights, tmp_path / "trunk.pth")
    same = LpipsDistance(net, tmp_path / "trunk.pth")
    assert torch.equal(same(pictures, other), measure(pictures, other))


@pytest.mark.parametrize("net", NETS)
def test_a_random_trunk_is_a_distance_but_not_lpips(net: str, pictures: torch.Tensor) -> None:
    before = torch.random.get_rng_state()
    measure = LpipsDistance(net, "random")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert measure.name == f"random_{net}"
    assert (measure(pictures, pictures) == 0).all()
    there, back = measure(pictures, pictures.flip(0)), measure(pictures.flip(0), pictures)
    assert torch.allclose(there, back) and there[0] > 0
    assert torch.equal(LpipsDistance(net, "random")(pictures, pictures.flip(0)), there)
    measure.train()
    assert torch.equal(measure(pictures, pictures.flip(0)), there)


def test_gradients_reach_the_picture_and_no_weight(pictures: torch.Tensor) -> None:
    measure = LpipsDistance("squeeze", "random")
    moving = pictures.clone().requires_grad_()
    measure(moving, pictures.flip(0)).sum().backward()
    assert moving.grad is not None and moving.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in measure.parameters())


def test_faults_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'vgg'"):
        LpipsDistance("vvg")
    with pytest.raises(UserError, match="no such file"):
        LpipsDistance("alex", tmp_path / "missing.pth")
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"broken\.pth: its weights cannot be read"):
        LpipsDistance("alex", tmp_path / "broken.pth")
    save_file({"features.0.weight": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"lacks 'features\.0\.weight' of the right shape"):
        LpipsDistance("alex", tmp_path / "other.safetensors")
