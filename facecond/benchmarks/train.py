"""One step of training: forward, backward, optimiser, average of the weights.

Each as its authors do it: facecond's is the body of `training/loop.py`; that of diffusers the body
of its `examples/text_to_image/train_text_to_image.py`; that of latent-diffusion `p_losses`,
`configure_optimizers` and `on_train_batch_end` of its `ddpm.py`, with its own `LitEma`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn

from facecond.benchmarks import peers
from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.denoisers import OWN, Rival, rivals, work_done
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import Batch, Work, random_batch, work_of
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import log_snr
from facecond.models.condition_dropout import ConditionDropout
from facecond.seeding import torch_generator
from facecond.training.updates import Updates

RATE = 1e-4
Step = Callable[[Batch], Tensor]
"""Inputs, whose latents are the data -> loss []."""


def entries(settings: Settings, case: str) -> Entries:
    """facecond and the peers, and latent-diffusion as shipped."""
    work = work_of(case, settings)
    made = rivals(settings, work, training=True)
    return {name: partial(_contender, make, settings, work) for name, make in made.items()}


def _contender(make: Callable[[], Rival], settings: Settings, work: Work) -> Contender:
    rival = make()
    rival.model.train()
    builders = {OWN: own_step, peers.DIFFUSERS: diffusers_step, peers.LDM: ldm_step}
    step = builders[rival.kind](rival, work, settings.seed)
    watched = list(rival.model.unet.parameters())[-1]

    def run(batch: Batch, out: Tensor) -> None:
        out[0] = step(batch).detach()
        out[1] = watched.detach().double().norm()  # every step moves it

    return Contender(
        prepare=lambda repeat: random_batch(work, work.batch, repeat, settings),
        run=run,
        shape=(2,),
        units=work.batch,
        unit="images",
        work=work_done(rival, work, work.batch),
        steady=False,
    )


def own_step(rival: Rival, work: Work, seed: int) -> Step:
    """The body of facecond's loop."""
    config = work.config
    objective = Objective(**asdict(config.objective))
    dropout = ConditionDropout(**asdict(config.dropout))
    updates = Updates.of(rival.model, config.optim, Path("benchmark"))
    count = 0

    def step(batch: Batch) -> Tensor:
        nonlocal count
        x_0, device = batch.latents, batch.latents.device
        randomness = torch_generator(seed, "step", count, 0, 0)
        t = objective.sample_t(len(x_0), randomness)
        gates = rival.model.unet.gates(log_snr(objective.schedule, t))
        t = t.to(device)
        noise = torch.randn(x_0.shape, generator=randomness).to(device)
        attributes, mask = dropout(batch.attributes, batch.mask, randomness)
        gates = dropout.drop_layers(gates, len(x_0), randomness)
        x_t = objective.add_noise(x_0, noise, t)
        with rival.autocast:
            prediction = rival.call(x_t, objective.timestep(t), attributes, mask, gates)
        loss = objective.loss(prediction, x_0, noise, t).mean()
        loss.backward()
        updates.apply(1.0, count)
        count += 1
        return loss

    return step


def diffusers_step(rival: Rival, work: Work, seed: int) -> Step:
    """The body of the training example of diffusers, with its defaults and its EMA."""
    parameters = list(rival.model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.999), weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    schedule = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    average = EMAModel(parameters)

    def step(batch: Batch) -> Tensor:
        latents = batch.latents
        noise = torch.randn_like(latents)
        at = torch.randint(0, 1000, (len(latents),), device=latents.device).long()
        noisy = schedule.add_noise(latents, noise, at)
        with rival.autocast:
            predicted = rival.call(noisy, at, batch.attributes, batch.mask)
        loss = nn.functional.mse_loss(predicted.float(), noise.float(), reduction="mean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        average.step(parameters)
        return loss

    return step


def ldm_step(rival: Rival, work: Work, seed: int) -> Step:
    """The training step of latent-diffusion, with its defaults and its own EMA."""
    from ldm.modules.diffusionmodules.util import extract_into_tensor, make_beta_schedule
    from ldm.modules.ema import LitEma

    device = next(rival.model.parameters()).device
    bar = torch.from_numpy((1 - make_beta_schedule("linear", 1000, 0.0015, 0.0195)).cumprod())
    roots: Any = [root.float().to(device) for root in (bar.sqrt(), (1 - bar).sqrt())]
    optimizer = torch.optim.AdamW(rival.model.parameters(), lr=RATE)
    average = LitEma(rival.model).to(device)

    def step(batch: Batch) -> Tensor:
        start = batch.latents
        t = torch.randint(0, 1000, (len(start),), device=device).long()
        noise = torch.randn_like(start)
        noisy = extract_into_tensor(roots[0], t, start.shape) * start
        noisy = noisy + extract_into_tensor(roots[1], t, start.shape) * noise
        with rival.autocast:
            predicted = rival.call(noisy, t, batch.attributes, batch.mask)
        simple = nn.functional.mse_loss(noise, predicted.float(), reduction="none").mean([1, 2, 3])
        loss = simple.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average(rival.model)
        return loss

    return step
