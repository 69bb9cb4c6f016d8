"""SynFlow: pruning before training, without data, in many rounds."""

from .pruning import Pruning
from .registry import register

ROUNDS = 100


@register("synflow")
class SynFlow(Pruning):
    """The flow through the fresh network is kept up; see `criteria.synflow`.

    Tanaka et al., NeurIPS 2020, algorithm 1: 100 rounds before the first step, each with scores of its own, the density
    falling exponentially. Needs batches, of which only the shape is used. Arguments as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "synflow", "global", "one-shot", 0.0

    def _prune_to(self, density: float) -> None:
        before = self.connectivity().density
        for done in range(1, ROUNDS + 1):
            super()._prune_to(before * (density / before) ** (done / ROUNDS))
