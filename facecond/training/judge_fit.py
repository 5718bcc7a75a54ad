"""The loop that fits a judge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from facecond.data.augmentation import FaceAugmentation
from facecond.devices import has_fast_bf16
from facecond.models.judges import BACKBONES, AttributeClassifier, FaceParser
from facecond.seeding import key_of
from facecond.training.judge_batches import JudgeBatches
from facecond.training.judge_faces import Faces, FaceSource, Kind, pictures
from facecond.training.judge_losses import attribute_loss, parser_loss
from facecond.training.optim import build_optimizers, learning_rate_factor
from facecond.training.session import leave_signals_to_parent

ADAM_LEARNING_RATE = 2e-3
"""Of norms and biases beside Muon, which does not take them."""
WARMUP_STEPS, DECAY_SHARE = 20, 0.7

Backbone = Literal["small", "resnet18", "mobilenet_v3_large", "efficientnet_b0"]


@dataclass(frozen=True)
class Recipe:
    """How a judge is built and trained.

    Attributes:
        backbone: `small`, the own network for 64 px, or a torchvision network.
        weights: file with torchvision's weights of the backbone; empty = from scratch.
        width: channels of the finest level of the network (the decoder's, on a backbone).
        optimizer: `muon` (with AdamW on vectors), or `adamw` for all; see `optim.build_optimizers`.
        learning_rate: of Muon, or of AdamW where it is the only one, at its height.
        affine: largest shift and change of scale, as a share of the picture; it turns by up to 60
            degrees times this. 0 with `jitter` 0: small shifts alone.
        jitter: largest change of brightness and contrast; only where no attribute is a colour.
        label_smoothing: share of each target that says nothing.
        dice: weight of the dice loss beside the cross-entropy (parser).
        ema_decay: of the average of the weights that is kept; 0 = the last weights.
        validations: how often the judge is scored on its validation faces, at even steps; the best
            one is kept. 0 = the last one.
        num_workers: processes that prepare batches.
    """

    backbone: Backbone = "small"
    weights: str = ""
    steps: int = 500
    batch_size: int = 32
    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: float = 2.0e-2
    width: int = 32
    affine: float = 0.0
    jitter: float = 0.0
    label_smoothing: float = 0.0
    dice: float = 0.0
    ema_decay: float = 0.0
    validations: int = 0
    num_workers: int = 0
    seed: int = 0


def fit(
    model: FaceParser | AttributeClassifier,
    kind: Kind,
    faces: FaceSource,
    weights: Tensor,
    recipe: Recipe,
    score: Callable[[Any], float],
    progress: bool,
    view: Callable[[Faces], Tensor] = pictures,
) -> None:
    """Train `model` in place; it ends with the weights that are to be kept.

    Args:
        weights: of classes [19] or of present attributes [40].
        score: what is highest for the best judge; called `recipe.validations` times.
        view: what the network is given of a batch of faces.
    """
    seed, batch_size = recipe.seed, min(recipe.batch_size, len(faces))
    varied = FaceAugmentation(0.5, recipe.affine, recipe.jitter)
    batches = JudgeBatches(
        faces,
        kind,
        recipe.steps,
        batch_size,
        seed,
        varied if recipe.affine or recipe.jitter else None,
    )
    loader = DataLoader(
        batches,
        batch_size=None,
        num_workers=recipe.num_workers,
        worker_init_fn=leave_signals_to_parent,
    )
    optimizers = build_optimizers(model, recipe.optimizer, recipe.learning_rate, ADAM_LEARNING_RATE)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    average = None
    if recipe.ema_decay:  # with the running statistics of the norms, which belong to the weights
        mean = get_ema_multi_avg_fn(recipe.ema_decay)
        average = AveragedModel(model, multi_avg_fn=mean, use_buffers=True)
    choice = _Choice(recipe.validations, recipe.steps, score)
    weights = weights.to(model.device)
    depthwise = recipe.backbone in BACKBONES and BACKBONES[recipe.backbone].depthwise
    device = model.device.type
    fast = has_fast_bf16(device) and not (device == "cpu" and depthwise)
    bar = tqdm(loader, desc=f"train judge {kind}", unit="step", disable=not progress)
    with torch.random.fork_rng(devices=[]):  # stochastic depth draws from torch's own state
        torch.manual_seed(key_of(seed, "judge", kind, "noise") >> 1)
        model.train()
        for step, batch in enumerate(bar):
            batch = batch.to(model.device)
            with torch.autocast(device, torch.bfloat16, enabled=fast):
                logits = model(view(batch)).float()
            loss = _loss(kind, logits, batch, weights, recipe)
            model.zero_grad(set_to_none=True)
            loss.backward()
            factor = learning_rate_factor(step, recipe.steps, WARMUP_STEPS, DECAY_SHARE)
            for optimizer, rate in zip(optimizers, rates, strict=True):
                for group in optimizer.param_groups:
                    group["lr"] = rate * factor
                optimizer.step()
            if average is not None:
                average.update_parameters(model)
            choice.consider(model if average is None else average.module, step + 1)
            if step % 10 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}", **choice.told)
    if choice.weights:
        model.load_state_dict(choice.weights)
    elif average is not None:
        model.load_state_dict(average.module.state_dict())


class _Choice:
    """Keeps the weights that scored best so far."""

    def __init__(self, count: int, steps: int, score: Callable[[Any], float]) -> None:
        self.score, self.best = score, float("-inf")
        self.at = {round(steps * (k + 1) / count) for k in range(count)}
        self.weights: dict[str, Tensor] = {}
        self.told: dict[str, str] = {}

    def consider(self, model: nn.Module, step: int) -> None:
        if step not in self.at:
            return
        found = self.score(model)
        if found >= self.best:
            self.best = found
            self.weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            self.told = {"best": f"{found:.3f}", "at": str(step)}


def _loss(kind: Kind, logits: Tensor, batch: Faces, weights: Tensor, recipe: Recipe) -> Tensor:
    if kind == "parser":
        return parser_loss(logits, batch.masks, weights, recipe.label_smoothing, recipe.dice)
    return attribute_loss(logits, batch.attributes, weights, recipe.label_smoothing)
