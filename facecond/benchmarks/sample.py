"""Sampling at equal steps: DDIM with one guided pair of predictions per step, noise to latents.

facecond goes through its pipeline; diffusers through the loop of its Stable Diffusion pipeline,
with its concatenated pair; latent-diffusion through its `DDIMSampler`. Conditions are encoded once
per image in all of them. First stages are left out: they are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from diffusers import DDIMScheduler
from torch import Tensor

from facecond.benchmarks import ldm, peers
from facecond.benchmarks.checks import agree
from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.denoisers import OWN, Rival, rivals, work_done
from facecond.benchmarks.pipelines import pipeline_of
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import Batch, Work, device_of, random_batch, work_of
from facecond.diffusion.schedulers import BETAS
from facecond.labels import ANYTHING

SCALE = 2.0
"""Of the mask; the other half of the pair has it open."""
TOLERANCE = 1e-3
"""Between two ways to sample the same network."""
EPSILON = ("objective.schedule=scaled_linear", "objective.prediction=epsilon")
"""What latent-diffusion and Stable Diffusion are trained with, and so DDIM is made for."""
Sampler = Callable[[Batch, int], Tensor]
"""Noise and conditions, steps -> latents."""


def entries(settings: Settings, case: str) -> Entries:
    """facecond and the peers."""
    work = work_of(case, settings, EPSILON)
    made = rivals(settings, work, training=False)
    return {name: partial(_contender, make, settings, work) for name, make in made.items()}


def _contender(make: Callable[[], Rival], settings: Settings, work: Work) -> Contender:
    rival = make()
    rival.model.eval()
    builders = {OWN: own_sampler, peers.DIFFUSERS: stock_sampler, peers.LDM: ldm_sampler}
    sampler = builders[rival.kind](rival, work, settings)
    facts = _checked(rival, work, settings)
    done = work_done(rival, work, work.faces)
    done |= {"steps": work.steps, "predictions": 2 * work.steps}
    return replace(sampling(sampler, work, settings), work=done, facts=facts)


def sampling(sampler: Sampler, work: Work, settings: Settings) -> Contender:
    """A sampler as a contender."""

    @torch.no_grad()
    def run(batch: Batch, out: Tensor) -> None:
        out.copy_(sampler(batch, work.steps))

    return Contender(
        prepare=lambda repeat: random_batch(work, work.faces, repeat, settings),
        run=run,
        shape=(work.faces, *work.latent_shape),
        units=work.faces,
        unit="images",
    )


def stock_scheduler() -> DDIMScheduler:
    """DDIM as Stable Diffusion's own config has it."""
    return DDIMScheduler(
        **BETAS["scaled_linear"], clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )


def own_sampler(rival: Rival, work: Work, settings: Settings) -> Sampler:
    """facecond's pipeline."""
    pipeline = pipeline_of(rival.model, work, settings, "ddim", steps=work.steps)
    pipeline.scheduler = stock_scheduler()
    if rival.compiled:
        rival.model.unet.compile()

    def sample(batch: Batch, steps: int) -> Tensor:
        return pipeline(
            batch.attributes, batch.mask, latents=batch.latents, guidance={"mask": SCALE},
            num_inference_steps=steps, output_type="latent",
        ).images  # fmt: skip

    return sample


def stock_sampler(rival: Rival, work: Work, settings: Settings) -> Sampler:
    """The loop of diffusers' Stable Diffusion pipeline."""
    unet, scheduler = rival.model.unet, stock_scheduler()
    predict = torch.compile(unet.predict) if rival.compiled else unet.predict

    def sample(batch: Batch, steps: int) -> Tensor:
        with rival.autocast:
            tokens = torch.cat([contexts(rival, batch, True), contexts(rival, batch, False)])
        scheduler.set_timesteps(steps, device=batch.latents.device)
        latents = batch.latents * scheduler.init_noise_sigma
        with rival.autocast:  # around all steps: the weights are rounded once
            for timestep in scheduler.timesteps:
                doubled = scheduler.scale_model_input(torch.cat([latents] * 2), timestep)
                both = predict(doubled, timestep, tokens)
                without, full = both.float().chunk(2)
                guided = without + SCALE * (full - without)
                latents = scheduler.step(guided, timestep, latents).prev_sample
        return latents

    return sample


def ldm_sampler(rival: Rival, work: Work, settings: Settings) -> Sampler:
    """`DDIMSampler` of latent-diffusion."""
    unet = rival.model.unet
    predict = torch.compile(unet.predict) if rival.compiled else unet.predict

    def apply_model(x_t: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
        return predict(x_t, timesteps, context).float()

    bar = stock_scheduler().alphas_cumprod
    sampler = ldm.ddim_sampler(apply_model, bar, torch.device(device_of(settings)))

    def sample(batch: Batch, steps: int) -> Tensor:
        with rival.autocast:  # around all steps: the weights are rounded once
            full, null = contexts(rival, batch, False), contexts(rival, batch, True)
            return ldm.sample(sampler, batch.latents, full, null, SCALE, steps)

    return sample


def contexts(rival: Rival, batch: Batch, open_mask: bool) -> Tensor:
    """Tokens [B, T, D] of a peer, with the mask or without."""
    mask = torch.full_like(batch.mask, ANYTHING) if open_mask else batch.mask
    return rival.model.unet.joined(rival.model.condition_encoder(batch.attributes, mask))


@torch.no_grad()
def _checked(rival: Rival, work: Work, settings: Settings) -> dict[str, float]:
    """How far a sampler is from plain DDIM on the same network, in float32, four steps."""
    if rival.compiled:
        return {}  # what is checked is the order of the computation, and it is the same
    plain = torch.autocast(device_of(settings), torch.bfloat16, enabled=False)
    exact = replace(settings, precision="fp32")
    same = Rival(rival.model, rival.kind, plain, rival.model)
    builders = {OWN: own_sampler, peers.DIFFUSERS: stock_sampler, peers.LDM: ldm_sampler}
    batch = random_batch(work, 2, -9, settings)
    found = builders[rival.kind](same, work, exact)(batch, 4)
    expected = plain_ddim(same, batch, 4)
    return {"apart": agree(expected, found, TOLERANCE, f"samples of {rival.kind}")}


def plain_ddim(rival: Rival, batch: Batch, steps: int) -> Tensor:
    """Two whole passes per step, from attributes and mask, one after the other; nothing is kept."""
    scheduler, latents = stock_scheduler(), batch.latents
    scheduler.set_timesteps(steps, device=latents.device)
    for timestep in scheduler.timesteps:
        at = timestep.expand(len(latents))
        full, without = (
            rival.model(latents, at, batch.attributes, mask)
            for mask in (batch.mask, torch.full_like(batch.mask, ANYTHING))
        )
        guided = without + SCALE * (full - without)
        latents = scheduler.step(guided, timestep, latents).prev_sample
    return latents
