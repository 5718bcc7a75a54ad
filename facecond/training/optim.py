"""Optimisers, learning-rate schedule and parameter groups."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from facecond.training.views import Views

IN_OUT = (
    "conv_in", "conv_out", "label", "locality", "name", "place", "queries", "state", "value",
)  # fmt: skip
"""Parameters named so stay with AdamW beside Muon: embeddings, input and output convolutions."""

ADAM_BETAS = (0.9, 0.99)
GATE_RATE = 10
"""Learned gates are scalars that must move by about 1 in a training."""


class FlattenedMuon(torch.optim.Muon):
    """torch's Muon (Jordan et al. 2024) that also takes convolutions, as [out, in * kh * kw].

    `step` orthogonalises all matrices of one shape as one batch: a small network has many small
    ones, and one after the other they leave a processor idle.
    """

    def __init__(self, parameters: list[nn.Parameter], **options: float) -> None:
        self._views = Views(parameters, matrices=True)
        super().__init__(self._views.tensors, adjust_lr_fn="original", **options)  # type: ignore[arg-type]
        self._views.attach(self)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the parameters' gradients, by torch's rule in batches."""
        self._views.lend()
        for group in self.param_groups:
            views: list[Tensor] = [view for view in group["params"] if view.grad is not None]
            for shape in dict.fromkeys(view.shape for view in views):
                self._step_alike([view for view in views if view.shape == shape], group)

    def _step_alike(self, views: list[Tensor], group: dict[str, Any]) -> None:
        """Update matrices of one shape."""
        gradients = [cast(Tensor, view.grad) for view in views]
        for view, gradient in zip(views, gradients, strict=True):
            if not self.state[view]:
                self.state[view]["momentum_buffer"] = torch.zeros_like(gradient)
        averages = [self.state[view]["momentum_buffer"] for view in views]
        torch._foreach_lerp_(averages, gradients, 1 - group["momentum"])
        updates = averages
        if group["nesterov"]:
            updates = list(torch._foreach_lerp(gradients, averages, group["momentum"]))
        stacked = orthogonalised(torch.stack(updates), group["ns_coefficients"], group["ns_steps"])
        rows, columns = views[0].shape
        rate = group["lr"] * max(1.0, rows / columns) ** 0.5
        torch._foreach_mul_(views, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(views, list(stacked.to(views[0].dtype)), alpha=-rate)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the parameters' gradients and the views'."""
        self._views.clear()
        super().zero_grad(set_to_none)


class OrderedAdamW(torch.optim.AdamW):
    """torch's fused AdamW on views of convolutions, contiguous in the order of their memory.

    The fused kernel goes by the order of memory and asks no tensor for its own: gradients and
    averages that lie otherwise than their weights would go to the wrong ones. And on a processor it
    copies each channels-last gradient first, to no purpose.
    """

    def __init__(self, groups: list[dict[str, Any]], **options: Any) -> None:
        convolutions = [p for group in groups for p in group["params"] if p.ndim == 4]
        self._views = Views(convolutions)
        view = dict(zip(map(id, convolutions), self._views.tensors, strict=True))
        viewed = [
            group | {"params": [view.get(id(p), p) for p in group["params"]]} for group in groups
        ]
        super().__init__(viewed, fused=True, **options)
        self._views.attach(self)

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update from the parameters' gradients."""
        self._views.lend()
        super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the parameters' gradients and the views'."""
        self._views.clear()
        super().zero_grad(set_to_none)


def orthogonalised(
    matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float = 1e-7
) -> Tensor:
    """Matrices [K, M, N] -> bfloat16 [K, M, N] with singular values near 1 (Newton-Schulz)."""
    a, b, c = coefficients
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).to(torch.bfloat16)  # [K, m, n], m <= n
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.mT  # [K, m, m]
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def build_optimizers(
    module: nn.Module,
    optimizer: str = "muon",
    learning_rate: float = 3e-3,
    adam_learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
) -> list[torch.optim.Optimizer]:
    """`adamw`: one AdamW. `muon`: Muon on matrices and inner convolutions, AdamW on the rest.

    Vectors (norms, biases) and embeddings take no weight decay; nor do learned gates of the
    routing, whose rate is `GATE_RATE` times that of the others.
    """
    matrices, tables, vectors, gates = [], [], [], []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if "gamma" in name.split("."):
            gates.append(parameter)
        elif parameter.ndim < 2:
            vectors.append(parameter)
        elif any(part in IN_OUT for part in name.split(".")):
            tables.append(parameter)
        else:
            matrices.append(parameter)

    def adamw(decayed: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        groups = [
            {"params": decayed, "weight_decay": weight_decay},
            {"params": vectors + tables, "weight_decay": 0.0},
            {"params": gates, "weight_decay": 0.0, "lr": GATE_RATE * rate},
        ]
        filled = [group for group in groups if group["params"]]
        return OrderedAdamW(filled, lr=rate, betas=ADAM_BETAS)

    if optimizer == "adamw":
        return [adamw(matrices, learning_rate)]
    muon = FlattenedMuon(matrices, lr=learning_rate, weight_decay=weight_decay, momentum=0.95)
    return [muon, adamw([], adam_learning_rate)]


def learning_rate_factor(step: int, steps: int, warmup_steps: int, decay_share: float) -> float:
    """Factor on the rate at `step` of `steps`: linear warm-up, constant, linear to zero.

    The constant part does not depend on `steps`, so a run may learn its length on the way.
    """
    warm = min(1.0, (step + 1) / max(1, warmup_steps))
    left = (steps - step) / max(1.0, steps * decay_share)
    return max(0.0, min(warm, left, 1.0))


def gradient_norm(parameters: list[nn.Parameter], clip_norm: float) -> Tensor:
    """Clip the joint gradient norm in place; returns the norm before."""
    return torch.nn.utils.clip_grad_norm_(parameters, clip_norm, foreach=True)
