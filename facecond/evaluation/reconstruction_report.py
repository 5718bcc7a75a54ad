"""A `StageReport` -> Markdown, JSON values, and one self-contained HTML page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facecond.evaluation.stage_report import StageReport
from facecond.figures import html_page, html_table, html_tiles, svg_bars

AMPLIFIED = 4
"""How much stronger than it is a difference is shown."""
HEAD = ("metric", "score", "95% interval", "originals", "n")
READING = (
    "PSNR and SSIM: higher is better; distances: lower. *originals*: the test pictures themselves, "
    "through the same judge. `frechet_judge_reconstruction` compares features of the attribute "
    "judge with other real pictures; it is made like an rFID, but not from Inception, and is not "
    "an FID."
)


def summary(report: StageReport) -> dict[str, Any]:
    """The content of `results.json`: flat figures, then rows, facts, latents, provenance."""
    flat: dict[str, Any] = {}
    for row in report.rows:
        flat[row["metric"]] = row["score"]
        if row["ceiling"] is not None:
            flat[f"{row['metric']}_originals"] = row["ceiling"]
    parts = {"rows": report.rows, "latents": report.latents, "notes": report.notes}
    return flat | report.facts | report.provenance | parts


def markdown(report: StageReport) -> str:
    """Scores and facts as Markdown tables."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD))]
    lines += [_line(_cells(row)) for row in report.rows]
    lines += ["", READING, *(f"\n{note}" for note in report.notes), ""]
    lines += [_line(["what", "value"]), _line(["---"] * 2)]
    lines += [_line(pair) for pair in _facts(report)]
    return "\n".join(lines) + "\n"


def page(title: str, report: StageReport, command: str) -> str:
    """The report as HTML; it loads nothing."""
    notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in report.notes)
    reading = html.escape(READING).replace("*originals*", "<i>originals</i>").replace("`", "")
    scores = html_table(HEAD, [_cells(row) for row in report.rows])
    titles = {"mask_miou": ("IoU by mask class", 0.0),
              "attribute_bacc": ("Balanced accuracy by attribute", 0.4)}  # fmt: skip
    charts = [
        f"<div><h3>{titles[row['metric']][0]}</h3>"
        f"{svg_bars(row['detail'], start=titles[row['metric']][1])}</div>"
        for row in report.rows
        if row.get("detail")
    ]
    pair = f'<div class="pair">{"".join(charts)}</div>' if charts else ""
    legend = '<p class="note">Bar: reconstructions. Tick: originals.</p>' if charts else ""
    channels = html_table(
        ["channel", "stored mean", "stored std", "mean of test latents", "std of test latents"],
        [
            [str(index), *(f"{value:.3f}" for value in channel.values())]
            for index, channel in enumerate(report.latents)
        ],
    )
    told = html_table([], [(key, _plain(value)) for key, value in report.provenance.items()])
    lead = html.escape(
        f"{report.provenance['n']} test pictures of {report.provenance['image_size']} px, encoded "
        "and decoded. What a denoiser learns on these latents is bounded by this."
    )
    sections = [
        ("Scores", f"<p>{reading}</p>{scores}{pair}{legend}{notes}"),
        ("Original, reconstruction, difference", _tiles(report.first)),
        ("The worst", _tiles(report.worst)),
        ("Cost", html_table([], _facts(report))),
        ("Latents", f"<p>Normalised by the stored mean and std; 0 and 1 is the aim.</p>{channels}"),
        ("Where this comes from", f"{told}<pre>{html.escape(command)}</pre>"),
    ]
    return html_page(title, lead, sections)


def triples(pairs: np.ndarray) -> list[list[np.ndarray | None]]:
    """uint8 [k, 2, S, S, 3] -> three rows of pictures: original, reconstruction, difference."""
    difference = np.abs(pairs[:, 0].astype(int) - pairs[:, 1]) * AMPLIFIED
    shown = difference.clip(0, 255).astype(np.uint8)
    return [list(pairs[:, 0]), list(pairs[:, 1]), list(shown)]


ROW_LABELS = ("original", "reconstruction", f"difference ×{AMPLIFIED}")


def _tiles(pairs: np.ndarray) -> str:
    return html_tiles(triples(pairs), row_labels=ROW_LABELS)


def _cells(row: Mapping[str, Any]) -> list[str]:
    ceiling = "–" if row["ceiling"] is None else _number(row["ceiling"])
    interval = f"{_number(row['low'])} – {_number(row['high'])}"
    return [row["metric"], _number(row["score"]), interval, ceiling, str(row["n"])]


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _facts(report: StageReport) -> list[tuple[str, str]]:
    facts = report.facts
    shape = " × ".join(str(length) for length in facts["latent_shape"])
    return [
        ("autoencoder", facts["autoencoder"]),
        ("latents", f"{shape} (f{facts['reduction']:g})"),
        ("values of the picture per value of the latents", f"{facts['compression']:.1f}"),
        ("parameters", f"{facts['parameters']:,}"),
        (
            f"encoding and decoding, {facts['device']}, {facts['threads']} threads, "
            f"batches of {facts['batch_size']}",
            f"{facts['ms_per_image']:.2f} ms per picture",
        ),
    ]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    return str(value)
