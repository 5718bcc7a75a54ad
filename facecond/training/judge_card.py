"""The card of a judge: what it is, from what it learned, how good it is."""

from __future__ import annotations

from typing import Any


def card(scores: dict[str, Any]) -> str:
    """Markdown from the content of `scores.json`."""
    parser = scores["kind"] == "parser"
    headline = "mask_miou" if parser else "attribute_bacc"
    detail = scores["per_class" if parser else "per_attribute"]
    name = "Face parser" if parser else "Attribute classifier"
    start = "from scratch" if not scores["weights"] else "from weights trained elsewhere"
    part = "the judges' split"
    if scores["part"] != "all":
        part = f"half {scores['part']} of the judges' split"
    chosen = [] if parser else ["thresholds"]
    chosen += ["the step that is kept"] if scores["validations"] else []
    note = f" ({' and '.join(chosen)} chosen on the same faces)" if chosen else ""
    lines = [
        f"# {name} (facecond judge)",
        "",
        f"Scores generated faces in `facecond evaluate`. {scores['backbone']}, trained {start} on"
        f" {part} of one prepared folder; it knows faces of that kind, size and alignment and no"
        " others.",
        "",
        f"- {headline}: **{scores[headline]}** on {scores['images']['validation']} held-out faces"
        + note,
        f"- trained on {scores['images']['train']} faces of {scores['image_size']} px:"
        f" {scores['steps']} steps of {scores['batch_size']}, {scores['parameters']:,} parameters,"
        f" {scores['seconds']} s",
        f"- seed {scores['seed']}, part {scores['part']}, data {scores['data_hash'][:16]}, "
        + ", ".join(f"{key} {value}" for key, value in scores["versions"].items()),
        "",
        f"| {'class' if parser else 'attribute'} | {'IoU' if parser else 'balanced accuracy'} |",
        "|---|---|",
        *(f"| {key} | {value:.3f} |" for key, value in detail.items()),
    ]
    return "\n".join(lines) + "\n"
