"""Movement pruning: what learning moves away from zero stays."""

from collections.abc import Sequence

from ..criteria import Scores
from .base import Moved
from .pruning import Pruning
from .registry import register


@register("movement")
class Movement(Pruning):
    r"""Scores are summed over the training: :math:`S \leftarrow S - \eta\, g\, w` at every step.

    Sanh, Wolf, Rush: "Movement Pruning: Adaptive Sparsity by Fine-Tuning", NeurIPS 2020, section 3, the hard variant on
    a cubic schedule. Unlike there, what is pruned does not come back. One more tensor the size of the weights.
    Arguments as `Pruning`, without `criterion`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "cubic", 0.65
    OWN = ("criterion",)

    def _start(self) -> None:
        # In float32 at least: a sum of small numbers does not grow in fewer digits.
        self.state["moved"] = self._full(0, precise=True)
        super()._start()

    def _before(self, moved: Sequence[Moved]) -> None:
        super()._before(moved)
        for entry in moved:
            self.state["moved"][entry.name] -= entry.parameter * entry.gradient * entry.group["lr"]

    def _scores(self) -> Scores:
        return self.state["moved"]
