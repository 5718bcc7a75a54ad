"""What a sample is to learn from its reference, and what is hidden of its other conditions.

| task | reference and target share | taken | hidden of the target's conditions |
|---|---|---|---|
| appearance | appearance, not layout | appearance | attributes of appearance |
| geometry | layout, not appearance | geometry | the mask, attributes of geometry |
| reconstruction | everything: one picture | appearance, geometry | mask and attributes |
| attribute | one attribute | that attribute | it, what tells it, the mask if that does |
| identity | the person | identity | nothing |
| both | the first appearance, the second geometry | the two of them | mask and attributes |

What the reference is to give is hidden, or it would be ignored; what it must not give is said, so
that nothing is left to copy it for (DEADiff's non-reconstructive training, carried over to labels).
Who a face is, neither a mask nor attributes say. `both` alone has two references.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facecond.labels import ANYTHING, APPEARANCE, ATTRIBUTES, UNSPECIFIED
from facecond.models.qformer import INSTRUCTIONS, WHOLE, instruction_index, source_of

TASKS: tuple[str, ...] = (
    "appearance", "geometry", "reconstruction", "attribute", "identity", "both"
)  # fmt: skip
MIX = {"appearance": 1.0, "geometry": 1.0, "reconstruction": 1.0}
"""Shares of the tasks where none are given: DEADiff's."""

TELLING: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "Black_Hair Blond_Hair Brown_Hair Gray_Hair Bald",
        "Straight_Hair Wavy_Hair Bald",
        "Bangs Receding_Hairline Bald Wearing_Hat",
        "5_o_Clock_Shadow Goatee Mustache No_Beard Sideburns",
        "Chubby Double_Chin Oval_Face",
        "Heavy_Makeup Wearing_Lipstick",
    )
)
"""Attributes that tell one another: they exclude each other, or one is hardly without the other."""


@dataclass(frozen=True)
class ReferenceConditions:
    """Conditions of a batch with references.

    Attributes:
        attributes: int8 [B, 40].
        mask: uint8 [B, H, W].
        instructions: int64 [B, R], a column per source of a reference.
        weights: float32 [B, S], a column per source of the routing: 0 where a reference is hidden
            from the sample, else 1.
    """

    attributes: Tensor
    mask: Tensor
    instructions: Tensor
    weights: Tensor


class ReferenceTasks:
    """Turns tasks into instructions, open gates and hidden conditions.

    Args:
        sources: of the routing, in order.
        dropout: chance that a sample does without its reference (not in `reconstruction`).
        keep: chance that what the reference is to give is said by the conditions too.
        appearance: the data's attributes that can change while the mask stays.
    """

    def __init__(
        self,
        sources: Sequence[str],
        dropout: float = 0.15,
        keep: float = 0.1,
        appearance: Collection[str] = APPEARANCE,
    ) -> None:
        self.sources, self.dropout, self.keep = tuple(sources), dropout, keep
        self.references = tuple(s for s in sources if s.split(":")[0] == "reference")
        self._appearance = torch.tensor([name in appearance for name in ATTRIBUTES])

    def instructions_of(self, task: str, attribute: int = -1) -> dict[str, str]:
        """Source -> instruction of a task, for the sources of the routing that take part.

        A routing whose only source is the whole `reference` has no instructions to give. A picture
        that is to be made again tells nothing of what a person is in another one.
        """
        if task == "reconstruction":
            parts = [source for source in self.references if source != "reference:identity"]
            return {source: source.partition(":")[2] or WHOLE for source in parts}
        if task == "both":
            parts = ["reference:appearance", "reference:geometry"]
            is_routed = all(part in self.references for part in parts)
            return {part: part.partition(":")[2] for part in parts} if is_routed else {}
        take = ATTRIBUTES[attribute] if task == "attribute" else task
        source = source_of(take)
        if source in self.references:
            return {source: take}
        return {"reference": WHOLE} if "reference" in self.references else {}

    def __call__(
        self,
        task: Tensor,
        attribute: Tensor,
        attributes: Tensor,
        mask: Tensor,
        generator: torch.Generator,
    ) -> ReferenceConditions:
        """Tasks int64 [B] (rows of `TASKS`) and attributes int64 [B] (-1 but for `attribute`),
        with the target's conditions int8 [B, 40], uint8 [B, H, W] (kept as they are)."""
        batch, device = len(task), attributes.device
        draws = torch.rand(2, batch, generator=generator)
        rows = torch.tensor(
            [instruction_index(s.partition(":")[2] or WHOLE) for s in self.references]
        )
        instructions = rows.repeat(batch, 1)  # [B, R]
        weights = torch.ones(batch, len(self.sources))
        columns = [self.sources.index(source) for source in self.references]
        weights[:, columns] = 0.0
        hide = torch.zeros(batch, len(ATTRIBUTES), dtype=torch.bool)
        open_mask = torch.zeros(batch, dtype=torch.bool)
        for row, (number, which) in enumerate(zip(task.tolist(), attribute.tolist(), strict=True)):
            name = TASKS[number]
            asked = self.instructions_of(name, which)
            lost = name != "reconstruction" and bool(draws[0, row] < self.dropout)
            for source, take in asked.items():
                instructions[row, self.references.index(source)] = INSTRUCTIONS.index(take)
                weights[row, self.sources.index(source)] = 0.0 if lost else 1.0
            if not asked or draws[1, row] < self.keep:
                continue  # nothing is hidden that nothing would give
            if name in ("reconstruction", "both"):
                hide[row], open_mask[row] = True, True
            elif name == "attribute":
                hide[row] = _telling(which)
                # A part of it alone would tell where it was cut out.
                open_mask[row] = not self._appearance[which]
            elif name != "identity":
                hide[row] = self._appearance if name == "appearance" else ~self._appearance
                open_mask[row] = name == "geometry"
        return ReferenceConditions(
            attributes.masked_fill(hide.to(device), UNSPECIFIED),
            mask.masked_fill(open_mask.to(device)[:, None, None], ANYTHING),
            instructions.to(device),
            weights.to(device),
        )

    def evidence(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Evidence of a batch of `PairedLatents`: [B, N, E], or [B, R, N, E], a row per source of
        a reference, where samples have two."""
        if "geometry_evidence" not in batch:
            return batch["evidence"]
        keys = {"reference:geometry": "geometry_evidence"}
        parts = [batch[keys.get(source, "evidence")] for source in self.references]
        return torch.stack(parts, 1)  # [B, R, N, E]


def _telling(attribute: int) -> Tensor:
    """bool [40]: the attribute and those that tell it."""
    name = ATTRIBUTES[attribute]
    names = {name}.union(*(group for group in TELLING if name in group))
    return torch.tensor([other in names for other in ATTRIBUTES])
