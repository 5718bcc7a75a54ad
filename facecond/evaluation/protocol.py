"""Generation x judges x metrics -> rows, each score beside its ceiling, floor and interval.

- *ceiling*: the real test pictures through the same judge.
- *floor*: the generated pictures scored against the conditions of another row (a derangement), so
  it holds all that is right by chance or by habit.
- Fréchet distances are taken to real pictures of the generator's split, which no test row belongs
  to; samples, reconstructions and real pictures are equally many, so their bias is the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from tqdm import tqdm

from facecond import metrics
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.evaluation.rows import attribute_row, frechet_rows, mask_row
from facecond.labels import ANYTHING, ATTRIBUTES, UNSPECIFIED
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.pipeline import to_uint8
from facecond.provenance import commit, versions
from facecond.seeding import key_of, numpy_generator
from facecond.storage import make_folder

REFERENCE_LIMIT = 4096
"""Most pictures of the generator's split that the Fréchet reference takes."""
JUDGE_BATCH = 64


class FirstStage(Protocol):
    """Pixels <-> latents."""

    def encode(self, images: Tensor) -> Tensor: ...

    def decode(self, latents: Tensor) -> Tensor: ...


@dataclass
class Evaluation:
    """What an evaluation found: `rows` for `results.jsonl`, and a few pictures to look at."""

    rows: list[dict[str, Any]]
    indices: np.ndarray
    """Rows of the prepared folder whose conditions were used, int64 [n]."""
    samples: np.ndarray
    """The first generated pictures, uint8 [k, S, S, 3]; row i belongs to `indices[i]`."""
    parsed: np.ndarray
    """The parser's masks of those pictures, uint8 [k, S, S]."""
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Verdict:
    """What the judges see in some pictures: masks, attributes present, features."""

    masks: np.ndarray
    present: np.ndarray
    features: np.ndarray


def evaluate(
    pipeline: Any,
    folder: PreparedFolder,
    parser: FaceParser,
    classifier: AttributeClassifier,
    *,
    n: int | None = 512,
    or_fewer: bool = False,
    seed: int = 0,
    guidance: Mapping[str, float] | None = None,
    num_inference_steps: int | None = None,
    batch_size: int = 32,
    keep: int = 16,
    images_out: str | Path | None = None,
    progress: bool = True,
) -> Evaluation:
    """Generate one face for each of `n` test conditions and score them as saved (uint8).

    Args:
        pipeline: a `FacePipeline` (its `first_stage` gives the reconstructions).
        folder: prepared faces; conditions come from rows of the `test` split that have a mask and
            attributes, each used once.
        n: None takes every such row.
        or_fewer: where there are not `n` such rows, take those that there are.
        guidance: scale per source; None leaves the pipeline's own.
        num_inference_steps: None leaves the pipeline's own.
        batch_size: faces sampled at a time.
        keep: how many samples to return with the rows.
        images_out: folder for all samples as PNG, named after their rows; None keeps no files.

    Raises:
        UserError: too few test rows, or sizes of model, data and judges that differ.
    """
    _check_sizes(pipeline, folder, parser, classifier)
    rows = condition_rows(folder, n, seed, or_fewer)
    n = len(rows)
    conditions = np.stack([folder.mask(i) for i in tqdm(rows, "conditions", disable=not progress)])
    attributes = np.where(
        [name in set(classifier.config["attributes"]) for name in ATTRIBUTES],
        folder.attributes[rows],
        np.int8(UNSPECIFIED),
    )
    partner = metrics.derangement(n, seed)
    call: dict[str, Any] = {} if guidance is None else {"guidance": dict(guidance)}
    if num_inference_steps is not None:
        call["num_inference_steps"] = num_inference_steps
    target = None if images_out is None else make_folder(images_out)

    samples: list[np.ndarray] = []
    seen: list[_Verdict] = []
    mask_own, mask_other = [], []
    bar = tqdm(total=n, desc="generate", unit="img", disable=not progress)
    for start in range(0, n, batch_size):
        part = slice(start, min(start + batch_size, n))
        images = pipeline(
            attributes=folder.attributes[rows[part]],
            mask=conditions[part],
            seeds=[key_of(seed, "evaluate", int(row)) >> 33 for row in rows[part]],
            **call,
        ).images
        verdict = _judge(parser, classifier, images)
        mask_own.append(metrics.mask_counts(conditions[part], verdict.masks))
        mask_other.append(metrics.mask_counts(conditions[partner[part]], verdict.masks))
        if start < keep:
            samples.append(images[: keep - start])
            seen.append(verdict)
        else:
            seen.append(_Verdict(verdict.masks[:0], verdict.present, verdict.features))
        if target is not None:
            for row, image in zip(rows[part], images, strict=True):
                Image.fromarray(image).save(target / f"{folder.names[row]}.png")
        bar.update(len(images))
    bar.close()
    present = np.concatenate([verdict.present for verdict in seen])
    features = np.concatenate([verdict.features for verdict in seen])

    real_masks, real_present, real_features, rebuilt = [], [], [], []
    for images, part in _real(folder, rows, "score real pictures", progress):
        verdict = _judge(parser, classifier, images)
        real_masks.append(metrics.mask_counts(conditions[part], verdict.masks))
        real_present.append(verdict.present)
        real_features.append(verdict.features)
        rebuilt.append(_features(classifier, _reconstruct(pipeline, images)))
    spread = folder.indices("generator")
    if len(spread) > REFERENCE_LIMIT:
        picks = numpy_generator(seed, "evaluate", "reference").permutation(len(spread))
        spread = np.sort(spread[picks[:REFERENCE_LIMIT]])
    reference = np.concatenate(
        [
            _features(classifier, images)
            for images, _ in _real(folder, spread, "reference", progress)
        ]
    )

    own, other = np.concatenate(mask_own), np.concatenate(mask_other)
    hits = metrics.attribute_counts(attributes, present)
    shuffled = metrics.attribute_counts(attributes[partner], present)
    real_hits = metrics.attribute_counts(attributes, np.concatenate(real_present))
    found = [
        mask_row(own, np.concatenate(real_masks), other, seed),
        attribute_row(hits, real_hits, shuffled, seed),
        *frechet_rows(
            features, np.concatenate(rebuilt), np.concatenate(real_features), reference, seed
        ),
    ]
    provenance = {
        "n": n,
        "seed": seed,
        "guidance": dict(pipeline.config["guidance"] if guidance is None else guidance),
        "num_inference_steps": num_inference_steps or pipeline.config["steps"],
        "batch_size": batch_size,
        "device": pipeline.device.type,
        "precision": pipeline.precision,
        "image_size": folder.image_size,
        "model": weights_hash(pipeline),
        "parser": weights_hash(parser),
        "classifier": weights_hash(classifier),
        "data": folder.data_hash,
        "split": "test",
        "commit": commit(),
        "versions": versions(),
    }
    return Evaluation(
        rows=[row | provenance for row in found],
        indices=rows,
        samples=np.concatenate(samples) if samples else np.zeros((0, 1, 1, 3), np.uint8),
        parsed=np.concatenate([verdict.masks for verdict in seen])[:keep],
        provenance=provenance,
    )


def condition_rows(
    folder: PreparedFolder, n: int | None, seed: int, or_fewer: bool = False
) -> np.ndarray:
    """`n` rows (None: all) of the test split that have both a mask and attributes, in an order
    drawn by `seed`; none comes twice. Raises `UserError` when there are fewer, unless `or_fewer`,
    and when there are not even 2."""
    indices = folder.indices("test")
    order = numpy_generator(seed, "evaluate", "rows").permutation(len(indices))
    chosen: list[int] = []
    for i in map(int, indices[order]):
        known = (folder.attributes[i] != UNSPECIFIED).any()
        if len(chosen) != n and known and (folder.mask(i) != ANYTHING).any():
            chosen.append(i)
    wanted = 2 if n is None or or_fewer else max(n, 2)
    if len(chosen) < wanted:
        raise UserError(
            f"{wanted} test faces with mask and attributes are wanted, {len(chosen)} are there",
            folder.root,
            f"Use --n {len(chosen)}." if len(chosen) > 1 else "Prepare more test faces.",
        )
    return np.array(chosen, np.int64)


def weights_hash(owner: Any) -> str:
    """SHA-256 over the names and values of all weights of a module or pipeline."""
    parts = {"": owner} if isinstance(owner, nn.Module) else dict(getattr(owner, "components", {}))
    digest = hashlib.sha256()
    for part, module in sorted(parts.items()):
        if isinstance(module, nn.Module):
            for name, tensor in sorted(module.state_dict().items()):
                digest.update(f"{part}.{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
                digest.update(
                    tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
                )
    return digest.hexdigest()


def _real(
    folder: PreparedFolder, rows: np.ndarray, title: str, progress: bool
) -> Iterator[tuple[np.ndarray, slice]]:
    starts = range(0, len(rows), JUDGE_BATCH)
    for start in tqdm(starts, desc=title, unit="batch", disable=not progress):
        part = slice(start, min(start + JUDGE_BATCH, len(rows)))
        yield np.stack([folder.image(int(i)) for i in rows[part]]), part


def _to_network(images: np.ndarray, device: torch.device) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return tensor.permute(0, 3, 1, 2).float() / 127.5 - 1  # [B, 3, H, W]


@torch.inference_mode()
def _judge(parser: FaceParser, classifier: AttributeClassifier, images: np.ndarray) -> _Verdict:
    pixels = _to_network(images, parser.device)
    masks = torch.cat([parser(part).argmax(1) for part in pixels.split(JUDGE_BATCH)])
    answers = [classifier.judge(part) for part in pixels.to(classifier.device).split(JUDGE_BATCH)]
    present, features = (torch.cat(parts).cpu().numpy() for parts in zip(*answers, strict=True))
    return _Verdict(masks.to(torch.uint8).cpu().numpy(), present, features)


@torch.inference_mode()
def _features(classifier: AttributeClassifier, images: np.ndarray) -> np.ndarray:
    return classifier.features(_to_network(images, classifier.device)).cpu().numpy()


@torch.inference_mode()
def _reconstruct(pipeline: Any, images: np.ndarray) -> np.ndarray:
    first_stage: FirstStage = pipeline.first_stage
    pixels = _to_network(images, getattr(first_stage, "device", torch.device("cpu")))
    rebuilt = first_stage.decode(first_stage.encode(pixels)).float()  # [B, 3, H, W]
    return to_uint8(rebuilt)


def _check_sizes(
    pipeline: Any, folder: PreparedFolder, parser: FaceParser, classifier: AttributeClassifier
) -> None:
    size = folder.image_size
    sizes = {
        "the model": pipeline.image_size,
        "the parser": parser.config["image_size"],
        "the attribute classifier": classifier.config["image_size"],
    }
    for name, other in sizes.items():
        if other not in (0, None, size):  # a public parser takes any
            raise UserError(
                f"{name} is for {other} px, these faces have {size} px",
                folder.root,
                "Prepare the faces at that size, or give a model and judges of this size.",
            )
