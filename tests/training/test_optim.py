"""Optimisers: Muon on convolutions against torch's, the groups, the rate's schedule."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facecond.config import DenoiserConfig
from facecond.models.denoiser import Denoiser, build_denoiser
from facecond.training import checkpoint
from facecond.training.optim import (
    FlattenedMuon,
    OrderedAdamW,
    build_optimizers,
    gradient_norm,
    learning_rate_factor,
)

FORMATS = [torch.contiguous_format, torch.channels_last]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


def flat(weight: Tensor, memory_format: torch.memory_format) -> Tensor:
    """A copy of a convolution's weight as the matrix that Muon sees."""
    if memory_format == torch.channels_last:
        weight = weight.permute(0, 2, 3, 1)
    return weight.detach().clone().reshape(weight.shape[0], -1)


@pytest.mark.parametrize("memory_format", FORMATS)
def test_muon_follows_parameters_that_move(memory_format: torch.memory_format) -> None:
    """As they do where accelerate wraps a module on a CPU; gradients may lie otherwise."""
    layers = [nn.Conv2d(4, 3, 3).to(memory_format=memory_format) for _ in range(2)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimizers = [FlattenedMuon([layer.weight], lr=0.1) for layer in layers]
    layers[1].weight.data = layers[1].weight.data.clone(memory_format=torch.preserve_format)
    before = layers[0].weight.detach().clone()
    for step in range(2):
        gradient = normal(3, 4, 3, 3, seed=step)
        layers[0].weight.grad = gradient.to(memory_format=memory_format)
        layers[1].weight.grad = gradient.to(memory_format=FORMATS[step])
        for optimizer in optimizers:
            optimizer.step()
    assert torch.equal(layers[0].weight, layers[1].weight)
    assert not torch.equal(layers[0].weight, before)


def test_muon_says_where_a_memory_format_changes_under_it() -> None:
    layer = nn.Conv2d(4, 3, 3)
    optimizer = FlattenedMuon([layer.weight], lr=0.1)
    layer.to(memory_format=torch.channels_last)
    layer.weight.grad = normal(3, 4, 3, 3)
    with pytest.raises(RuntimeError, match="memory format changed"):
        optimizer.step()


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (8, 5, 1, 1), (4, 1, 3, 3)])
def test_muon_on_a_convolution_is_muon_on_the_matrix(
    shape: tuple[int, ...], memory_format: torch.memory_format
) -> None:
    options = {"lr": 0.1, "weight_decay": 0.05, "momentum": 0.9}
    initial = normal(*shape).to(memory_format=memory_format)
    ours = nn.Parameter(initial.clone(memory_format=torch.preserve_format))
    theirs = nn.Parameter(flat(initial, memory_format))
    first = FlattenedMuon([ours], **options)
    second = torch.optim.Muon([theirs], adjust_lr_fn="original", **options)
    for step in range(4):
        gradient = normal(*shape, seed=step + 1).to(memory_format=memory_format)
        ours.grad, theirs.grad = gradient, flat(gradient, memory_format)
        first.step()
        second.step()
        # The same rule; bfloat16 sums in another order.
        moved = (theirs.detach() - flat(initial, memory_format)).abs().mean()
        assert (flat(ours, memory_format) - theirs.detach()).abs().max() < 0.05 * float(moved)
    assert not torch.allclose(ours, initial, atol=1e-3)


def test_muon_orthogonalises_whatever_the_memory_format() -> None:
    """The update's singular values do not depend on the order of the matrix's columns."""
    results = []
    for memory_format in FORMATS:
        conv = nn.Conv2d(4, 6, 3, bias=False).to(memory_format=memory_format)
        with torch.no_grad():
            conv.weight.copy_(normal(6, 4, 3, 3))
        optimizer = FlattenedMuon([conv.weight], lr=0.1, weight_decay=0.0)
        for step in range(3):
            images = normal(2, 4, 5, 5, seed=step).to(memory_format=memory_format)
            conv(images).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            assert conv.weight.grad is None
        results.append(conv.weight.detach().contiguous())
    moved = (results[0] - normal(6, 4, 3, 3)).abs().mean()
    # bfloat16 in the Newton-Schulz iteration rounds in another order.
    assert (results[0] - results[1]).abs().max() < 0.05 * float(moved)


def test_parameters_without_gradient_stay() -> None:
    first, second = (nn.Parameter(normal(3, 4, seed=s)) for s in (1, 2))
    before = second.detach().clone()
    optimizer = FlattenedMuon([first, second], lr=0.1)
    first.grad = normal(3, 4, seed=3)
    optimizer.step()
    assert torch.equal(second, before)


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    options = vars(DenoiserConfig()) | {
        "block_out_channels": [16, 32],
        "attention_head_dim": 8,
        "norm_num_groups": 8,
        "condition_dim": 12,
        "mask_grid": 4,
    }
    return build_denoiser(image_size=16, latent_size=8, latent_channels=3, **options)


def places(optimizer: torch.optim.Optimizer) -> list[int]:
    """Where in memory the weights of an optimiser lie; views lie where their parameters do."""
    return [p.data_ptr() for group in optimizer.param_groups for p in group["params"]]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_parameter_is_in_exactly_one_group(
    denoiser: Denoiser, optimizer: str, memory_format: torch.memory_format
) -> None:
    module = deepcopy(denoiser).to(memory_format=memory_format)
    optimizers = build_optimizers(module, optimizer, 0.1, 0.2, 0.3)
    taken = [place for one in optimizers for place in places(one)]
    assert sorted(taken) == sorted(p.data_ptr() for p in module.parameters())


def test_vectors_and_tables_take_no_decay_and_stay_with_adam(denoiser: Denoiser) -> None:
    muon, adam = build_optimizers(denoiser, "muon", 0.1, 0.2, 0.3)
    names = {p.data_ptr(): name for name, p in denoiser.named_parameters()}
    matrices = {names[place] for place in places(muon)}
    assert all(dict(denoiser.named_parameters())[name].ndim >= 2 for name in matrices)
    for name in (
        "unet.conv_in.weight",
        "unet.conv_out.weight",
        "condition_encoder.attributes.name",
        "condition_encoder.attributes.value",
        "condition_encoder.mask.label.weight",
        "condition_encoder.mask.state",
    ):
        assert name not in matrices
    assert "unet.mid_block.resnets.0.conv1.weight" in matrices
    assert "unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q.weight" in matrices
    assert [group["weight_decay"] for group in muon.param_groups] == [0.3]
    assert [group["weight_decay"] for group in adam.param_groups] == [0.0]
    assert muon.param_groups[0]["lr"] == 0.1 and adam.param_groups[0]["lr"] == 0.2
    (only,) = build_optimizers(denoiser, "adamw", 0.1, 0.2, 0.3)
    decayed = {names[p.data_ptr()] for p in only.param_groups[0]["params"]}
    assert decayed == matrices
    assert [group["weight_decay"] for group in only.param_groups] == [0.3, 0.0]
    assert {group["lr"] for group in only.param_groups} == {0.1}


@pytest.mark.parametrize("memory_format", FORMATS)
def test_fused_adam_is_plain_adam_in_any_memory_format(memory_format: torch.memory_format) -> None:
    """Also where gradients lie otherwise than their weights, which the fused kernel cannot see."""
    ours, theirs = (nn.Conv2d(4, 3, 3).to(memory_format=memory_format) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    options = {"lr": 0.1, "betas": (0.9, 0.99), "weight_decay": 0.05}
    first = OrderedAdamW([{"params": list(ours.parameters())}], **options)
    second = torch.optim.AdamW(theirs.parameters(), **options)
    for step in range(4):
        ours.weight.grad = normal(3, 4, 3, 3, seed=step).to(memory_format=FORMATS[step % 2])
        theirs.weight.grad = normal(3, 4, 3, 3, seed=step)
        ours.bias.grad, theirs.bias.grad = normal(3, seed=9 + step), normal(3, seed=9 + step)
        first.step()
        second.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)
    assert torch.allclose(ours.bias, theirs.bias, atol=1e-6)
    first.zero_grad()
    assert ours.weight.grad is None and ours.bias.grad is None


@pytest.mark.parametrize("kind", [OrderedAdamW, FlattenedMuon])
@pytest.mark.parametrize("first", FORMATS)
def test_averages_may_be_loaded_where_weights_lie_otherwise(
    kind: type[torch.optim.Optimizer], first: torch.memory_format
) -> None:
    def step(weight: nn.Parameter, optimizer: torch.optim.Optimizer, number: int) -> None:
        gradient = normal(6, 4, 3, 3, seed=number)
        weight.grad = torch.empty_like(weight).copy_(gradient)
        optimizer.step()

    def built(values: Tensor, memory_format: torch.memory_format) -> Any:
        weight = nn.Parameter(values.clone().to(memory_format=memory_format))
        given: Any = [weight] if kind is FlattenedMuon else [{"params": [weight]}]
        return weight, kind(given, lr=0.1, weight_decay=0.0)  # type: ignore[call-arg]

    weight, optimizer = built(normal(6, 4, 3, 3), first)
    for number in range(3):
        step(weight, optimizer, number)
    saved = optimizer.state_dict()
    averages = [v for v in saved["state"][0].values() if isinstance(v, Tensor) and v.ndim]
    assert averages and all(v.shape == weight.shape and v.is_contiguous() for v in averages)
    (second,) = (each for each in FORMATS if each != first)
    for memory_format in (first, second):
        other, loaded = built(weight.detach(), memory_format)
        loaded.load_state_dict(deepcopy(saved))
        before = other.detach().clone()
        step(other, loaded, 3)
        reference, straight = built(weight.detach(), first)
        straight.load_state_dict(deepcopy(saved))
        step(reference, straight, 3)
        moved = (reference.detach() - before).abs().mean()
        assert moved > 0.001
        # Muon's bfloat16 rounds in another order.
        assert (other - reference).abs().max() < 0.05 * float(moved)


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5))
    module[0].requires_grad_(False)
    for name in ("muon", "adamw"):
        optimizers = build_optimizers(module, name)
        count = sum(len(g["params"]) for o in optimizers for g in o.param_groups)
        assert count == 2


class Small(nn.Module):
    """A convolution of each kind: `conv_in` goes to AdamW, `inner` to Muon."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in, self.inner = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.conv_in(x).tanh())


def trained(
    name: str, memory_format: torch.memory_format, folder: Path | None, steps: int = 6
) -> list[Tensor]:
    """Train for some steps; with a folder, through a checkpoint and new objects at half time."""

    def build() -> tuple[Small, list[torch.optim.Optimizer]]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            module = Small().to(memory_format=memory_format)
        return module, build_optimizers(module, name, 0.05, 0.02)

    module, optimizers = build()
    for step in range(steps):
        if folder is not None and step == steps // 2:
            state = {
                "model": module.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            }
            checkpoint.save(folder, step, state, 2)
            module, optimizers = build()
            found = checkpoint.load_newest(folder)
            assert found is not None
            module.load_state_dict(found[2]["model"])
            for optimizer, saved in zip(optimizers, found[2]["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
        images = normal(2, 3, 8, 8, seed=step).to(memory_format=memory_format)
        module(images).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    return [p.detach().clone() for p in module.parameters()]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_optimisers_go_on_from_a_checkpoint_bit_for_bit(
    name: str, memory_format: torch.memory_format, tmp_path: Path
) -> None:
    straight = trained(name, memory_format, None)
    resumed = trained(name, memory_format, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


def test_rate_warms_up_stays_and_falls_to_zero() -> None:
    steps, warm, share = 1000, 50, 0.4
    factors = [learning_rate_factor(s, steps, warm, share) for s in range(steps)]
    assert factors[:warm] == pytest.approx([(s + 1) / warm for s in range(warm)])
    assert factors[warm:601] == [1.0] * (601 - warm)
    assert factors[600:] == pytest.approx([(steps - s) / 400 for s in range(600, steps)])
    assert factors[-1] == pytest.approx(1 / 400) and min(factors) > 0
    assert learning_rate_factor(steps, steps, warm, share) == 0
    assert learning_rate_factor(steps + 5, steps, warm, share) == 0


def test_rate_before_the_decay_does_not_depend_on_the_length() -> None:
    for step in (0, 10, 49, 300, 599):
        values = {learning_rate_factor(step, n, 50, 0.4) for n in (1000, 5000, 10**9)}
        assert len(values) == 1


def test_rate_in_corner_cases() -> None:
    assert learning_rate_factor(0, 100, 0, 0.0) == 1.0  # no warm-up, no decay
    assert learning_rate_factor(99, 100, 0, 0.0) == 1.0
    short = [learning_rate_factor(s, 10, 50, 1.0) for s in range(10)]  # shorter than the warm-up
    assert all(0 < factor <= 1 for factor in short)
    assert short == [min((s + 1) / 50, (10 - s) / 10) for s in range(10)]


def test_gradient_norm_is_joint_and_clips() -> None:
    first, second = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, 1))
    first.grad, second.grad = torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])
    assert float(gradient_norm([first, second], 10.0)) == pytest.approx(5.0)
    assert first.grad.tolist() == [3.0, 0.0]
    assert float(gradient_norm([first, second], 1.0)) == pytest.approx(5.0)
    assert torch.cat([first.grad, second.grad[0]]).norm() == pytest.approx(1.0, rel=1e-4)
