"""Training of the judges on the `judges` split: pictures that the generator never sees."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from facecond.data.prepared import PreparedFolder
from facecond.devices import has_fast_bf16
from facecond.errors import UserError
from facecond.labels import ABSENT, ANYTHING, ATTRIBUTES, MASK_CLASSES, PRESENT, UNSPECIFIED
from facecond.metrics import (
    MINIMUM_CASES,
    attribute_accuracy,
    attribute_counts,
    balanced_accuracy,
    class_iou,
    mask_counts,
    mean_iou,
)
from facecond.models.judges import AttributeClassifier, FaceParser
from facecond.provenance import commit, versions
from facecond.seeding import key_of, numpy_generator
from facecond.storage import atomic_folder, make_folder, write_json, write_text
from facecond.training.judge_faces import Faces, Kind, augment, read_faces, to_network
from facecond.training.optim import build_optimizers, learning_rate_factor

VALIDATION_SHARE = 0.1
ADAM_LEARNING_RATE = 2e-3
"""Of norms and biases, which Muon does not take."""
WARMUP_STEPS, DECAY_SHARE = 20, 0.7


def train_judge(
    kind: Kind,
    folder: PreparedFolder,
    out: str | Path,
    *,
    steps: int = 500,
    batch_size: int = 32,
    learning_rate: float = 2e-2,
    width: int = 32,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Train a judge and save it to `out` with its own scores.

    Args:
        kind: "parser" (mask classes) or "attributes".
        folder: prepared faces; only rows of the `judges` split are read. A tenth of them is held
            out for validation and, for attributes, for choosing the thresholds.
        out: new folder, or one that holds an earlier judge, which is replaced.
        learning_rate: of Muon, at its height.
        width: channels of the finest level of the network.

    Returns:
        The content of `scores.json`.

    Raises:
        UserError: too few rows with the truth that this kind learns from, or `out` holds
            something else.
    """
    started = time.perf_counter()
    check_size(folder)
    _check_target(Path(out))
    faces = read_faces(folder, kind, progress)
    order = numpy_generator(seed, "judge", kind, "validation").permutation(len(faces))
    held_out = max(int(len(faces) * VALIDATION_SHARE), 1)
    valid, train = faces[np.sort(order[:held_out])], faces[np.sort(order[held_out:])]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key_of(seed, "judge", kind, "weights") >> 1)
        if kind == "parser":
            model: FaceParser | AttributeClassifier = FaceParser(width, folder.image_size)
            weights = _class_weights(train.masks)
        else:
            names = _learnable(train.attributes, folder.root)
            model = AttributeClassifier(width, folder.image_size, attributes=names)
            weights = _positive_weights(train.attributes, names)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    model.to(memory_format=torch.channels_last)
    _fit(model, kind, train, weights, steps, batch_size, learning_rate, seed, progress)

    scores: dict[str, Any] = {"kind": kind}
    if isinstance(model, FaceParser):
        scores |= _validate_parser(model, valid)
    else:
        scores |= _validate_classifier(model, valid)
    scores |= {
        "images": {"train": len(train), "validation": len(valid)},
        "steps": steps,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "width": width,
        "seed": seed,
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(time.perf_counter() - started, 1),
        "data_hash": folder.data_hash,
        "source": folder.source,
        "commit": commit(),
        "versions": versions(),
    }
    make_folder(Path(out).parent)
    with atomic_folder(out) as temporary:
        model.eval().cpu().save_pretrained(temporary)
        write_json(temporary / "scores.json", scores)
        write_text(temporary / "card.md", _card(scores))
    return scores


def describe(kind: Kind, folder: PreparedFolder, steps: int, batch_size: int, width: int) -> str:
    """One line on what `train_judge` would do; raises `UserError` as it would for the size."""
    check_size(folder)
    model = (FaceParser if kind == "parser" else AttributeClassifier)(width, folder.image_size)
    parameters = sum(p.numel() for p in model.parameters())
    return (
        f"{kind}: {parameters:,} parameters, {steps} steps of {batch_size} from "
        f"{len(folder.indices('judges'))} faces of {folder.image_size} px"
    )


def _fit(
    model: FaceParser | AttributeClassifier,
    kind: Kind,
    faces: Faces,
    weights: Tensor,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    progress: bool,
) -> None:
    batch_size = min(batch_size, len(faces))
    optimizers = build_optimizers(model, "muon", learning_rate, ADAM_LEARNING_RATE)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    model.train()
    weights = weights.to(model.device)
    fast = has_fast_bf16(model.device.type)
    order = np.empty(0, np.int64)
    bar = tqdm(range(steps), desc=f"train judge {kind}", unit="step", disable=not progress)
    for step in bar:
        generator = numpy_generator(seed, "judge", kind, "step", step)
        while len(order) < batch_size:
            epoch = numpy_generator(seed, "judge", kind, "epoch", step)
            order = np.concatenate([order, epoch.permutation(len(faces))])
        rows, order = order[:batch_size], order[batch_size:]
        batch = augment(faces[rows], generator).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=fast):
            logits = model(to_network(batch.images)).float()
        if kind == "parser":
            loss = functional.cross_entropy(
                logits, batch.masks.long(), weights, ignore_index=ANYTHING
            )
        else:
            known = (batch.attributes != UNSPECIFIED) & (weights > 0)
            target = (batch.attributes == PRESENT).float()
            each = functional.binary_cross_entropy_with_logits(
                logits, target, pos_weight=weights, reduction="none"
            )
            loss = (each * known).sum() / known.sum().clamp(min=1)
        model.zero_grad(set_to_none=True)
        loss.backward()
        factor = learning_rate_factor(step, steps, WARMUP_STEPS, DECAY_SHARE)
        for optimizer, rate in zip(optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
            optimizer.step()
        if step % 10 == 0:
            bar.set_postfix(loss=f"{loss.item():.3f}")


def _class_weights(masks: Tensor) -> Tensor:
    """1 / sqrt(frequency) of each class, float [19], 1 on the average pixel; 0 if never seen."""
    counts = torch.bincount(masks.flatten().long(), minlength=256)[: len(MASK_CLASSES)].float()
    weights = torch.where(counts > 0, counts.clamp(min=1).rsqrt(), 0.0)
    return weights * counts.sum() / (weights * counts).sum()


def _learnable(attributes: Tensor, where: Path) -> list[str]:
    present, absent = (attributes == PRESENT).sum(0), (attributes == ABSENT).sum(0)
    enough = (present >= MINIMUM_CASES) & (absent >= MINIMUM_CASES)
    names = [name for name, ok in zip(ATTRIBUTES, enough.tolist(), strict=True) if ok]
    if not names:
        raise UserError(
            f"no attribute has {MINIMUM_CASES} faces with it and {MINIMUM_CASES} without",
            where,
            "Prepare a folder with more labelled faces.",
        )
    return names


def _positive_weights(attributes: Tensor, names: list[str]) -> Tensor:
    """Absent / present of each attribute, so that both count the same; 0 where not learnable."""
    present, absent = (attributes == PRESENT).sum(0), (attributes == ABSENT).sum(0)
    weights = (absent / present.clamp(min=1)).clamp(0.05, 20.0)
    return torch.where(torch.tensor([name in names for name in ATTRIBUTES]), weights, 0.0)


@torch.inference_mode()
def _logits(model: FaceParser | AttributeClassifier, images: Tensor) -> list[Tensor]:
    model.eval()
    return [model(to_network(part.to(model.device))).cpu() for part in images.split(64)]


def _validate_parser(model: FaceParser, faces: Faces) -> dict[str, Any]:
    predicted = [part.argmax(1).to(torch.uint8) for part in _logits(model, faces.images)]
    counts = mask_counts(faces.masks.numpy(), torch.cat(predicted).numpy()).sum(0)
    per_class = _named(MASK_CLASSES, class_iou(counts))
    return {"mask_miou": round(float(mean_iou(counts)), 4), "per_class": per_class}


def _validate_classifier(model: AttributeClassifier, faces: Faces) -> dict[str, Any]:
    logits, truth = torch.cat(_logits(model, faces.images)).numpy(), faces.attributes.numpy()
    trained = set(model.config["attributes"])
    thresholds = [
        best_threshold(logits[:, a], truth[:, a]) if name in trained else 0.0
        for a, name in enumerate(ATTRIBUTES)
    ]
    model.register_to_config(thresholds=thresholds)
    truth = np.where([name in trained for name in ATTRIBUTES], truth, UNSPECIFIED)
    counts = attribute_counts(truth, logits > np.array(thresholds, np.float32)).sum(0)
    per_attribute = _named(ATTRIBUTES, attribute_accuracy(counts, MINIMUM_CASES))
    score = float(balanced_accuracy(counts, MINIMUM_CASES))
    return {
        "attribute_bacc": round(score, 4) if np.isfinite(score) else None,
        "per_attribute": per_attribute,
    }


def best_threshold(logits: np.ndarray, truth: np.ndarray) -> float:
    """The threshold on logits [N] with the highest balanced accuracy against truth int8 [N].

    Among equals the nearest to 0, where the loss puts it. 0 when either case is too rare to tell.
    """
    present, absent = np.sort(logits[truth == PRESENT]), np.sort(logits[truth == ABSENT])
    if min(len(present), len(absent)) < MINIMUM_CASES:
        return 0.0
    values = np.unique(np.concatenate([present, absent]))
    cuts = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2])
    found = 1 - np.searchsorted(present, cuts, "right") / len(present)
    spared = np.searchsorted(absent, cuts, "right") / len(absent)
    scores = found + spared
    best = cuts[scores >= scores.max() - 1e-9]
    return round(float(best[np.argmin(np.abs(best))]), 5)


def _named(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    return {n: round(float(v), 4) for n, v in zip(names, values, strict=True) if np.isfinite(v)}


def check_size(folder: PreparedFolder) -> None:
    """Raise `UserError` unless the networks, which halve their grid three times, can take it."""
    if folder.image_size % 8:
        raise UserError(
            f"the judges cannot take {folder.image_size} px, which is no multiple of 8",
            folder.root,
            "Prepare the faces at such a size.",
        )


def _check_target(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UserError("this is a file, not a folder", out, "Choose another --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / "scores.json").is_file():
        raise UserError("the folder holds something else than a judge", out, "Choose a new --out.")


def _card(scores: dict[str, Any]) -> str:
    parser = scores["kind"] == "parser"
    headline = "mask_miou" if parser else "attribute_bacc"
    detail = scores["per_class" if parser else "per_attribute"]
    name = "Face parser" if parser else "Attribute classifier"
    lines = [
        f"# {name} (facecond judge)",
        "",
        "Scores generated faces in `facecond evaluate`. Trained from scratch on the judges' split"
        " of one prepared folder; it knows faces of that kind, size and alignment and no others.",
        "",
        f"- {headline}: **{scores[headline]}** on {scores['images']['validation']} held-out faces"
        + ("" if parser else " (thresholds chosen on the same faces)"),
        f"- trained on {scores['images']['train']} faces: {scores['steps']} steps of"
        f" {scores['batch_size']}, {scores['parameters']:,} parameters, {scores['seconds']} s",
        f"- seed {scores['seed']}, data {scores['data_hash'][:16]}, "
        + ", ".join(f"{key} {value}" for key, value in scores["versions"].items()),
        "",
        f"| {'class' if parser else 'attribute'} | {'IoU' if parser else 'balanced accuracy'} |",
        "|---|---|",
        *(f"| {key} | {value:.3f} |" for key, value in detail.items()),
    ]
    return "\n".join(lines) + "\n"
