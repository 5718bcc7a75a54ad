"""What a sweep would do: runs, parameters, states, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from facecond.analysis.ablation.manifest import FILE, Manifest
from facecond.analysis.ablation.plan import (
    Run,
    check_probes,
    chosen,
    data_root,
    done_record,
    evaluation_hash,
    judge_folders,
    judges_hash,
    last_step,
    placed,
    plan_runs,
)
from facecond.analysis.ablation.table import left_out
from facecond.analysis.ablation.work import PROBES
from facecond.config import RunConfig, Study
from facecond.data.prepared import PreparedFolder
from facecond.errors import UserError
from facecond.models.denoiser import Denoiser
from facecond.storage import hash_of
from facecond.training.optim import build_optimizers
from facecond.training.references import References
from facecond.training.setup import check_patches, denoiser_for, uses_bf16

TIMED_STEPS = 2
LARGEST_TIMED = 60e6
"""Parameters; larger denoisers are not timed on a CPU."""
OVERHEAD = 1.1
"""What a training does beside its steps, in units of them."""


@dataclass(frozen=True)
class Size:
    """Parameters of a variant: all, and those that are trained; cells that the routing leaves out,
    in words; seconds of a step on this machine, None where not measured."""

    parameters: int
    trained: int
    left_out: str
    step_seconds: float | None


def preview(
    study: Study,
    out: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    only: Sequence[str] = (),
    workers: int = 1,
    timed: bool = True,
) -> str:
    """The sweep as text; writes nothing.

    Args:
        study, out, seeds, only: as of `sweep`.
        workers: runs at a time, for the estimate.
        timed: measure steps of variants that no finished run tells the time of.

    Raises:
        UserError: what `sweep` would find wrong before its first run.
    """
    out = Path(out).resolve()
    check_probes(study, PROBES)
    manifest = Manifest.open(study, out)
    runs = plan_runs(study, out, seeds)
    manifest.take_in(runs, _hashes(study, out))
    known = manifest.file.is_file()
    wanted = chosen(study, runs, only)
    sizes = {}
    shown = [study.variant(name) for name in dict.fromkeys(run.variant for run in wanted)]
    size, faults = _image_size(study, out), []
    steps: dict[str, float | None] = {}
    for variant in tqdm(shown, desc="sizing the variants", unit="variant", leave=False):
        config = placed(variant.config, out)
        parts = [asdict(part) for part in (config.denoiser, config.first_stage)]
        parts += [asdict(part) for part in (config.train, config.reference)]
        shape = hash_of([parts, config.routing.combine])
        untimed = timed and shape not in steps and not _seconds(runs, variant.name)
        try:
            found = measure(config, size, untimed)
            # Routings of one denoiser take about the same time: it is measured once.
            steps[shape] = steps.get(shape) or found.step_seconds
            sizes[variant.name] = replace(found, step_seconds=steps[shape])
        except UserError as error:  # its runs would fail, and the others go on
            faults.append(f"{variant.name} cannot be built: {error}")
    counts = manifest.counts(wanted)
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lengths = sorted({run.config.train.steps for run in wanted})
    long = " to ".join(map(str, dict.fromkeys([lengths[0], lengths[-1]])))
    lines = [
        f"study {study.name} ({study.file})",
        f"{len(shown)} variants, {len(wanted)} runs of {long} steps: {told}",
        f"{out / FILE}: {'holds this study' if known else 'not begun'}",
        "",
        *_table(study, manifest, wanted, sizes),
        "",
        _estimate(wanted, manifest, sizes, _seconds(runs), workers),
    ]
    errors = [
        f"failed {name}: {entry['error']}"
        for name, entry in manifest.runs.items()
        if entry["state"] == "failed"
    ]
    return "\n".join([*lines, *errors, *faults])


def measure(config: RunConfig, image_size: int, timed: bool) -> Size:
    """Size of the denoiser of this config, and the time of its steps if asked for.

    Raises:
        UserError: a denoiser, routing or patch code that cannot be.
    """
    if config.first_stage.autoencoder == "linear":
        check_patches(config, image_size)
    side = image_size // config.first_stage.patch_size
    shape = (config.first_stage.latent_channels, side, side)
    references = References(config, image_size, shape)
    with torch.device("meta"):
        model = denoiser_for(config, image_size, shape, references)
    parameters = sum(p.numel() for p in model.parameters())
    if model.condition_encoder.references and config.reference.freeze:
        references.freeze(model)
    model.unet.freeze_off_cells()
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    seconds = None
    if timed and (torch.cuda.is_available() or parameters <= LARGEST_TIMED):
        references = References(config, image_size, shape)  # the other one's encoder is empty
        model = denoiser_for(config, image_size, shape, references)
        if model.condition_encoder.references and config.reference.freeze:
            references.freeze(model)
        seconds = _step_seconds(model, config, references)
    return Size(parameters, trained, left_out(model.unet.trained_routing), seconds)


def _step_seconds(model: Denoiser, config: RunConfig, references: References) -> float:
    """Seconds of a step on noise: forward, backward, optimisers."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    model.to(memory_format=model.unet.memory_format)
    model.unet.freeze_off_cells()
    rates = asdict(config.optim)
    for name in ("warmup_steps", "decay_share", "clip_norm", "ema_decay"):
        rates.pop(name)
    optimizers = build_optimizers(model, **rates)
    batch, size = config.train.batch_size, references.image_size
    shape = references.latent_shape
    x_t = torch.randn(batch, *shape, device=device)
    seen: tuple[torch.Tensor, ...] = ()
    if sources := model.condition_encoder.references:
        tokens = references.encoder.config.tokens
        asked_of = torch.zeros(batch, len(sources), dtype=torch.long, device=device)
        seen = torch.zeros(batch, *tokens, device=device), asked_of
    asked = (
        torch.full((batch,), 500.0, device=device),
        torch.zeros(batch, 40, dtype=torch.int8, device=device),
        torch.zeros(batch, size, size, dtype=torch.uint8, device=device),
        torch.from_numpy(model.unet.trained_routing.gates(np.zeros(1))[0]).to(device),
        *seen,
    )
    began = 0.0
    for step in range(TIMED_STEPS + 1):
        if step == 1:  # the first one warms up
            began = time.monotonic()
        for _ in range(config.train.accumulation):
            with torch.autocast(
                device.type, torch.bfloat16, enabled=uses_bf16(config, device.type)
            ):
                loss = model(x_t, *asked).float().square().mean()
            loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        loss.item()  # waits for a GPU
    return (time.monotonic() - began) / TIMED_STEPS


def _table(
    study: Study, manifest: Manifest, runs: Sequence[Run], sizes: Mapping[str, Size]
) -> list[str]:
    base = sizes.get(study.reference)
    names = list(dict.fromkeys(run.variant for run in runs))
    width = max(len("variant"), *(len(name) for name in names))
    lines = [f"{'variant':<{width}}  parameters  trained     to base  cells left out   runs"]
    for name in names:
        told, share = f"{'–':>10}  {'–':>8}", ""
        if (size := sizes.get(name)) is not None:
            told = f"{size.parameters / 1e6:>8.3f} M  {size.trained / 1e6:>6.3f} M"
            if base is not None and name != study.reference:
                same = size.parameters == base.parameters
                share = "equal" if same else f"{size.parameters / base.parameters - 1:+.1%}"
        states: dict[str, list[str]] = {}
        for run in (run for run in runs if run.variant == name):
            state, word = manifest.runs[run.name]["state"], f"{run.seed}"
            if state != "done" and (step := last_step(run)):
                word += f" (step {step})"
            states.setdefault(state, []).append(word)
        seeds = "; ".join(f"{state}: {' '.join(words)}" for state, words in states.items())
        cells = "" if size is None else size.left_out
        lines.append(f"{name:<{width}}  {told}  {share:>8}  {cells:<15}  {seeds}")
    return lines


def _estimate(
    runs: Sequence[Run],
    manifest: Manifest,
    sizes: Mapping[str, Size],
    measured: Mapping[str, float],
    workers: int,
) -> str:
    """Time of the runs that are left: from finished runs of the same variant, then from timed
    steps, which leave the scoring out, then from the mean of the finished runs."""
    left = [
        run for run in runs if manifest.runs[run.name]["state"] != "done" and run.variant in sizes
    ]
    if not left:
        return "time        nothing is left to do"
    usual = sum(measured.values()) / len(measured) if measured else None
    total, unknown, steps_only = 0.0, 0, False
    for run in left:
        step = sizes[run.variant].step_seconds
        if run.variant in measured:
            total += measured[run.variant]
        elif step is not None:
            share = 1 - last_step(run) / run.config.train.steps
            total += step * run.config.train.steps * OVERHEAD * share
            steps_only = True
        elif usual is not None:
            total += usual
        else:
            unknown += 1
    if unknown:
        return f"time        not known before a first run ({unknown} runs of a size not timed here)"
    source = (
        "steps timed now; scoring, faces and judges come on top"
        if steps_only
        else ("as long as the finished runs took")
    )
    return f"time        about {_hours(total / workers)} for {len(left)} runs ({source})"


def _hours(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def _seconds(runs: Sequence[Run], variant: str = "") -> dict[str, float]:
    """Variant -> mean seconds of its finished runs, training and scoring."""
    found: dict[str, list[float]] = {}
    for run in runs:
        told = (done_record(run) or {}).get("seconds", {}) if variant in ("", run.variant) else {}
        if "train" in told and "evaluate" in told:
            found.setdefault(run.variant, []).append(told["train"] + told["evaluate"])
    return {name: sum(values) / len(values) for name, values in found.items()}


def _hashes(study: Study, out: Path) -> dict[str, str]:
    """Hashes of data and evaluation, as far as faces and judges are there already."""
    root, found = data_root(study, out), {}
    if (root / "manifest.json").is_file():
        found["data_hash"] = PreparedFolder.open(root).data_hash
    folders = judge_folders(study, out)
    if all(any((f / kind).glob("*")) for f in folders for kind in ("parser", "attributes")):
        found["evaluation_hash"] = evaluation_hash(study, judges_hash(folders))
    return found


def _image_size(study: Study, out: Path) -> int:
    root = data_root(study, out)
    if (root / "manifest.json").is_file():
        return PreparedFolder.open(root).image_size
    return study.config.data.size
