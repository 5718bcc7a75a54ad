"""The learning rate over a run whose length is told, or follows a time budget.

With a budget the length is estimated again and again from the speed. Until the rate begins to fall
it does not depend on the length, so changing the length then changes nothing. Once it falls, the
end is moved only where the budget would otherwise be missed, and the rate falls on from where it
is: it never jumps and never rises.
"""

from __future__ import annotations

import math
from typing import Any

from facecond.training.optim import learning_rate_factor

WARM_STEPS = 3
"""First steps of a session, which are slow; the speed is measured after them."""
MARK = 0.01
"""Share of the budget between two measurements."""
WINDOW = 0.2
"""Share of the budget over which the speed is measured."""
TOLERANCE = 0.03
"""Share of the budget by which it may be missed before the end is moved."""
SHORTEST_DECAY = 0.05
"""However little time is left, the rate takes this share of the steps so far to fall from its
height to zero."""


class Schedule:
    """Length of a run and factor on its learning rate.

    What holds of a run with a time budget: as long as `turns` is empty, every step had exactly the
    rate that it has in a run of `steps` steps, so the same config with `train.steps` set to the
    number that the finished run recorded gives the same weights. That is so where the speed is
    steady once the rate falls (and `decay_share` is below 1). Otherwise `turns` says where the
    fall was bent: after the last turn (step, height) the factor falls straight from `height` at
    `step` to zero at `steps`; a run of that many steps then has the same length and rates that
    are close but not equal.

    Args:
        steps: length of the run; 0 where `minutes` gives it.
        minutes: budget of a run without `steps`; interruptions do not count.
        warmup_steps, decay_share: see `learning_rate_factor`.

    Attributes:
        steps: length of the run as now planned, 0 while unknown.
        turns: (step, height) where the plan was bent.
        seconds: how long the run took so far, as it was told last.
    """

    def __init__(self, steps: int, minutes: float, warmup_steps: int, decay_share: float) -> None:
        self.steps, self.warmup_steps, self.decay_share = steps, warmup_steps, decay_share
        self.budget = 0.0 if steps else minutes * 60
        self.turns: list[tuple[int, float]] = []
        self.seconds = 0.0
        self._began: int | None = None
        self._marks: list[tuple[int, float]] = []

    def factor(self, step: int) -> float:
        """Factor on the learning rate of step number `step`, counted from 0."""
        if not self.steps or not self.turns:
            steps = self.steps or 10**9
            return learning_rate_factor(step, steps, self.warmup_steps, self.decay_share)
        start, height = self.turns[-1]
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        return max(0.0, min(warm, height * (self.steps - step) / (self.steps - start)))

    def advance(self, step: int, seconds: float) -> int:
        """Take note that `step` steps are done after `seconds`; returns the length, 0 if unknown.

        The length is a function of these calls alone: processes that are told the same agree.
        """
        self.seconds = seconds
        if not self.budget or 0 < self.steps <= step:
            return self.steps
        if self._began is None:
            self._began = step - 1
        if step - self._began < WARM_STEPS:
            return self.steps
        if not self._marks:
            self._marks = [(step, seconds)]
        elif seconds - self._marks[-1][1] >= MARK * self.budget:
            self._marks.append((step, seconds))
            while len(self._marks) > 2 and self._marks[1][1] <= seconds - WINDOW * self.budget:
                self._marks.pop(0)
            first, since = self._marks[0]
            self._plan(step, (seconds - since) / (step - first))
        return self.steps

    def speed_changes(self) -> None:
        """Forget the speed: from now on steps take another time."""
        self._began, self._marks = None, []

    def _plan(self, step: int, pace: float) -> None:
        """Set the end to where the budget ends at `pace` seconds per step."""
        end = step + max(1, round((self.budget - self.seconds) / pace))
        slack = TOLERANCE * self.budget / pace  # steps
        height = self._height(step)
        if height >= 1:  # not falling yet: any length whose rate does not fall before is as good
            kept = 1 - self.decay_share
            unbent = max(end, math.ceil(step / kept)) if kept > 0 else None
            if unbent is not None and unbent - end <= slack:
                self.steps = unbent
                return
        elif abs(end - self.steps) <= slack:
            return
        least = step + math.ceil(min(SHORTEST_DECAY, self.decay_share) * step * height)
        if height < 1:  # the plan is steep enough
            least = min(least, self.steps)
        if max(end, least) != self.steps:
            self.turns.append((step, height))
            self.steps = max(end, least)

    def _height(self, step: int) -> float:
        """What the factor is at `step` if it is not warm-up."""
        if not self.steps:
            return 1.0
        if self.turns:
            start, height = self.turns[-1]
            return height * (self.steps - step) / (self.steps - start)
        return learning_rate_factor(step, self.steps, 0, self.decay_share)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps. The speed is not kept: a session measures its own."""
        return {"steps": self.steps, "seconds": self.seconds, "turns": self.turns}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.steps, self.seconds = state["steps"], state["seconds"]
        self.turns = [(int(step), float(height)) for step, height in state["turns"]]
