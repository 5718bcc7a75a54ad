"""What the tasks of a study do: faces, judges, and runs.

A process that does one imports this module, and with it everything that a task needs.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from facecond.analysis.ablation.sharing import share_into
from facecond.config import JudgeConfig, RunConfig, StudyDataConfig, StudyEvaluateConfig, load
from facecond.data.prepared import PreparedFolder
from facecond.data.render_set import render_prepared
from facecond.errors import UserError
from facecond.evaluation.conditions import images_of, masks_of
from facecond.evaluation.context import Amounts
from facecond.evaluation.generation import Processes
from facecond.evaluation.independence import Independence, check_evidence, check_judges, trained_on
from facecond.evaluation.judges import Judges
from facecond.evaluation.protocol import PROTOCOLS, Evaluation, Protocol, evaluate
from facecond.evaluation.report_parts import describe
from facecond.evaluation.results import write_results
from facecond.models.lpips_distance import LpipsDistance
from facecond.pipeline import FacePipeline, load_pipeline
from facecond.provenance import commit
from facecond.storage import atomic_file, make_folder, read_json, write_json
from facecond.training import export, setup
from facecond.training.judges import train_judge
from facecond.training.loop import train

PROBES = {name: probe for plan in PROTOCOLS.values() for name, probe in plan.probes.items()}
"""What a study may measure."""
DONE = "done.json"
"""Written last into a run's folder: the run is finished."""
RUN_SCHEMA = "facecond.ablation_run/1"


@dataclass(frozen=True)
class RunOrder:
    """Everything that one run needs.

    Attributes:
        config: with its data folder and its seed.
        identity: what the run is, kept in `DONE`: config_hash, data_hash, evaluation_hash.
        store: folder of the first stages and latents that runs share.
        init: folder of the run that it begins from, or None.
    """

    variant: str
    seed: int
    folder: Path
    config: RunConfig
    identity: dict[str, str]
    evaluate: StudyEvaluateConfig
    judges: tuple[str, ...]
    store: Path
    init: Path | None = None


def make_faces(out: Path, settings: StudyDataConfig, workers: int) -> None:
    """Render the study's faces."""
    shares = settings.judges_fraction, settings.test_fraction
    drawn = settings.count, settings.size, settings.seed, True, *shares
    render_prepared(out, *drawn, workers, settings.variations)


def make_judge(kind: str, config: str, root: str, out: Path, seed: int, steps: int) -> None:
    """Train one of the study's judges."""
    overrides = [f"judge.seed={seed}", *([f"judge.steps={steps}"] if steps else [])]
    told = load(JudgeConfig, config, overrides)
    make_folder(out.parent)
    train_judge(
        kind,  # type: ignore[arg-type]
        PreparedFolder.open(root),
        out,
        part=told.data.part,
        split=told.data.split,
        **asdict(told.judge),
    )


def make_run(order: RunOrder) -> None:
    """Train and evaluate. What an earlier try finished is used: a finished training is not
    repeated, a half-done one goes on from its checkpoint, a half-done evaluation likewise."""
    seconds = {}
    began = time.monotonic()
    folder = setup.open_data(order.config)
    make_folder(order.folder)
    model = order.folder / "model"
    if not is_trained(order, folder.data_hash):
        if order.init is not None and not (order.init / DONE).is_file():
            what = "the run that this one begins from is not finished"
            raise UserError(what, order.init, "See its log.txt; the same command tries again.")
        share_into(order.folder, order.config, folder, order.store)
        train(order.config, order.folder, "auto", order.init)
        seconds["train"] = round(time.monotonic() - began, 1)
    began = time.monotonic()
    out = order.folder / "evaluation"
    if (out / "results.jsonl").is_file():  # of other settings: rows would pile up
        shutil.rmtree(out)
    pipeline, found, judged = assess(order, model, make_folder(out))
    write_results(out, found, judged)
    write_pictures(out / "pictures.npz", found)
    found.context.parts.clear()
    seconds["evaluate"] = round(time.monotonic() - began, 1)
    told = read_json(model / "provenance.json")
    record = {
        "schema": RUN_SCHEMA,
        "variant": order.variant,
        "seed": order.seed,
        **order.identity,
        "training_hash": told["config_hash"],
        "trained_at": told["commit"],
        "evaluated_at": commit(),
        "model": found.provenance["model"],
        "parameters": told["parameters"],
        "steps": told["steps"],
        "batch": told["batch"],
        "seconds": seconds,
        "routing": pipeline.unet.trained_routing.to_dict(),
    }
    write_json(order.folder / DONE, record)
    # What follows is of use to an unfinished run only.
    shutil.rmtree(order.folder / "checkpoints", ignore_errors=True)


def is_trained(order: RunOrder, data_hash: str) -> bool:
    """Whether the run's folder holds the model that its config asks for."""
    file = order.folder / "model" / "provenance.json"
    if not (file.parent / "model_index.json").is_file() or not file.is_file():
        return False
    told, wanted = read_json(file), export.provenance(order.config, data_hash)
    return all(told.get(key) == wanted[key] for key in ("config_hash", "data_hash"))


def assess(
    order: RunOrder, model: Path, out: Path
) -> tuple[FacePipeline, Evaluation, Independence]:
    """Evaluate the run's model as the study says; also what its judges have in common."""
    settings, device = order.evaluate, Processes().device
    folder = PreparedFolder.open(order.config.data.root)
    judges = [Judges.load(place, device) for place in order.judges]
    judged = check_judges(judges, folder, trained_on(model, judges))
    pipeline = load_pipeline(model).to(device)
    check_evidence(judges, pipeline.evidence_encoder)
    distance = None
    if "diversity" in settings.probes:
        distance = LpipsDistance("alex", settings.lpips_trunk).to(device)
    found = evaluate(
        pipeline,
        folder,
        judges,
        protocol=Protocol("ablation", None, {name: PROBES[name] for name in settings.probes}),
        n=settings.n,
        seed=settings.seed,
        guidance=settings.guidance,
        num_inference_steps=settings.steps or None,
        batch_size=settings.batch_size,
        keep=settings.pictures,
        distance=distance,
        amounts=Amounts(
            diversity=settings.diversity,
            samples=settings.samples,
            turned=settings.turned,
            swapped=settings.swapped,
            references=settings.references,
        ),
        unfinished=out / "unfinished",
    )
    return pipeline, found, judged


def write_pictures(path: Path, found: Evaluation) -> None:
    """The first samples with their conditions: arrays `samples`, `real` uint8 [k, S, S, 3],
    `parsed`, `masks` uint8 [k, S, S], `words` str [k], `rows` int64 [k]."""
    folder, rows = found.context.folder, found.indices[: len(found.samples)]
    with atomic_file(path) as temporary:
        np.savez_compressed(
            temporary,
            samples=found.samples,
            parsed=found.parsed,
            masks=masks_of(folder, rows),
            real=images_of(folder, rows),
            words=np.array([describe(folder.attributes[row]) for row in rows], np.str_),
            rows=rows,
        )
