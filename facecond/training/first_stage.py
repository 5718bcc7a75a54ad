"""The training loop of a first stage: a KL autoencoder, read top to bottom.

It keeps the habits of `loop.py`: everything random is keyed by (seed, step), so that a run which
was killed goes on exactly as if it had not been.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from facecond.config import FirstStageRunConfig
from facecond.data.augmentation import FaceAugmentation
from facecond.data.dataset import FaceBatch, FaceDataset, collate
from facecond.models.kl_autoencoder import KlAutoencoder
from facecond.models.pixels import to_network
from facecond.seeding import torch_generator
from facecond.training import first_stage_export, session, setup
from facecond.training.first_stage_init import begin_from
from facecond.training.first_stage_loss import AutoencoderLoss, discriminator_hinge
from facecond.training.first_stage_plan import autoencoder_for, check, discriminator_for
from facecond.training.log import MeansLog
from facecond.training.optim import OrderedAdamW
from facecond.training.steps import Steps
from facecond.training.updates import Updates

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
        session.Interrupted: on SIGTERM or SIGINT, all steps that were done being saved.
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
    out = Path(out)
    run, before, state = session.open_run(config, folder.data_hash, out, resume, main)

    # Autoencoder, discriminator, optimisers, average, resume.
    model = KlAutoencoder(autoencoder_for(config, folder.image_size))
    began, report = begin_from(init, model.autoencoder, out, before, state is not None)
    if began is not None:
        run["init"] = began
    if main and report:
        tqdm.write(report)
    model.to(device).to(memory_format=torch.channels_last)
    if knobs.gradient_checkpointing:
        model.autoencoder.enable_gradient_checkpointing()
    discriminator = discriminator_for(config)
    discriminator.to(device).to(memory_format=torch.channels_last)
    updates = Updates.of(model, config.optim, out)
    group = {"params": list(discriminator.parameters()), "weight_decay": 0.0}
    rate = config.discriminator.learning_rate
    updates.add(discriminator, [OrderedAdamW([group], lr=rate, betas=DISCRIMINATOR_BETAS)])
    modules = {"model": model, "discriminator": discriminator}
    steps = Steps(accelerator, config, out, run, modules, updates)
    if state is not None:
        steps.resume(state)
    if main:
        session.write_run(config, run, out, steps.count)
    wrapped = accelerator.prepare_model(model)
    wrapped_discriminator = accelerator.prepare_model(discriminator)
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=setup.uses_bf16(config, device.type)
    )

    flips = FaceAugmentation(flip=0.5 * config.data.flip)
    faces = FaceDataset(folder, "generator", flips, knobs.seed)
    batches, micro = steps.batches(faces, collate), knobs.accumulation
    log = MeansLog(out, steps.count) if main else None
    grids = first_stage_export.Grids(folder) if main and knobs.sample_every else None
    wrapped.train()
    with steps:
        while steps.remain:
            adversarial = criterion.is_adversarial(steps.count)
            if adversarial and steps.count == criterion.adversary_start:
                steps.schedule.speed_changes()
            for index in range(micro):
                batch: FaceBatch = next(batches).to(device)
                images = to_network(batch.image)
                images = images.contiguous(memory_format=torch.channels_last)  # [B, 3, H, W]
                # Several processes draw at once what one draws over several batches; their number
                # is left out of the key (the 0), and so a process alone draws as it always did.
                place = index * accelerator.num_processes + accelerator.process_index
                randomness = torch_generator(knobs.seed, "step", steps.count, place, 0)
                noise = torch.randn(model.latent_shape(images), generator=randomness).to(device)
                last = index == micro - 1
                with contextlib.nullcontext() if last else accelerator.no_sync(wrapped):
                    with autocast:
                        rebuilt = wrapped(images, noise)
                        loss, terms = criterion(
                            images,
                            rebuilt,
                            discriminator if adversarial else None,
                            model.last_layer,
                            lambda value: accelerator.reduce(value, "mean"),
                        )
                    accelerator.backward(loss / micro)
                if adversarial:
                    both = torch.cat([images, rebuilt.images.detach()])  # [2 B, 3, H, W]
                    unsynced = accelerator.no_sync(wrapped_discriminator)
                    with contextlib.nullcontext() if last else unsynced:
                        with autocast:
                            real, fake = wrapped_discriminator(both).float().chunk(2)
                        terms["discriminator"] = discriminator_hinge(real, fake)
                        accelerator.backward(terms["discriminator"] / micro)

            # Update weights and their average.
            norm = updates.apply(steps.rate_factor, steps.count)
            steps.advance()

            # Report.
            if log is not None:
                log.collect(terms | {"gradient_norm": norm}, steps.batch)
                if steps.is_due(knobs.log_every):
                    loss = log.write(steps.count, updates.optimizers, updates.skips())["loss"]
                    steps.bar.set_postfix(loss=f"{loss:.4f}")
                if grids is not None and steps.is_due(knobs.sample_every):
                    with updates.averaged():
                        grids.write(log.tensorboard, model.autoencoder, steps.count)

            steps.save_or_stop()
    steps.finish()
    if log is not None:
        log.tensorboard.close()
        with updates.averaged():
            done = {**steps.record(), "perceptual": criterion.name}
            first_stage_export.save_model(out / "model", config, model.autoencoder, folder, done)
    accelerator.wait_for_everyone()
    return out / "model"
