"""Protocols: which probes look at a model, on how many conditions -> rows.

Beside each score stand

- its *ceiling*: the real test pictures through the same judge;
- its *floor*: the generated pictures against the conditions of another row (a derangement), which
  holds all that is right by chance or by habit;
- a bootstrap interval and the number of images.

Everything is read from the pictures as they would be saved, uint8.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation import survey
from facecond.evaluation.adherence import ADHERENCE, MASK_ADHERENCE
from facecond.evaluation.conditions import condition_rows
from facecond.evaluation.configs import check_sizes, config_of, configs_of, routing_of, sizes_of
from facecond.evaluation.context import Amounts, Context, Finding, Probe, TooFew
from facecond.evaluation.diversity import DIVERSITY
from facecond.evaluation.fidelity import AGAINST_TEST, FIDELITY, SPREAD
from facecond.evaluation.generation import Processes, Sampler
from facecond.evaluation.groups import GROUPS
from facecond.evaluation.judges import Judges
from facecond.evaluation.memorisation import MEMORISATION
from facecond.evaluation.open_conditions import OPEN_CONDITIONS
from facecond.evaluation.parts import Parts
from facecond.evaluation.references import REFERENCES, taught
from facecond.evaluation.rows import Row, note_row
from facecond.evaluation.selectivity import SELECTIVITY
from facecond.models.weights_hash import weights_hash
from facecond.provenance import commit, versions
from facecond.storage import hash_of, make_folder


@dataclass(frozen=True)
class Protocol:
    """Test conditions (None: every test face that has mask and attributes), probes by name in
    their order, how much the probes sample, and whether the mask is all that is given."""

    name: str
    conditions: int | None
    probes: Mapping[str, Probe]
    amounts: Amounts = field(default_factory=Amounts)
    mask_only: bool = False


_QUICK: dict[str, Probe] = {"adherence": ADHERENCE, "fidelity": FIDELITY}

_PLANS = (
    Protocol("quick", 512, _QUICK),
    Protocol(
        "full",
        None,
        _QUICK
        | {
            "spread": SPREAD,
            "memorisation": MEMORISATION,
            "selectivity": SELECTIVITY,
            "groups": GROUPS,
            "openness": OPEN_CONDITIONS,
            "diversity": DIVERSITY,
            "references": REFERENCES,
        },
    ),
    Protocol("references", 512, {"references": REFERENCES}, Amounts(references=None)),
    # Mask-conditional papers on CelebAMask-HQ (SCDM, arXiv 2402.16506): the masks of 2,000 test
    # faces, FID to the pictures of those faces, LPIPS between 10 samples of every mask.
    Protocol(
        "papers",
        2000,
        {
            "mask_adherence": MASK_ADHERENCE,
            "against_test": AGAINST_TEST,
            "fidelity": FIDELITY,
            "diversity": DIVERSITY,
        },
        Amounts(diversity=None, samples=10),
        mask_only=True,
    ),
)
PROTOCOLS: dict[str, Protocol] = {plan.name: plan for plan in _PLANS}
"""The protocols of `facecond evaluate`."""


@dataclass
class Evaluation:
    """What an evaluation found: `rows` for `results.jsonl`, and a few pictures to look at."""

    rows: list[Row]
    indices: np.ndarray
    """Rows of the prepared folder whose conditions were used, int64 [n]."""
    samples: np.ndarray
    """The first generated pictures, uint8 [k, S, S, 3]; row i belongs to `indices[i]`."""
    parsed: np.ndarray
    """The parser's masks of those pictures, uint8 [k, S, S]."""
    context: Context
    shows: dict[str, Any] = field(default_factory=dict)
    """What probes left for the report, by probe."""
    provenance: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time by probe; the first one that reads the samples waits for them."""

    @contextmanager
    def timed(self, probe: str) -> Iterator[None]:
        """Add the time of the block to that of a probe."""
        began = time.monotonic()
        yield
        spent = self.seconds.get(probe, 0.0) + time.monotonic() - began
        self.seconds[probe] = round(spent, 1)


def evaluate(
    pipeline: Any,
    folder: PreparedFolder,
    judges: Judges | Sequence[Judges],
    *,
    protocol: str | Protocol = "quick",
    n: int | None = None,
    seed: int = 0,
    guidance: Mapping[str, float] | None = None,
    num_inference_steps: int | None = None,
    batch_size: int = 32,
    keep: int = 16,
    extractor: Any = None,
    distance: Any = None,
    embedding: Any = None,
    amounts: Amounts | None = None,
    images_out: str | Path | None = None,
    unfinished: str | Path | None = None,
    progress: bool = True,
) -> Evaluation:
    """Generate faces for test conditions and score them as saved (uint8).

    Under torchrun all processes call this, and all of them sample and measure; then the first one
    scores and gets the result, and the others get an evaluation without rows.

    Args:
        pipeline: a `FacePipeline` (its `first_stage` gives the reconstructions).
        folder: prepared faces; conditions come from rows of the `test` split that have a true mask
            and true attributes, each used once.
        judges: one, or two that differ in seed.
        protocol: one of `PROTOCOLS`, or a plan of one's own.
        n: conditions, exactly so many; None takes the protocol's number, or fewer where there are
            not so many.
        guidance: scale per source; None leaves the pipeline's own.
        num_inference_steps: None leaves the pipeline's own.
        batch_size: faces sampled at a time.
        keep: how many samples to return with the rows.
        extractor: features beside those of the judge (`load_extractor`).
        distance: perceptual distance (`LpipsDistance`) of the probe `diversity`, which is left out
            without one.
        embedding: tells persons apart, a `FaceEmbedder`; None takes the features of the first
            classifier.
        amounts: how much the probes sample, in place of the protocol's own.
        images_out: folder for all samples as PNG, named after their rows; None keeps no files.
        unfinished: folder for measurements; another call with the same model, data, judges and
            settings goes on from there. `context.parts.clear()` removes it.

    Raises:
        UserError: too few test rows, sizes of model, data and judges that differ, or the protocol
            `references` for a model that knows none.
    """
    plan = PROTOCOLS[protocol] if isinstance(protocol, str) else protocol
    if plan.name == "references" and not taught(pipeline):
        fix = "Train one with routing.preset=deadiff, or choose another protocol."
        raise UserError("this model was not trained with references", "--protocol", fix)
    judges = [judges] if isinstance(judges, Judges) else list(judges)
    check_sizes(folder, sizes_of(pipeline, judges))
    rows = condition_rows(folder, n or plan.conditions, seed, or_fewer=n is None)
    processes = Processes()
    settings: dict[str, Any] = {} if guidance is None else {"guidance": dict(guidance)}
    if num_inference_steps is not None:
        settings["num_inference_steps"] = num_inference_steps
    amounts = amounts or plan.amounts
    provenance = {
        "n": len(rows),
        "seed": seed,
        "protocol": plan.name,
        "given": "mask" if plan.mask_only else "mask and attributes",
        "guidance": dict(pipeline.config["guidance"] if guidance is None else guidance),
        "num_inference_steps": num_inference_steps or pipeline.config["steps"],
        **routing_of(pipeline),
        "batch_size": batch_size,
        "device": pipeline.device.type,
        "precision": pipeline.precision,
        "image_size": folder.image_size,
        "model": weights_hash(pipeline),
        "parser": judges[0].hashes()["parser"],
        "classifier": judges[0].hashes()["attributes"],
        "second_judges": [each.hashes() for each in judges[1:]],
        "features": "judge" if extractor is None else extractor.name,
        "features_weights": "" if extractor is None else extractor.weights,
        "perceptual_distance": None if distance is None else distance.name,
        "face_embedding": "judge" if embedding is None else embedding.name,
        "face_embedding_weights": "" if embedding is None else embedding.hash,
        "data": folder.data_hash,
        "split": "test",
        "commit": commit(),
        "versions": versions(),
    }
    identity = hash_of(
        [
            provenance,
            asdict(amounts),
            keep,
            # What counts beside weights: scale, thresholds, sampler, and which files are to be.
            configs_of(pipeline),
            [[config_of(each.parser.model), config_of(each.classifier.model)] for each in judges],
            None if distance is None else weights_hash(distance),
            images_out is not None,
        ]
    )
    parts = Parts(None if unfinished is None else Path(unfinished), identity, processes)
    sampler = Sampler(pipeline, batch_size, settings, processes, progress)
    images_out = None if images_out is None else make_folder(images_out)
    context = Context(
        pipeline, folder, judges, rows, seed, sampler, parts, extractor, distance,
        embedding, amounts, keep, images_out, plan.mask_only,
    )  # fmt: skip
    found = Evaluation([], rows, np.empty(0), np.empty(0), context, provenance=provenance)
    probes = dict(plan.probes)
    if distance is None:
        probes.pop("diversity", None)
    if plan.name == "full" and not taught(pipeline):
        probes.pop("references")
    findings: dict[str, Finding] = {}
    for name, probe in probes.items():
        with found.timed(name):
            try:
                probe.measure(context)
            except TooFew as error:
                findings[name] = Finding([note_row(name, str(error))])
    made = survey.samples(context)
    parts.closed = True
    if not processes.main:
        return found
    for name, probe in probes.items():
        with found.timed(name):
            try:
                finding = findings.get(name) or probe.score(context)
            except TooFew as error:
                finding = Finding([note_row(name, str(error))])
        found.rows += [provenance | row | {"probe": name} for row in finding.rows]
        if finding.show is not None:
            found.shows[name] = finding.show
    found.samples, found.parsed = made["shown"], made["parsed"]
    return found
