"""Published results on CelebA-HQ and CelebAMask-HQ at 256 px, and which of them may be compared.

Two figures of one name are comparable only where pictures, split, number, size, features and judge
are the same. What is known of each source is in its tag:

    code        read in the authors' repository
    page        read on the authors' page or in the paper's own text
    secondary   read on a third-party page only

Figures whose source was not read are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Metric = Literal["fid", "mask_miou", "mask_accuracy", "lpips"]
Task = Literal["mask", "text and mask", "unconditional"]


@dataclass(frozen=True)
class Published:
    """One published figure; `value` in the units of ours (shares, not per cent)."""

    model: str
    metric: Metric
    value: float
    task: Task
    source: str
    tag: str


@dataclass(frozen=True)
class Setting:
    """How our figures came about, as far as it decides on comparisons.

    Attributes:
        source: of the prepared folder: "celebamask", "folder", "rendered".
        split: name of the split in its manifest; "papers-28000" is that of SCDM.
        trained_images: pictures of the generator's split.
        n: conditions. image_size: pixels. samples: of each condition, for diversity.
        features: "inception", "judge", ... distance: name of the perceptual distance, or None.
        trained_on_split: whether the model was trained on the same prepared folder.
    """

    source: str
    split: str
    trained_images: int
    n: int
    image_size: int
    features: str
    distance: str | None
    samples: int
    trained_on_split: bool


@dataclass(frozen=True)
class Comparison:
    """A published figure beside ours (None where it was not measured). `verdict` is "yes", "with
    care" or "no"; `reasons` say why."""

    published: Published
    ours: float | None
    verdict: str
    reasons: list[str]


SPLIT, TRAINED, N, SIZE, SETS = "papers-28000", 28_000, 2000, 256, 10
"""Of SCDM: images 0-27,999 to train on, 28,000-29,999 to test; LPIPS over 10 sets of samples."""

OURS: dict[str, str] = {
    "fid": "fid_to_test",
    "mask_miou": "mask_miou",
    "mask_accuracy": "pixel_accuracy",
    "lpips": "diversity_lpips_alex",
}
"""Which of our rows stands beside a published metric."""

_SCDM = "beta.hyper.ai"
_MMFACE = "MMFace-DiT's project page, table 1"
_LDM = "LDM, arXiv 2112.10752, table 1"
_LFM = "README of VinAIResearch/LFM"
_TABLE: tuple[Metric, ...] = ("fid", "mask_accuracy", "mask_miou")

PUBLISHED: tuple[Published, ...] = (
    Published("SCDM", "fid", 17.4, "mask", _SCDM, "secondary"),
    Published("SCDM", "mask_miou", 0.772, "mask", _SCDM, "secondary"),
    Published("SCDM", "lpips", 0.418, "mask", _SCDM, "secondary"),
    Published("SDM", "fid", 18.8, "mask", "wizwand.com", "secondary"),
    Published("SISMA", "fid", 18.3, "mask", "arxivlens.com", "secondary, doubtful"),
    Published("SPADE", "fid", 29.2, "mask", "a third-party page", "secondary, machine-written"),
    *(
        Published(model, metric, value, "text and mask", _MMFACE, "page")
        for model, *values in (
            ("TediGAN", 62.55, 0.7977, 0.3902),
            ("DDGI", 50.88, 0.8600, 0.3602),
            ("MM2Latent", 49.78, 0.8457, 0.3819),
            ("ControlNet", 49.39, 0.8286, 0.4395),
            ("Collaborative Diffusion", 49.00, 0.8569, 0.3885),
            ("Unite-and-Conquer", 48.88, 0.7827, 0.3882),
            ("MMFace-DiT, DDPM", 27.95, 0.9395, 0.4916),
            ("MMFace-DiT, rectified flow", 16.63, 0.9374, 0.5012),
        )
        for metric, value in zip(_TABLE, values, strict=True)
    ),
    Published("LSGM", "fid", 7.22, "unconditional", _LDM, "page"),
    Published("LDM-4", "fid", 5.11, "unconditional", _LDM, "page"),
    Published("LFM, ADM backbone", "fid", 5.67, "unconditional", _LFM, "code"),
    Published("LFM, DiT-L/2", "fid", 5.26, "unconditional", _LFM, "code"),
    Published("DiMSUM", "fid", 4.62, "unconditional", "README of DiMSUM", "code"),
    Published("StyleSwin", "fid", 3.25, "unconditional", "README of StyleSwin", "code"),
)


def compare(rows: Sequence[Mapping[str, Any]], setting: Setting) -> list[Comparison]:
    """Every published figure beside ours, those that may be compared first."""
    scores = {row["metric"]: row["score"] for row in rows}
    found = []
    for published in PUBLISHED:
        ours = scores.get(OURS[published.metric])
        reasons, cares = reasons_against(published, setting), cautions(published, setting)
        verdict = "no" if reasons else "with care" if cares else "yes"
        found.append(Comparison(published, ours, verdict, reasons or cares))
    order = ("yes", "with care", "no")
    return sorted(found, key=lambda comparison: order.index(comparison.verdict))


def reasons_against(published: Published, setting: Setting) -> list[str]:
    """Why the figure must not be compared with ours; empty where nothing speaks against it."""
    reasons = []
    if published.task != "mask":
        reasons.append(f"its task is another ({published.task}; ours: mask)")
    if published.metric == "fid" and setting.features != "inception":
        reasons.append(f"without Inception there is no FID (ours: features of {setting.features})")
    if published.metric in ("mask_miou", "mask_accuracy"):
        reasons.append("its parser is another (SCDM: imaginaire's U-Net)")
    if published.metric == "lpips" and setting.distance != "lpips_alex":
        reasons.append(f"it is LPIPS with AlexNet (ours: {setting.distance or 'not measured'})")
    if published.metric == "lpips" and setting.samples != SETS:
        reasons.append(f"it is over {SETS} samples of a condition (ours: {setting.samples})")
    if setting.source != "celebamask":
        reasons.append(f"its pictures are CelebAMask-HQ as downloaded (ours: {setting.source})")
    elif setting.split != SPLIT:
        reasons.append(f"its split is {SPLIT} (ours: {setting.split or 'not named'})")
    if setting.n != N:
        reasons.append(f"it is over {N} conditions (ours: {setting.n})")
    if setting.image_size != SIZE:
        reasons.append(f"its pictures have {SIZE} px (ours: {setting.image_size})")
    if not setting.trained_on_split:
        reasons.append("our model was trained on other data, which may hold the test pictures")
    return reasons


def cautions(published: Published, setting: Setting) -> list[str]:
    """What differs even where every setting is the same."""
    found = []
    if published.metric == "fid":
        found.append("its FID is the OASIS code's (floats, pytorch-fid's resize), ours clean-fid's")
    if setting.trained_images != TRAINED:
        count = setting.trained_images
        found.append(f"its model saw {TRAINED} pictures, ours {count} (the judges have a share)")
    if published.tag.startswith("secondary"):
        found.append("the figure was read on a third-party page only")
    return found


def as_json(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """For `results.json`."""
    return [
        {
            "model": each.published.model,
            "metric": each.published.metric,
            "task": each.published.task,
            "published": each.published.value,
            "ours": each.ours,
            "comparable": each.verdict,
            "reasons": each.reasons,
            "source": each.published.source,
            "tag": each.published.tag,
        }
        for each in comparisons
    ]
