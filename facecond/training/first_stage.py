"""The training loop of a first stage: a KL autoencoder, read top to bottom.

It keeps the habits of `loop.py`: everything random is keyed by (seed, step), so that a run which
was killed goes on exactly as if it had not been.
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
from facecond.config import FirstStageRunConfig
from facecond.data.augmentation import FaceAugmentation
from facecond.data.dataset import FaceBatch, FaceDataset, IndexKeyedSampler, collate
from facecond.models.kl_autoencoder import KlAutoencoder
from facecond.models.pixels import to_network
from facecond.seeding import torch_generator
from facecond.storage import make_folder, read_json, write_json, write_text
from facecond.training import checkpoint, export, first_stage_export, session, setup
from facecond.training.first_stage_init import begin_from
from facecond.training.first_stage_loss import (
    AutoencoderLoss,
    discriminator_hinge,
)
from facecond.training.first_stage_plan import autoencoder_for, check, discriminator_for
from facecond.training.log import MeansLog
from facecond.training.optim import (
    build_optimizers,
    fused_adamw,
    gradient_norm,
    learning_rate_factor,
)

DISCRIMINATOR_BETAS = (0.5, 0.9)
"""Of AdamW, as in the code of Esser et al."""


def train_first_stage(
    config: FirstStageRunConfig, out: str | Path, resume: str = "auto", init: str | None = None
) -> Path:
    """Train an autoencoder into the run folder `out` and return the model folder `out/model`.

    Args:
        config: what to train.
        out: run folder: config, checkpoints, logs, model (a `FirstStage` folder).
        resume: `auto` goes on from the newest whole checkpoint, `never` starts anew, a path names
            a checkpoint folder.
        init: first stage, autoencoder or model (folder or hub id) whose weights a new run begins
            with.

    Raises:
        UserError: a fault in config or data; a checkpoint of another run; a loss that stays
            non-finite.
        session.Interrupted: on SIGTERM or SIGINT, after saving.
    """
    knobs = config.train
    setup.check_length(config)
    folder = setup.open_data(config)
    check(config, folder.image_size)
    # Without `cpu`, processes on a machine without a GPU would not know of each other.
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
    device, main = accelerator.device, accelerator.is_main_process
    with accelerator.main_process_first():  # one process fetches the perceptual trunk
        criterion = AutoencoderLoss(**asdict(config.loss)).to(device)
    out = make_folder(out)
    run, before = export.provenance(config, folder.data_hash), None
    if resume != "never" and (out / "run.json").is_file():
        before = read_json(out / "run.json")
        session.check_same(before, run, out)

    # Autoencoder, adversary, optimisers, average.
    model = KlAutoencoder(autoencoder_for(config, folder.image_size))
    state = session.state_to_resume(out, resume, main)
    before = before if state is None else state["run"]
    began, report = begin_from(init, model.autoencoder, out, before, state is not None)
    if began is not None:
        run["init"] = began
    if main and report:
        tqdm.write(report)
    model.to(device).to(memory_format=torch.channels_last)
    if knobs.gradient_checkpointing:
        model.autoencoder.enable_gradient_checkpointing()
    adversary = discriminator_for(config)
    adversary.to(device).to(memory_format=torch.channels_last)
    rates = asdict(config.optim)
    schedule = {name: rates.pop(name) for name in ("warmup_steps", "decay_share")}
    clip_norm, ema_decay = rates.pop("clip_norm"), rates.pop("ema_decay")
    optimizers = build_optimizers(model, **rates)
    critic_parameters = list(adversary.parameters())
    group = {"params": critic_parameters, "weight_decay": 0.0}
    optimizers.append(fused_adamw([group], config.discriminator.learning_rate, DISCRIMINATOR_BETAS))
    base_rates = [[group["lr"] for group in o.param_groups] for o in optimizers]
    parameters = list(model.parameters())
    ema = EMAModel(parameters, decay=ema_decay, foreach=True)
    step, steps, bad_steps = 0, knobs.steps, 0

    # Resume.
    if state is not None:
        session.check_same(state["run"], run, out)
        step, steps = state["step"], state["steps"]
        session.load_model(model, state["model"], out)
        session.load_model(adversary, state["adversary"], out)
        ema.load_state_dict(state["ema"])
        ema.to(device)
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    if main:
        checkpoint.discard_after(out / "checkpoints", step)
        write_text(out / "config.yaml", configs.dump(config))
        write_json(out / "run.json", run)
    wrapped, critic = accelerator.prepare_model(model), accelerator.prepare_model(adversary)
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=setup.uses_bf16(config, device.type)
    )

    # Batches: the order is a function of (seed, samples consumed).
    world, micro = accelerator.num_processes, knobs.accumulation
    per_step = knobs.batch_size * world * micro
    flips = FaceAugmentation(flip=0.5 * config.data.flip)
    faces = FaceDataset(folder, "generator", flips, knobs.seed)
    sampler = IndexKeyedSampler(
        len(faces), knobs.batch_size, knobs.seed, step * per_step, accelerator.process_index, world
    )
    batches = iter(
        DataLoader(
            faces,
            batch_sampler=sampler,
            collate_fn=collate,
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
                "adversary": adversary.state_dict(),
                "ema": ema.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            }
            checkpoint.save(out / "checkpoints", step, state, knobs.keep_checkpoints)

    log = MeansLog(out, step) if main else None
    grids = first_stage_export.Grids(folder) if main and knobs.sample_every else None
    slower_from = criterion.adversary_start if criterion.adversary else None
    length = session.Length(accelerator, steps, knobs.minutes, step, slower_from)
    saved_at = time.monotonic()
    wrapped.train()
    with session.signals_noted() as signalled, tqdm(
        total=steps or None, initial=step, desc="train", unit="step", disable=not main
    ) as bar:  # fmt: skip
        while steps == 0 or step < steps:
            contested = criterion.heeds_adversary(step)
            for index in range(micro):
                batch: FaceBatch = next(batches).to(device)
                images = to_network(batch.image)
                images = images.contiguous(memory_format=torch.channels_last)  # [B, 3, H, W]
                randomness = torch_generator(
                    knobs.seed, "step", step, index, accelerator.process_index
                )
                noise = torch.randn(model.latent_shape(images), generator=randomness).to(device)
                last = index == micro - 1
                with contextlib.nullcontext() if last else accelerator.no_sync(wrapped):
                    with autocast:
                        rebuilt = wrapped(images, noise)
                        loss, terms = criterion(
                            images,
                            rebuilt,
                            adversary if contested else None,
                            model.last_layer,
                            lambda value: accelerator.reduce(value, "mean"),
                        )
                    accelerator.backward(loss / micro)
                if contested:
                    both = torch.cat([images, rebuilt.images.detach()])  # [2 B, 3, H, W]
                    with contextlib.nullcontext() if last else accelerator.no_sync(critic):
                        with autocast:
                            real, fake = critic(both).float().chunk(2)
                        verdict = discriminator_hinge(real, fake)
                        accelerator.backward(verdict / micro)
                    terms["discriminator"] = verdict

            # Update weights and their average; a step that is not finite is skipped.
            norms = [gradient_norm(parameters, clip_norm)]
            if contested:
                norms.append(gradient_norm(critic_parameters, clip_norm))
            finite = all(math.isfinite(float(norm)) for norm in norms)
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
                log.collect(terms | {"gradient_norm": norms[0]}, per_step)
                if step % knobs.log_every == 0 or step == steps:
                    bar.set_postfix(loss=f"{log.write(step, optimizers)['loss']:.4f}")
                if grids is not None and (step % knobs.sample_every == 0 or step == steps):
                    with session.averaged(model, ema):
                        grids.write(log.tensorboard, model.autoencoder, step)

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
            done = {**run, "steps": steps, "batch": per_step, "perceptual": criterion.name}
            first_stage_export.save_model(out / "model", config, model.autoencoder, folder, done)
    accelerator.wait_for_everyone()
    return out / "model"
