"""Squisher: gradual pruning by the weights and the optimizer's running mean of squared gradients."""

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ...criteria import Scores
from ...options import NonNegative
from ..base import Phase, Trained
from ..optimizer_state import add_squares, gradient_sizes, keeps_squares
from ..registry import register
from .pruning import Pruning


@register("squisher")
class Squisher(Pruning):
    r"""Prune by :math:`|w|\, v^{p/2}`, with v the optimizer's running mean of squared gradients.

    Li, Dangel, Tam, Raffel: "Fishers for Free? Approximating the Fisher Information Matrix by Recycling the Squared
    Gradient Accumulator", ICML 2025: p = 1 ranks by the Fisher information, :math:`w^2 v / 2`, at no extra cost. p = 0
    is gradual magnitude pruning. The default between the two is ours: v is a mean over about a thousand steps, in which
    the network and its mask have changed, and p = 0.5 gave better results than p = 1.

    For an optimizer that keeps no such mean (SGD) the method keeps one: one more tensor the size of the weights. Before
    the first step there is none, and weights are ranked by magnitude.

    Args:
        network, optimizer, options: as `Pruning`, without `criterion`.
        power: p, 0 or more.

    Raises:
        InputError: as `Pruning`, or a negative power.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "cubic", 0.65
    BUILT_IN = ("criterion",)

    def __init__(self, network: nn.Module, optimizer: Optimizer, *, power: NonNegative = 0.5, **options: Any) -> None:
        super().__init__(network, optimizer, **options)
        self.power = power

    def _start(self) -> None:
        if not keeps_squares(self.optimizer):
            self.state["square"] = self._full(0, precise=True)
        super()._start()

    def _before(self, trained: Sequence[Trained]) -> None:
        super()._before(trained)
        if "square" in self.state:
            add_squares(self.state["square"], trained)

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        own = phase is not Phase.WAITING and not keeps_squares(self.optimizer)
        return (*super()._kinds_in(phase, steps_done), *(("square",) if own else ()))

    def _scores(self) -> Scores:
        sizes = gradient_sizes(self.optimizer, self.parameters, self.state.get("square") if self.steps_done else None)
        # |weight| * size^power, in place to save memory.
        return {n: sizes[n].pow_(self.power).mul_(p.detach()).abs_() for n, p in self.parameters.items()}
