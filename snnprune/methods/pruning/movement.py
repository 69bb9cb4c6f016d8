"""Movement pruning: keep the synapses whose weights move away from zero."""

from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from ...criteria import Scores
from ..base import Phase, Trained
from ..registry import register
from .pruning import Pruning


@register("movement")
class Movement(Pruning):
    r"""Prune by scores that are summed over the training, :math:`S \leftarrow S - \eta\, g\, w` at every step.

    Sanh, Wolf, Rush: "Movement Pruning: Adaptive Sparsity by Fine-Tuning", NeurIPS 2020, section 3, the hard variant on
    a cubic schedule. Unlike there, pruned synapses do not return. Memory: one more tensor the size of the weights.
    Arguments as `Pruning`, without `criterion`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "cubic", 0.65
    BUILT_IN = ("criterion",)
    RENAMED_KINDS: ClassVar[Mapping[str, str]] = {"moved": "movement"}

    def _start(self) -> None:
        # In float32 at least: in half precision small terms vanish in a large sum.
        self.state["movement"] = self._full(0, precise=True)
        super()._start()

    def _before(self, trained: Sequence[Trained]) -> None:
        super()._before(trained)
        for entry in trained:
            self.state["movement"][entry.name] -= entry.parameter * entry.gradient * entry.group["lr"]

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        return () if phase is Phase.WAITING else ("mask", "movement")

    def _scores(self) -> Scores:
        return self.state["movement"]
