"""From a resolved config to what a reference needs: evidence encoder, pairs, tasks, data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facecond.config import RunConfig
from facecond.data.appearance import appearance_attributes
from facecond.data.evidence_cache import evidence_cache
from facecond.data.latents import LatentCache
from facecond.data.paired_latents import (
    PairedLatents,
    check_mix,
    check_variants,
    stated_both_ways,
)
from facecond.data.pairs import PairRules, Triples, build_pairs, check_shown_twice
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import APPEARANCE, ATTRIBUTES
from facecond.models.denoiser import Denoiser
from facecond.models.evidence import EvidenceEncoder, load_evidence
from facecond.models.face_embedding import FaceEmbedder, load_face_embedder
from facecond.models.first_stage import FirstStage
from facecond.models.pixels import pictures_to_network
from facecond.models.reference_tasks import MIX, TASKS, ReferenceTasks
from facecond.models.weights_hash import weights_hash
from facecond.storage import hash_of

OWN_NAMES = ("qformer", "reference")
"""Begin the names of the parameters that belong to references (after `to_kv.` for keys, values)."""


SEARCHED = ("appearance", "geometry", "identity")
"""Tasks whose pairs are searched for in the data."""


class References:
    """What a training with references is made of; the evidence encoder is loaded when asked for.

    Args:
        config: of the run.
        image_size: side of the pictures in pixels.
        latent_shape: channels, height, width.
        folder: the data; None builds a model alone, which is not checked against them.
    """

    MEASURED = 4096
    """Faces that tell what evidence is usual."""

    def __init__(
        self,
        config: RunConfig,
        image_size: int,
        latent_shape: tuple[int, int, int],
        folder: PreparedFolder | None = None,
    ) -> None:
        self.config, self.knobs, self.folder = config, config.reference, folder
        self.mix = dict(config.reference.mix) or MIX
        self.image_size, self.latent_shape = image_size, latent_shape
        self.report = ""
        """How many pairs were found, once the data set is made."""

    @cached_property
    def encoder(self) -> EvidenceEncoder:
        """The frozen encoder of the references."""
        return load_evidence(
            self.knobs.evidence, self.image_size, self.latent_shape, self.knobs.grid
        )

    @cached_property
    def embedder(self) -> FaceEmbedder | None:
        """What tells persons apart, where pairs are searched and the data do not say who is who."""
        assert self.folder is not None  # without data nothing is searched
        told = self.folder.identities is not None or self.folder.factors is not None
        if told or self.knobs.same_picture or not self.knobs.embedder:
            return None
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return load_face_embedder(self.knobs.embedder, device=device)

    def hashes(self) -> dict[str, str]:
        """Which weights read references and tell persons apart: a run goes on with the same."""
        found = {"evidence_hash": self.hash()}
        return found | ({"embedder_hash": self.embedder.hash} if self.embedder is not None else {})

    def check(self, sources: Sequence[str]) -> None:
        """Find faults before anything is computed or written.

        Raises:
            UserError: tasks, rules or data that do not fit the routing's sources or each other.
        """
        check_mix(self.mix, TASKS)
        check_variants(self.config.data.variants)
        rules = PairRules(**asdict(self.config.pairs))
        parts = {source == "reference:appearance" for source in sources if "reference" in source}
        if self.knobs.trunks > 1 and len(parts) < 2:
            what = "a trunk would do nothing: one reads reference:appearance, the other the rest"
            raise UserError(what, "reference.trunks", "Use 1, or route both.")
        for task, share in self.knobs.mix.items():
            if share and not self._taught(task, sources):
                what = f"the task '{task}' teaches nothing that is routed and shown by the data"
                raise UserError(what, "reference.mix", "Route its source, or leave it out.")
        if "reference:identity" in sources and not self.mix.get("identity"):
            fix = "Give 'identity' a share, or leave the source out."
            raise UserError("no task teaches reference:identity", "reference.mix", fix)
        if self.knobs.pairs and not Path(self.knobs.pairs).is_file():
            fix = "Write it with: facecond data pairs DIR --cache FILE"
            raise UserError("there is no such file", self.knobs.pairs, fix)
        if self.folder is not None:
            rules.compared(self.folder)
            if self.mix.get("identity"):
                check_shown_twice(self.folder, bool(self.knobs.embedder))

    def qformer(self) -> dict[str, Any]:
        """Arguments of the Q-Former but the width of its tokens."""
        knobs = self.knobs
        if knobs.dim % knobs.heads:
            what = f"width {knobs.dim} is no multiple of {knobs.heads} heads"
            raise UserError(what, "reference.dim", "Change one of them.")
        shape = list(self.encoder.config.tokens)
        named = ("dim", "queries", "depth", "heads", "trunks")
        return {"evidence_shape": shape} | {name: getattr(knobs, name) for name in named}

    def arguments(self, sources: Sequence[str]) -> dict[str, Any]:
        """What `build_denoiser` asks for; raises `UserError` where `check` finds a fault."""
        self.check(sources)
        return {"reference": self.qformer(), "instructions": self.instructions(sources)}

    def instructions(self, sources: Sequence[str]) -> tuple[str, ...]:
        """What the tasks with a share teach, for a routing with these sources."""
        given = [task for task in TASKS if self.mix.get(task, 0) > 0]
        return tuple(dict.fromkeys(take for task in given for take in self._taught(task, sources)))

    def _taught(self, task: str, sources: Sequence[str]) -> list[str]:
        """Instructions that a task teaches."""
        tasks = ReferenceTasks(sources)
        rows = self.attributes(sources) if task == "attribute" else [-1]
        return [take for row in rows for take in tasks.instructions_of(task, row).values()]

    def attributes(self, sources: Sequence[str]) -> list[int]:
        """Columns that the task `attribute` is about: those that the routing carries, that are not
        labelled at random, and that faces have and have not."""
        columns: Sequence[int] = range(len(ATTRIBUTES))
        if self.folder is not None:
            rows = self.folder.indices("generator")
            columns = stated_both_ways(self.folder.attributes[rows])
        tasks, unreliable = ReferenceTasks(sources), self.config.pairs.unreliable
        reliable = [column for column in columns if ATTRIBUTES[column] not in unreliable]
        return [column for column in reliable if tasks.instructions_of("attribute", column)]

    def tasks_of(self, sources: Sequence[str]) -> ReferenceTasks:
        """The tasks for a routing with these sources.

        Where only references are trained, a sample without one would teach nothing: none is
        dropped.
        """
        dropout = 0.0 if self.knobs.freeze else self.knobs.dropout
        appearance = APPEARANCE if self.folder is None else appearance_attributes(self.folder)
        return ReferenceTasks(sources, dropout, self.knobs.keep, appearance)

    def freeze(self, model: Denoiser) -> None:
        """Leave to training only what belongs to references."""
        for name, parameter in model.named_parameters():
            parts = [part.split(":")[0] for part in name.split(".")]
            parameter.requires_grad_(any(part in OWN_NAMES for part in parts))

    def dataset(
        self,
        sources: Sequence[str],
        cache: LatentCache,
        stage: FirstStage,
        stage_hash: str,
        out: Path,
    ) -> PairedLatents:
        """Pairs counted, evidence computed: targets with references of the generator's split.

        Args:
            sources: of the routing.
            cache: latents of the split.
            stage, stage_hash: the first stage, on any device.
            out: run folder; pairs and evidence are kept in it.

        Raises:
            UserError: a task with a share has too few pairs, or evidence is not finite.
        """
        folder, rules = self.folder, PairRules(**asdict(self.config.pairs))
        assert folder is not None  # a training has data
        wanted = {task for task, share in self.mix.items() if share > 0}
        has_triples = "both" in wanted
        wanted |= {"appearance", "geometry"} if has_triples else set()
        searched = [task for task in SEARCHED if task in wanted]
        if self.knobs.same_picture:
            each = np.arange(len(cache), dtype=np.int64)
            rows = dict.fromkeys(searched, np.stack([each, each], 1))
        else:
            embed = self.embedder
            pairs = build_pairs(
                folder,
                "generator",
                rules,
                tasks=searched,
                embed=embed,
                embed_hash=embed.hash if embed is not None else "",
                cache=self.knobs.pairs or out / "pairs.safetensors",
            )
            self.report = pairs.describe()
            rows = {task: pairs.rows[task] for task in searched}
        if has_triples:
            triples = Triples(rows)
            told = f"both: {triples.count:,} choices of two references for {len(triples):,} faces"
            self.report += f"\n{told}"
            if triples.count < rules.min_pairs:
                fix = "Leave 'both' out, find more pairs of both kinds, or lower pairs.min_pairs."
                raise UserError(f"{told}, {rules.min_pairs} wanted", folder.root, fix)
        identity = {"encoder": self.hash(), "first_stage_hash": stage_hash}
        evidence = evidence_cache(
            folder, "generator", Evidence(self.encoder, stage), out / "evidence", identity
        )
        self.encoder.measure(evidence[: self.MEASURED])
        return PairedLatents(
            cache,
            rows,
            evidence,
            TASKS,
            self.mix,
            self.attributes(sources),
            self.config.train.seed,
            self.knobs.same_picture,
        )

    def hash(self) -> str:
        """Hash of the evidence encoder: its settings and weights."""
        settings = {k: v for k, v in self.encoder.config.items() if k[0] != "_"}
        network = getattr(self.encoder, "model", None)
        return hash_of([settings, weights_hash(network) if network is not None else ""])


class Evidence:
    """Pictures uint8 [B, S, S, 3] -> evidence tokens float32 [B, N, E], on the stage's device."""

    def __init__(self, encoder: EvidenceEncoder, stage: FirstStage) -> None:
        self.encoder, self.stage = encoder, stage

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        device = self.stage.device
        self.encoder.to(device)
        pixels = pictures_to_network(pictures, device)  # [B, 3, S, S]
        return self.encoder(pixels, self.stage.encode(pixels)).cpu().numpy()  # [B, N, E]
