"""Faces at equal quality: models of the same training, each with its best solver and steps.

Models that are not given are trained, all by `training.loop.train` on the same folder, config, seed
and number of steps; a peer's with its UNet in place of ours. Every solver and number of steps is
scored on the same conditions and noise; then the settings that are equally good within their
intervals run side by side.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from facecond import config as configs
from facecond.benchmarks.contender import Contender, Entries
from facecond.benchmarks.denoisers import OWN
from facecond.benchmarks.equal_quality import (
    HIGHER,
    LOWER,
    Row,
    best_setting,
    matching,
    scores,
    shipped_setting,
)
from facecond.benchmarks.peer_unet import peer_denoiser, without_checkpointing
from facecond.benchmarks.pipelines import open_pipeline
from facecond.benchmarks.settings import Settings
from facecond.benchmarks.work import Work, parameters_of, random_batch
from facecond.config import RunConfig
from facecond.data.prepared import PreparedFolder
from facecond.diffusion.schedulers import FLOW, VARIANCE_PRESERVING
from facecond.errors import UserError
from facecond.evaluation.judges import Judges
from facecond.evaluation.step_table import StepTable, step_rows
from facecond.models.denoiser import Denoiser
from facecond.storage import make_folder, read_json, read_json_lines, write_text
from facecond.training.loop import train

FACES = 8
SHARED = ("data_hash", "first_stage_hash", "steps", "batch", "seed")
"""Of a model's provenance: what has to be equal."""


def entries(settings: Settings, case: str) -> Entries:
    """facecond at the quality of its peers, and each peer as shipped and at its best."""
    wanted = settings.quality
    if not (wanted.data and wanted.judges):
        raise UserError("needs faces and judges", "equal-quality", "Add --data DIR --judges DIR.")
    if not settings.peers:
        raise UserError("has nobody to compare with", "equal-quality", "Add --peer ldm=CHECKOUT.")
    place = make_folder(Path(settings.folder) / "equal-quality")
    models = {name: model_of(name, settings, place) for name in (OWN, *settings.peers)}
    swept = {name: sweep(name, models[name], settings, place) for name in models}
    found: Entries = {}
    reached: list[Row] = []
    for name in settings.peers:
        shipped = shipped_setting(swept[name], *wanted.shipped)
        reached += [best_setting(swept[name]), shipped]
        fp32 = replace(settings, precision="fp32", compile=False)
        found[f"{name} as shipped"] = partial(_contender, models[name], shipped, fp32, {})
        best = best_setting(swept[name])
        found[f"{name} at its best"] = partial(_contender, models[name], best, settings, {})
    own = matching(swept[OWN], reached)
    told = {"as_good_as_all": own is not None}
    chosen = own or best_setting(swept[OWN])
    return {OWN: partial(_contender, models[OWN], chosen, settings, told), **found}


def model_of(name: str, settings: Settings, place: Path) -> Path:
    """The model that was given, or one trained here; a training that was stopped goes on."""
    wanted = settings.quality
    if name in wanted.models:
        return Path(wanted.models[name])
    config = configs.load(RunConfig, wanted.config, [*wanted.overrides, f"data.root={wanted.data}"])
    if config.train.steps <= 0:
        fix = "Add --set train.steps=N train.minutes=0: all see the same number of pictures."
        raise UserError("the length of the training is a time", "equal-quality", fix)
    if name == OWN:
        return train(config, place / name)
    return train(config, place / name, build=partial(build_peer, name))


def build_peer(
    kind: str, config: RunConfig, image_size: int, shape: tuple[int, int, int], *_: Any
) -> Denoiser:
    """A peer's denoiser for a run, in place of `training.setup.denoiser_for`.

    Without the recomputation of latent-diffusion, which leaves autocast behind in the backward
    pass: in bfloat16 it fails there.
    """
    work = Work(config, image_size, config.train.batch_size, FACES, config.sampling.steps)
    assert work.latent_shape == shape
    made = peer_denoiser(kind, work, config.train.seed)
    without_checkpointing(made)
    return made


def sweep(name: str, model: Path, settings: Settings, place: Path) -> list[Row]:
    """Scores and times of every solver and number of steps; what is known is not done again."""
    wanted = settings.quality
    pipeline = open_pipeline(model, settings)
    known = FLOW if pipeline.config["schedule"] == "flow" else VARIANCE_PRESERVING
    solvers = [solver for solver in wanted.solvers if solver in known]
    if not solvers:
        raise UserError(f"none of them samples {model}", "--solvers", f"Add {next(iter(known))}.")
    file = place / f"{name}.jsonl"
    rows = read_json_lines(file) if file.is_file() else []
    table = StepTable(
        pipeline, PreparedFolder.open(wanted.data), Judges.load(wanted.judges, pipeline.device),
        solvers, wanted.steps, wanted.conditions, settings.seed,
    )  # fmt: skip
    for row in step_rows(table, rows):
        rows.append(row)
        write_text(file, "".join(json.dumps(each) + "\n" for each in rows))
    # Rows of another model or other conditions may stand in the file.
    asked = [(solver, steps) for solver in solvers for steps in wanted.steps]
    found = [row for row in table.own(rows) if (row["scheduler"], row["steps"]) in asked]
    if any(row[f"{name}_low"] is None for row in found for name in (*HIGHER, *LOWER)):
        what = f"{wanted.conditions} conditions are too few for intervals"
        raise UserError(what, "--conditions", "Take 100 or more.")
    return found


def _contender(model: Path, setting: Row, settings: Settings, told: dict[str, Any]) -> Contender:
    pipeline = open_pipeline(model, settings)
    pipeline.use_scheduler(setting["scheduler"])
    if settings.compile:
        pipeline.unet.compile()
    size = pipeline.image_size
    provenance = read_json(model / "provenance.json")
    work: dict[str, Any] = {name: provenance[name] for name in SHARED if name in provenance}
    parts = (pipeline.unet, pipeline.condition_encoder)
    work["parameters"] = sum(parameters_of(part) for part in parts)
    config = configs.load(RunConfig, settings.quality.config, list(settings.quality.overrides))
    like = Work(config, size, FACES, FACES, setting["steps"])

    @torch.no_grad()
    def run(batch: Any, out: Tensor) -> None:
        images = pipeline(
            batch.attributes, batch.mask, latents=batch.latents,
            num_inference_steps=setting["steps"],
        ).images  # fmt: skip
        out.copy_(torch.from_numpy(images))

    def prepare(repeat: int) -> Any:
        return random_batch(like, FACES, repeat, settings)

    shape = (FACES, size, size, 3)
    return Contender(
        prepare, run, shape, FACES, "faces", work=work,
        facts=scores(setting) | told | {"precision": pipeline.precision},
    )  # fmt: skip
