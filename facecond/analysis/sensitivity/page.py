"""The analysis as one HTML page that opens as a file, without network."""

from __future__ import annotations

import html
from typing import Any

from facecond.analysis.sensitivity.analyse import Sensitivity
from facecond.analysis.sensitivity.charts import heatmap, selectivity_plot, title_of
from facecond.analysis.sensitivity.result import layer_labels
from facecond.analysis.sensitivity.scores import PRIMARY
from facecond.figures import html_page, html_table

METHOD = {
    "swap": (
        "On noised held-out pictures one layer reads the condition of another face, and the others "
        "their own. The figure is how far that moves the prediction, as a share of how far the "
        "same swap at all layers moves it; mean of both directions, one layer swapped and all but "
        "one. Shares need not add up to 1: layers repeat and cancel one another."
    ),
    "sham": (
        "The control is a sham swap: another instance of the same level. The face's own mask, "
        "drawn again a pixel in 64 aside; its own attributes, one in ten left open. p is the share "
        "of 1,000 random exchanges of swap and sham within faces that favour the swap as much; q "
        "corrects for the number of cells (Benjamini-Hochberg). Only layers with q below 0.05 are "
        "ranked."
    ),
    "contribution": (
        "What the layer adds to the hidden states for the source, as a share of them (length of u "
        "over length of h, before anything downstream). A large contribution whose swap does "
        "little is written and then not read. Its test asks whether another face's condition "
        "moves u more than the sham does."
    ),
    "representation": (
        "These scores look at what self-attention reads (mean and standard deviation of its "
        "queries and keys over a grid of attribute settings, masks and noise seeds) and ask how "
        "well the level of a source shows in it. What one layer writes, the layers after it "
        "carry on, so they say where a source is represented, not where it is injected. The JSD "
        "ratio is Conditional Balance's grade (divergence within a level over that between levels, "
        "pairs of the same noise left out of both): 1 is chance, lower is more sensitive. Omega "
        "squared is the share of variance that the level explains: 0 is chance. Both are tested "
        "against 1,000 permutations of the levels."
    ),
}


def render_page(found: Sensitivity, command: str) -> str:
    """The page as HTML."""
    representation = [name for name in found.scores if name.startswith(("jsd", "omega"))]
    plot = selectivity_plot(found)
    sections = [
        ("Which layer answers to which source", _ranks(found)),
        ("Attributes against mask", plot.svg("attributes against mask") if plot else ""),
        ("Swap: what acts", _paragraph("swap") + _paragraph("sham") + _maps(found, ["swap"])),
        (
            "Contribution: what is written",
            _paragraph("contribution") + _maps(found, ["contribution"]),
        ),
        (
            "Where the sources are represented",
            _paragraph("representation") + _maps(found, representation) if representation else "",
        ),
        ("Where this comes from", _provenance(found, command)),
    ]
    options = found.options
    lead = html.escape(
        f"{len(found.routing.layers)} cross-attention layers, measured on {options.images} "
        f"held-out faces at {options.bins} bins of noise levels"
        + (f" and on a grid of {len(found.grid)} samples" if found.grid is not None else "")
        + f", under the routing '{found.routing.name}'."
    )
    return html_page("Sensitivity", lead, [(name, body) for name, body in sections if body])


def _ranks(found: Sensitivity) -> str:
    swap, labels = found.scores[PRIMARY], layer_labels(found)
    assert swap.overall_low is not None and swap.overall_high is not None
    parts = []
    for s, source in enumerate(found.routing.sources):
        rows = []
        for place, i in enumerate(found.rank[source], 1):
            share = f"{swap.overall[s, i]:.3f}"
            interval = f"{swap.overall_low[s, i]:.3f} to {swap.overall_high[s, i]:.3f}"
            rows.append((f"{place}  {labels[i]}", share, interval))
        effects = ", ".join(f"{value:.0%}" for value in found.effect[s])
        half = swap.split_half[s]
        stable = "" if half != half else f" Two halves of the faces agree by {half:.2f} (Spearman)."
        body = html_table(["layer", "swap", "95 % interval"], rows) if rows else ""
        parts.append(
            f"<h3>{html.escape(source)}</h3><p>A swap at all layers moves the prediction by "
            f"{effects} from the clean to the noisy end.{stable}</p>{body}"
        )
    warnings = "".join(f'<p class="note">{html.escape(text)}</p>' for text in found.warnings)
    return "".join(parts) + warnings


def _maps(found: Sensitivity, names: list[str]) -> str:
    parts = []
    for name in names:
        for s, source in enumerate(found.routing.sources):
            parts.append(heatmap(found, name, s).svg(f"{title_of(name)} of {source}"))
    return "".join(parts)


def _paragraph(name: str) -> str:
    return f"<p>{html.escape(METHOD[name])}</p>"


def _provenance(found: Sensitivity, command: str) -> str:
    rows = [(name, f"{value:.1f} s") for name, value in found.seconds.items()]
    flat = [(str(key), _text(value)) for key, value in found.provenance.items()]
    return (
        html_table(["part", "time"], rows)
        + html_table([], flat)
        + f"<pre>{html.escape(command)}</pre>"
    )


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)[:16] if len(str(value)) == 64 else str(value)
