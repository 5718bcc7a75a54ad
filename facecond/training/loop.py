"""THE training loop of the denoiser, read top to bottom.

Everything random is keyed by (seed, step): a run that was killed goes on exactly as if it had not
been. The state is the weights, their average, the optimisers and the step.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from facecond import devices
from facecond.config import RunConfig
from facecond.data.latents import LatentCache
from facecond.data.notes import lacking
from facecond.data.paired_latents import PairedLatents
from facecond.diffusion import guidance
from facecond.diffusion.objective import Objective
from facecond.diffusion.paths import log_snr
from facecond.diffusion.schedulers import scheduler
from facecond.errors import UserError
from facecond.models.condition_dropout import ConditionDropout
from facecond.models.denoiser import Denoiser
from facecond.pipeline import GUIDED
from facecond.seeding import torch_generator
from facecond.storage import hash_of
from facecond.training import export, initialise, session, setup
from facecond.training.few_step import FewStep
from facecond.training.log import TrainingLog
from facecond.training.references import References
from facecond.training.steps import Steps
from facecond.training.teacher import Teacher, check_few_step
from facecond.training.updates import Updates


@devices.zero_denormals()
def train(
    config: RunConfig,
    out: str | Path,
    resume: str = "auto",
    init: str | Path | None = None,
    build: Callable[..., Denoiser] = setup.denoiser_for,
) -> Path:
    """Train a denoiser into the run folder `out` and return the model folder `out/model`.

    Args:
        config: what to train.
        out: run folder: config, latents, checkpoints, logs, model.
        resume: `auto` goes on from the newest whole checkpoint, `never` starts anew, a path names
            a checkpoint folder.
        init: model folder (or finished run) whose weights a new run begins with; a run that goes on
            from a checkpoint keeps its own.
        build: makes the new denoiser, with the arguments of `setup.denoiser_for`.

    Raises:
        UserError: a fault in config or data; a checkpoint of another run; a loss that stays
            non-finite.
        session.Interrupted: on SIGTERM or SIGINT, all steps that were done being saved.
    """
    knobs = config.train
    setup.check_length(config)
    scheduler(config.sampling.scheduler, config.objective.schedule, config.objective.prediction)
    guidance.plan(config.sampling.guidance, GUIDED)
    check_few_step(config)
    objective = Objective(**asdict(config.objective))
    dropout = ConditionDropout(**asdict(config.dropout))
    folder = setup.open_data(config)
    setup.check_sizes(config, folder.image_size)
    # Without `cpu`, processes on a machine without a GPU would not know of each other.
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
    device, main = accelerator.device, accelerator.is_main_process
    if main:
        for note in lacking(folder, folder.indices("generator"), "no face of the training split"):
            tqdm.write(f"note: {note}")
    out = Path(out)
    run, before, state = session.open_run(config, folder.data_hash, out, resume, main)
    teacher = Teacher(config) if config.few_step.teacher else None
    if teacher is not None:
        init = teacher.beginning(init, before)
    begin = initialise.beginning(init, config, out, before, state is not None)

    # Model, new or with the weights of another.
    shape = setup.latent_shape(config, folder)
    references = References(config, folder.image_size, shape, folder)
    model = build(config, folder.image_size, shape, references)
    with_reference = bool(model.condition_encoder.references)
    sources = model.unet.trained_routing.sources
    run["routing_hash"] = hash_of(model.unet.trained_routing.to_dict())
    if with_reference:
        run |= references.hashes()
    if teacher is not None:
        run["teacher_hash"] = teacher.hash
        teacher.check(model, begin.first_stage_hash)
    session.check_same(before or run, run, out)  # the files that a config names may have changed
    if begin.record is not None and state is None:
        report = begin.fill(model)
        if main:
            tqdm.write(report)
    if begin.record is not None:
        run["init"] = begin.record
    elif with_reference and config.reference.freeze:
        fix = "Give --init MODEL, or set it to false."
        raise UserError("there is nothing to leave as it is", "reference.freeze", fix)

    # First stage and latents (the main process builds, the others then find them built);
    # nothing is written before.
    with accelerator.main_process_first():
        stage_path = out / "first_stage"
        stage = setup.first_stage_for(
            config, folder, stage_path, begin.first_stage_path, begin.first_stage_hash
        )
        cache = setup.latent_cache_for(config, folder, stage, stage_path, out / "latents")
        run["first_stage_hash"] = setup.first_stage_hash(stage_path)
        faces: LatentCache | PairedLatents = cache
        if with_reference:
            faces = references.dataset(sources, cache, stage, run["first_stage_hash"], out)

    if main and references.report:
        tqdm.write(references.report)

    # Optimisers, average, resume.
    model.to(device)
    model.to(memory_format=model.unet.memory_format)
    if knobs.gradient_checkpointing:
        model.unet.enable_gradient_checkpointing()
    if with_reference and config.reference.freeze:
        references.freeze(model)
    model.unet.freeze_off_cells()
    updates = Updates.of(model, config.optim, out)
    steps = Steps(accelerator, config, out, run, {"model": model}, updates)
    if state is not None:
        steps.resume(state)
    if main:
        session.write_run(config, run, out, steps.count)
    wrapped = accelerator.prepare_model(model)
    if knobs.compile:
        devices.check_compiler(device.type, "train.compile")
        wrapped = torch.compile(wrapped)
    autocast = torch.autocast(
        device.type, torch.bfloat16, enabled=setup.uses_bf16(config, device.type)
    )
    few_step = None if teacher is None else FewStep(teacher, model, autocast)
    if few_step is not None:
        few_step.follow(updates.ema)

    batches, micro = steps.batches(faces), knobs.accumulation
    tasks = references.tasks_of(sources) if with_reference else None
    perceptual = setup.perceptual_loss_for(config, objective, stage)
    if perceptual is not None:
        stage.to(device)
    weighed = objective if few_step is None else None
    log = TrainingLog(out, weighed, steps.count) if main else None
    if log is not None:
        log.gates(model.unet.routing)
    grids = export.SampleGrids(config, folder, stage) if main and knobs.sample_every else None
    wrapped.train()
    with steps:
        while steps.remain:
            # Accumulate gradients of one step.
            positions: list[Tensor] = []
            scored: list[tuple[Tensor, ...]] = []
            for index in range(micro):
                batch = {key: value.to(device) for key, value in next(batches).items()}
                positions += [batch["index"]] if "index" in batch else []
                # Several processes draw at once what one draws over several batches; their number
                # is left out of the key (the 0), and so a process alone draws as it always did.
                place = index * accelerator.num_processes + accelerator.process_index
                randomness = torch_generator(knobs.seed, "step", steps.count, place, 0)
                x_0 = batch["latents"]  # [B, C, h, w]
                t, aim = objective.sample_t(len(x_0), randomness).to(device), None  # [B]
                noise = torch.randn(x_0.shape, generator=randomness).to(device)  # [B, C, h, w]
                attributes, mask = dropout(batch["attributes"], batch["mask"], randomness)
                if few_step is None:
                    x_t = objective.add_noise(x_0, noise, t)
                else:
                    aim = few_step.aim(x_0, noise, attributes, mask, randomness)
                    t, x_t = aim.t, aim.x_t
                levels = log_snr(objective.schedule, t.cpu())
                gates = model.unet.gates(levels)  # [L, S] or [B, L, S]
                evidence = instructions = None
                if tasks is not None:
                    asked = tasks(batch["task"], batch["attribute"], attributes, mask, randomness)
                    attributes, mask = asked.attributes, asked.mask
                    evidence = tasks.evidence(batch)  # [B, N, E] or [B, R, N, E]
                    instructions = asked.instructions  # [B, R]
                    gates = gates * asked.weights[:, None]  # [B, L, S]
                gates = dropout.drop_layers(gates, len(x_0), randomness)
                last = index == micro - 1
                sync = contextlib.nullcontext() if last else accelerator.no_sync(wrapped)
                with sync:
                    with autocast:
                        prediction = wrapped(
                            x_t, objective.timestep(t), attributes, mask, gates, evidence,
                            instructions, None if aim is None else aim.step,
                        )  # fmt: skip
                    if aim is None:
                        losses = objective.loss(prediction, x_0, noise, t)  # [B]
                    else:
                        losses = aim.loss(prediction)  # [B]
                    loss = losses.mean()
                    if perceptual is not None:
                        with autocast:
                            seen = perceptual(prediction, x_t, x_0, t)  # [B]
                        loss = loss + perceptual.weight * seen.mean()
                    scored.append((t, losses.detach()))
                    if perceptual is not None:
                        scored[-1] += (seen.detach(), perceptual.active(t))
                    accelerator.backward(loss / micro)

            # Update weights and their average.
            names = partial(setup.names_of, folder, positions)
            norm = updates.apply(steps.rate_factor, steps.count, names)
            steps.advance()
            if few_step is not None:
                few_step.follow(updates.ema)

            # Report.
            told = [accelerator.gather(torch.cat(part)) for part in zip(*scored, strict=True)]
            if log is not None:
                log.collect(told[0], told[1], norm, steps.batch)
                if perceptual is not None:
                    log.collect_perceptual(told[2], told[3])
                if steps.is_due(knobs.log_every):
                    steps.bar.set_postfix(
                        log.write(steps.count, updates.optimizers, updates.skips())
                    )
                    log.learned_gates(model.unet, steps.count)
                if grids is not None and steps.is_due(knobs.sample_every):
                    with updates.averaged():
                        grids.write(log.tensorboard, model, steps.count, steps.signalled)

            steps.save_or_stop()
    steps.finish()
    if log is not None:
        log.tensorboard.close()
        with updates.averaged():
            encoder = references.encoder if with_reference else None
            export.save_model(
                out / "model", config, model, stage, steps.record(), folder.source, encoder
            )
    accelerator.wait_for_everyone()
    return out / "model"
