"""The card of a saved model: what it is, what it was trained on, what it is for and what not.

`facecond evaluate --card` puts the figures in the place that is kept for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from facecond.boxed import model_folder
from facecond.errors import UserError
from facecond.storage import write_text

NOT_MEASURED = "Nothing yet: `facecond evaluate` with `--card` writes its table here."
SCORES = "<!-- scores -->"
"""Stands before and after the part of the card that an evaluation writes."""


@dataclass(frozen=True)
class Origin:
    """What a kind of training data means for the model.

    Attributes:
        faces: what the pictures are.
        licence: of the weights, as the hub names it.
        terms: what that means for who uses them.
    """

    faces: str
    licence: str
    terms: str


ORIGINS = {
    "rendered": Origin(
        "faces that facecond drew from random numbers: no picture of a person is in it",
        "apache-2.0",
        "The licence of facecond: free to use, change and pass on.",
    ),
    "celebamask": Origin(
        "CelebAMask-HQ: photographs of celebrities with masks and attributes",
        "other",
        "The data may be used for non-commercial research and education only; a model trained on "
        "it falls under the same terms, and must not be used to depict the persons in it.",
    ),
    "folder": Origin(
        "pictures of a folder that facecond knows nothing about",
        "other",
        "Those of the pictures: whoever passes the model on should say here what they are, and "
        "that the persons in them agreed.",
    ),
}


def model_card(
    *,
    source: str,
    image_size: int,
    parameters: int,
    trained: str,
    objective: str,
    sources: Sequence[str],
    routing: str,
    grid: str,
    data_hash: str,
    commit: str,
) -> str:
    """Markdown with the hub's front matter.

    Args:
        source: of the prepared folder, a key of `ORIGINS`.
        image_size: side of a picture in pixels.
        parameters: how many the denoiser and the condition encoder have.
        trained, objective: steps and batch, target and weighting, in words.
        sources: of conditions.
        routing, grid: name and table of the routing that it was trained with.
        data_hash, commit: of the training.
    """
    origin = ORIGINS[source]
    told = ", ".join(f"`{name}`" for name in sources)
    return f"""---
library_name: facecond
license: {origin.licence}
tags: [face-generation, latent-diffusion, controllable]
---
# A facecond model

Draws faces of {image_size} px with chosen attributes in a chosen layout. Conditions:
{told}.

| | |
|---|---|
| parameters | {parameters / 1e6:.1f} M |
| trained for | {trained} |
| objective | {objective} |
| routing | {routing} |
| data hash | `{data_hash[:16]}` |
| commit | `{commit}` |

```
{grid}
```

```bash
facecond sample THIS_FOLDER --attributes "Smiling,-Eyeglasses" --mask random
```

## Data and licence

Trained on {origin.faces}. {origin.terms}

## Measured

{SCORES}
{NOT_MEASURED}
{SCORES}

## Meant for

Research on what conditions do to a generator and on where they act, teaching, and synthetic faces
where no person's picture is wanted.

Not for identifying, profiling or imitating persons, nor for deciding anything about one.

## Limits

- Faces are as the data's: what is rare there (an attribute, a pose, an age, a skin tone) is drawn
  worse, and attributes that go together there go together here. The scores per attribute tell.
- The attributes are CelebA's words: some judge (`Attractive`), some bind a person to one of two
  (`Male`). They name what annotators saw in a picture, not what a person is.
- A judge is a network too: a score is its reading, and its ceiling stands beside it.

## Ethics

Synthetic faces can deceive. `facecond sample` and the studio write into the file of each face that
it is synthetic, by which model and from which conditions; `facecond edit` writes into the edited
photo what was changed. The contact sheet of `sample`, the grids, strips and GIFs of `explore`, and
the pictures that Python gives as `output_type="pil"` say that they are synthetic. MP4 films, arrays
and pages carry no mark, and many programs drop it: leave it in place, and say so where the faces
are shown. A reference face is a person's: ask before you use it.
"""


def write_into_card(model: str | Path, command: str, table: str) -> Path:
    """Put a table in the place that the card keeps for it; an earlier one goes. Returns the card.

    Args:
        model: its folder.
        command: that made the table.
        table: Markdown, headings of level two.

    Raises:
        UserError: a card without such a place.
    """
    path = card_of(model)
    before, _, after = path.read_text(encoding="utf-8").split(SCORES)
    told = table.replace("\n## ", "\n### ").strip()
    inner = f"\n```bash\n{command}\n```\n\n{told}\n"
    write_text(path, f"{before}{SCORES}{inner}{SCORES}{after}")
    return path


def card_of(model: str | Path) -> Path:
    """The card of a model folder.

    Raises:
        UserError: none, or one without a place for scores.
    """
    path = model_folder(model) / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.count(SCORES) != 2:
        fix = (
            f"Write '{SCORES}' twice into it, around the place for the table; or leave out --card."
        )
        raise UserError("the model's card has no place for scores", path, fix)
    return path
