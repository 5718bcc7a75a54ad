"""What a sample is to learn from its reference, and what is hidden of its other conditions.

| task | reference and target share | taken | hidden of the target's conditions |
|---|---|---|---|
| appearance | appearance, not layout | appearance | attributes of appearance |
| geometry | layout, not appearance | geometry | the mask, attributes of geometry |
| reconstruction | everything: one picture | everything that is routed | mask and attributes |
| attribute | one attribute | that attribute | that attribute |

What the reference is to give is hidden, or it would be ignored; what it must not give is said, so
that nothing is left to copy it for (DEADiff's non-reconstructive training, carried over to labels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from facecond.labels import ANYTHING, APPEARANCE, ATTRIBUTES, UNSPECIFIED
from facecond.models.qformer import INSTRUCTIONS, WHOLE, instruction_index, source_of

TASKS: tuple[str, ...] = ("appearance", "geometry", "reconstruction", "attribute")
MIX = {"appearance": 1.0, "geometry": 1.0, "reconstruction": 1.0}
"""Shares of the tasks where none are given: DEADiff's."""


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
    """

    def __init__(self, sources: Sequence[str], dropout: float = 0.15, keep: float = 0.1) -> None:
        self.sources, self.dropout, self.keep = tuple(sources), dropout, keep
        self.references = tuple(s for s in sources if s.split(":")[0] == "reference")
        self._appearance = torch.tensor([name in APPEARANCE for name in ATTRIBUTES])

    def instructions_of(self, task: str, attribute: int = -1) -> dict[str, str]:
        """Source -> instruction of a task, for the sources of the routing that take part.

        A routing whose only source is the whole `reference` has no instructions to give.
        """
        if task == "reconstruction":
            named = {source: source.partition(":")[2] or WHOLE for source in self.references}
            return named
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
        """Tasks int64 [B] (rows of `TASKS`) and attributes int64 [B] (-1 but for the last task),
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
            if name == "reconstruction":
                hide[row], open_mask[row] = True, True
            elif name == "attribute":
                hide[row, which] = True
            else:
                hide[row] = self._appearance if name == "appearance" else ~self._appearance
                open_mask[row] = name == "geometry"
        return ReferenceConditions(
            attributes.masked_fill(hide.to(device), UNSPECIFIED),
            mask.masked_fill(open_mask.to(device)[:, None, None], ANYTHING),
            instructions.to(device),
            weights.to(device),
        )
