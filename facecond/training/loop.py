"""THE training loop of the denoiser, read top to bottom.

Everything random is keyed by (seed, step): a run that was killed goes on exactly as if it had not
been. The state is the weights, their average, the optimisers and the step.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from facecond import config as configs
from facecond.config import RunConfig
from facecond.data.dataset import IndexKeyedSampler
from facecond.data.notes import lacking
from facecond.diffusion import guidance
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import log_snr
from facecond.diffusion.schedulers import scheduler
from facecond.models.conditions import ConditionDropout
from facecond.models.routing import SOURCES
from facecond.seeding import torch_generator
from facecond.storage import hash_of, make_folder, read_json, write_json, write_text
from facecond.training import checkpoint, export, initialise, session, setup
from facecond.training.log import TrainingLog
from facecond.training.optim import build_optimizers, gradient_norm, learning_rate_factor


def train(
    config: RunConfig, out: str | Path, resume: str = "auto", init: str | Path | None = None
) -> Path:
    """Train a denoiser into the run folder `out` and return the model folder `out/model`.

    Args:
        config: what to train.
        out: run folder: config, latents, checkpoints, logs, model.
        resume: `auto` goes on from the newest whole checkpoint, `never` starts anew, a path names
            a checkpoint folder.
        init: model folder (or finished run) whose weights a new run begins with; a run that goes on
            from a checkpoint keeps its own.

    Raises:
        UserError: a fault in config or data; a checkpoint of another run; a loss that stays
            non-finite.
        session.Interrupted: on SIGTERM or SIGINT, after saving.
    """
    knobs = config.train
    setup.check_length(config)
    scheduler(config.sampling.scheduler, config.objective.schedule, config.objective.prediction)
    guidance.plan(config.sampling.guidance, SOURCES)
    objective = Objective(**asdict(config.objective))
    dropout = ConditionDropout(**asdict(config.dropout))
    out = make_folder(out)
    # Without `cpu`, processes on a machine without a GPU would not know of each other.
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
    device, main = accelerator.device, accelerator.is_main_process
    folder = setup.open_data(config)
    if main:
        for note in lacking(folder, folder.indices("generator"), "no face of the training split"):
            tqdm.write(f"note: {note}")
    run, before = export.provenance(config, folder.data_hash), None
    if resume != "never" and (out / "run.json").is_file():
        before = read_json(out / "run.json")
        session.check_same(before, run, out)
    state = session.state_to_resume(out, resume, main)
    if state is not None:
        before = state["run"]
        session.check_same(before, run, out)
    begin = initialise.beginning(init, config, out, before, state is not None)

    # First stage and latents (the main process builds, the others then find them built).
    with accelerator.main_process_first():
        stage_path = out / "first_stage"
        stage = setup.first_stage_for(
            config, folder, stage_path, begin.first_stage_path, begin.first_stage_hash
        )
        cache = setup.latent_cache_for(config, folder, stage, stage_path, out / "latents")
    run["first_stage_hash"] = setup.first_stage_hash(stage_path)

    # Model (new, or with the weights of another), optimisers, average.
    latent_shape = tuple(cache.manifest["identity"]["latent_shape"])
    model = setup.denoiser_for(config, folder.image_size, latent_shape)
    run["routing_hash"] = hash_of(model.unet.trained_routing.to_dict())
    session.check_same(before or run, run, out)  # the files that a routing names may have changed
    if begin.record is not None and state is None:
        report = begin.fill(model)
        if main:
            tqdm.write(report)
    if begin.record is not None:
        run["init"] = begin.record
    model.to(device).to(memory_format=torch.channels_last)
    if knobs.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    model.unet.freeze_off_cells()
    rates = asdict(config.optim)
    schedule = {name: rates.pop(name) for name in ("warmup_steps", "decay_share")}
    clip_norm, ema_decay = rates.pop("clip_norm"), rates.pop("ema_decay")
    optimizers = build_optimizers(model, **rates)
    base_rates = [[group["lr"] for group in o.param_groups] for o in optimizers]
    parameters = list(model.parameters())
    ema = EMAModel(parameters, decay=ema_decay, foreach=True)
    step, steps, bad_steps = 0, knobs.steps, 0

    # Resume.
    if state is not None:
        step, steps = state["step"], state["steps"]
        session.load_model(model, state["model"], out)
        ema.load_state_dict(state["ema"])
        ema.to(device)
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    if main:
        checkpoint.discard_after(out / "checkpoints", step)
        write_text(out / "config.yaml", configs.dump(config))
        write_json(out / "run.json", run)
    wrapped = accelerator.prepare_model(model)
    if knobs.compile:
        wrapped = torch.compile(wrapped)
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=setup.uses_bf16(config, device.type)
    )

    # Batches: the order is a function of (seed, samples consumed).
    world, micro = accelerator.num_processes, knobs.accumulation
    per_step = knobs.batch_size * world * micro
    sampler = IndexKeyedSampler(
        len(cache), knobs.batch_size, knobs.seed, step * per_step, accelerator.process_index, world
    )
    batches = iter(
        DataLoader(
            cache,
            batch_sampler=sampler,
            num_workers=knobs.num_workers,
            pin_memory=device.type == "cuda",
            worker_init_fn=session.leave_signals_to_parent,
        )
    )

    def save() -> None:
        accelerator.wait_for_everyone()
        if main:
            state = {
                "run": run,
                "step": step,
                "steps": steps,
                "model": model.state_dict(),
                "ema": ema.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            }
            checkpoint.save(out / "checkpoints", step, state, knobs.keep_checkpoints)

    perceptual = setup.perceptual_loss_for(config, objective, stage)
    if perceptual is not None:
        stage.to(device)
    log = TrainingLog(out, objective, step) if main else None
    if log is not None:
        log.gates(model.unet.routing)
    grids = export.SampleGrids(config, folder, stage) if main and knobs.sample_every else None
    length = session.Length(accelerator, steps, knobs.minutes, began_at=step)
    saved_at = time.monotonic()
    wrapped.train()
    with session.signals_noted() as signalled, tqdm(
        total=steps or None, initial=step, desc="train", unit="step", disable=not main
    ) as bar:  # fmt: skip
        while steps == 0 or step < steps:
            # Accumulate gradients of one step.
            for index in range(micro):
                batch = {key: value.to(device) for key, value in next(batches).items()}
                randomness = torch_generator(
                    knobs.seed, "step", step, index, accelerator.process_index
                )
                x_0 = batch["latents"]  # [B, C, h, w]
                t = objective.sample_t(len(x_0), randomness)  # [B]
                gates = model.unet.gates(log_snr(objective.schedule, t))  # [L, S] or [B, L, S]
                t = t.to(device)
                noise = torch.randn(x_0.shape, generator=randomness).to(device)  # [B, C, h, w]
                attributes, mask = dropout(batch["attributes"], batch["mask"], randomness)
                gates = dropout.drop_layers(gates, len(x_0), randomness)
                x_t = objective.add_noise(x_0, noise, t)
                x_t = x_t.contiguous(memory_format=torch.channels_last)
                last = index == micro - 1
                sync = contextlib.nullcontext() if last else accelerator.no_sync(wrapped)
                with sync:
                    with autocast:
                        prediction = wrapped(x_t, objective.timestep(t), attributes, mask, gates)
                    losses = objective.loss(prediction, x_0, noise, t)  # [B]
                    loss = losses.mean()
                    if perceptual is not None:
                        with autocast:
                            seen = perceptual(prediction, x_t, x_0, t)  # [B]
                        loss = loss + perceptual.weight * seen.mean()
                    accelerator.backward(loss / micro)

            # Update weights and their average; a step that is not finite is skipped.
            norm = gradient_norm(parameters, clip_norm)
            finite = math.isfinite(float(norm))
            factor = learning_rate_factor(step, steps or 10**9, **schedule)
            for optimizer, lrs in zip(optimizers, base_rates, strict=True):
                for group, rate in zip(optimizer.param_groups, lrs, strict=True):
                    group["lr"] = rate * factor
                if finite:
                    optimizer.step()
                optimizer.zero_grad()
            if finite:
                ema.step(parameters)
            bad_steps = 0 if finite else bad_steps + 1
            session.give_up_if_hopeless(bad_steps, step, out)
            step += 1
            steps = length.after(step)
            bar.total = steps or None

            # Report.
            bar.update()
            if log is not None:
                log.collect(t, losses, norm, len(x_0) * micro * world)
                if perceptual is not None:
                    log.collect_perceptual(seen, perceptual.active(t))
            if log is not None and (step % knobs.log_every == 0 or step == steps):
                bar.set_postfix(log.write(step, optimizers))
                log.learned_gates(model.unet, step)
            if (
                log is not None
                and grids is not None
                and (step % knobs.sample_every == 0 or step == steps)
            ):
                with session.averaged(model, ema):
                    grids.write(log.tensorboard, model, step)

            # Save; stop where a signal asks for it.
            due = main and time.monotonic() - saved_at > knobs.checkpoint_every_s
            stop, due = session.agreed(accelerator, signalled() > 0, due)
            if stop or due:
                save()
                saved_at = time.monotonic()
            if stop:
                raise session.Interrupted(signalled() or signal.SIGTERM)
    save()
    if log is not None:
        log.tensorboard.close()
        with session.averaged(model, ema):
            done = {**run, "steps": steps, "batch": per_step}
            export.save_model(out / "model", config, model, stage, done)
    accelerator.wait_for_everyone()
    return out / "model"
