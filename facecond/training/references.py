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
from facecond.data.evidence_cache import evidence_cache
from facecond.data.latents import LatentCache
from facecond.data.paired_latents import PairedLatents
from facecond.data.pairs import PairRules, build_pairs
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.labels import ATTRIBUTES
from facecond.models.denoiser import Denoiser
from facecond.models.evidence import EvidenceEncoder, load_evidence
from facecond.models.face_embedding import load_face_embedder
from facecond.models.first_stage import FirstStage
from facecond.models.pixels import pictures_to_network
from facecond.models.reference_tasks import MIX, TASKS, ReferenceTasks
from facecond.models.weights_hash import weights_hash
from facecond.storage import hash_of

OWN_NAMES = ("qformer", "reference")
"""Begin the names of the parameters that belong to references (after `to_kv.` for keys, values)."""


class References:
    """What a training with references is made of; the evidence encoder is loaded when asked for.

    Args:
        config: of the run.
        image_size: side of the pictures in pixels.
        latent_shape: channels, height, width.
    """

    MEASURED = 4096
    """Faces that tell what evidence is usual."""

    def __init__(
        self, config: RunConfig, image_size: int, latent_shape: tuple[int, int, int]
    ) -> None:
        self.config, self.knobs = config, config.reference
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
        """What `build_denoiser` asks for."""
        return {"reference": self.qformer(), "instructions": self.instructions(sources)}

    def instructions(self, sources: Sequence[str]) -> tuple[str, ...]:
        """What the tasks with a share teach, for a routing with these sources."""
        tasks = ReferenceTasks(sources)
        taught: dict[str, None] = {}
        for task in TASKS:
            if self.mix.get(task, 0) > 0:
                rows = range(len(ATTRIBUTES)) if task == "attribute" else [-1]
                for row in rows:
                    taught |= dict.fromkeys(tasks.instructions_of(task, row).values())
        return tuple(taught)

    def tasks(self, model: Denoiser) -> ReferenceTasks:
        """The tasks for the model's routing."""
        sources = model.unet.trained_routing.sources
        return ReferenceTasks(sources, self.knobs.dropout, self.knobs.keep)

    def freeze(self, model: Denoiser) -> None:
        """Leave to training only what belongs to references."""
        for name, parameter in model.named_parameters():
            parts = [part.split(":")[0] for part in name.split(".")]
            parameter.requires_grad_(any(part in OWN_NAMES for part in parts))

    def dataset(
        self,
        folder: PreparedFolder,
        cache: LatentCache,
        stage: FirstStage,
        stage_hash: str,
        out: Path,
    ) -> PairedLatents:
        """Pairs counted, evidence computed: targets with references of the generator's split.

        Args:
            cache: latents of the split.
            stage, stage_hash: the first stage, on any device.
            out: run folder; pairs and evidence are kept in it.

        Raises:
            UserError: a task with a share has too few pairs, or evidence is not finite.
        """
        wanted = [task for task, share in self.mix.items() if share > 0]
        searched = [task for task in wanted if task in ("appearance", "geometry")]
        if self.knobs.same_picture:
            each = np.arange(len(cache), dtype=np.int64)
            rows = dict.fromkeys(searched, np.stack([each, each], 1))
        else:
            rules = PairRules(**asdict(self.config.pairs))
            embed = None
            if self.knobs.embedder:
                embed = load_face_embedder(self.knobs.embedder, device=stage.device)
            pairs = build_pairs(
                folder,
                "generator",
                rules,
                tasks=searched,
                embed=embed,
                embed_hash=embed.hash if embed is not None else "",
                cache=out / "pairs.safetensors",
            )
            self.report = pairs.describe()
            rows = {task: pairs.rows[task] for task in searched}
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
            range(len(ATTRIBUTES)),
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
