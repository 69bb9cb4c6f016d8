"""ESPN: a mask is trained under an L1 penalty while the weights are frozen."""

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...criteria import Scores
from ...options import Positive, ShareOfSteps
from ..base import Phase, Trained
from ..optimizer_state import forget
from ..registry import register
from .pruning import Pruning


@register("espn")
class ESPN(Pruning):
    r"""Extreme sparsity by a trained mask, then fine-tuning.

    Cho, Joshi, Hegde: "ESPN: Extremely Sparse Pruned Networks", 2020. First the network trains as usual. Then its
    weights are frozen and multiplied by a mask m that starts at 1 and is trained under an L1 penalty, which adds the
    constant `pressure` to its gradient; m never falls below 0. At `end` the synapses with the largest m are kept, m is
    multiplied into their weights, and these are fine-tuned. The paper stops when few enough m are above 0.01; here the
    number of steps is given. Memory: two more tensors the size of the weights while m is trained. The optimizer's
    weight decay, if any, acts on m.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        pressure: factor of the penalty, above 0.
        begin: share of the steps before the mask is trained.
        options: as `Pruning`, without `criterion` and `schedule`.

    Raises:
        InputError: pressure not above 0, or as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "one-shot", 0.6
    BUILT_IN = ("criterion", "schedule")

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        pressure: Positive = 1e-6,
        begin: ShareOfSteps = 0.3,
        **options: Any,
    ) -> None:
        super().__init__(network, optimizer, begin=begin, **options)
        self.pressure = pressure

    def _before(self, trained: Sequence[Trained]) -> None:
        if self.phase is not Phase.SEARCHING:
            return super()._before(trained)
        for entry in trained:
            entry.gradient.mul_(self.state["frozen"][entry.name]).add_(self.pressure)
        self._swap_in(trained, [self.state["soft"][entry.name] for entry in trained])
        return None

    def _after(self, trained: Sequence[Trained]) -> None:
        if self.phase is not Phase.SEARCHING:
            return super()._after(trained)
        for entry, weight in zip(trained, self._restore_weights(trained), strict=True):
            torch.mul(self.state["frozen"][entry.name], self.state["soft"][entry.name].clamp_(min=0), out=weight)
        return None

    def _start(self) -> None:
        self.phase = Phase.WARMUP
        super()._start()
        self._begin_search_if_due()

    def _update(self) -> None:
        super()._update()
        self._begin_search_if_due()

    def _begin_search_if_due(self) -> None:
        """Freeze the weights and start to train the mask."""
        if self.steps_done == self.begin and self.steps_done < self.end:
            self.phase = Phase.SEARCHING
            self.state["frozen"] = {name: p.detach().clone() for name, p in self.parameters.items()}
            self.state["soft"] = self._full(1)
            self._forget_all()

    def _prune_to(self, density: float) -> None:
        super()._prune_to(density)
        self.state = {"mask": self.state["mask"]}
        self._forget_all()

    def _imply(self, name: str, out: Tensor) -> bool:
        if self.phase is not Phase.SEARCHING:
            return super()._imply(name, out)
        torch.mul(self.state["frozen"][name], self.state["soft"][name], out=out)
        return True

    def _adopt(self, name: str, implied: Tensor) -> None:
        if self.phase is not Phase.SEARCHING:
            return super()._adopt(name, implied)
        weight, frozen, soft = self.parameters[name].data, self.state["frozen"][name], self.state["soft"][name]
        self._zero_absent(name, implied != 0)
        changed = (implied != 0) & (weight != implied)
        frozen.copy_(torch.where(changed, weight / soft, frozen))
        return None

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        searched = ("frozen", "soft") if phase is Phase.SEARCHING else ()
        return (*super()._kinds_in(phase, steps_done), *searched)

    def _forget_all(self) -> None:
        # The optimizer's moments belong to the weights or to the mask, and are meaningless for the other.
        for parameter in self.parameters.values():
            forget(self.optimizer, parameter)

    def _scores(self) -> Scores:
        return dict(self.state["soft"]) if self.phase is Phase.SEARCHING else super()._scores()

    def _infer_phase(self) -> Phase:
        if "soft" in self.state:
            return Phase.SEARCHING
        return Phase.WARMUP if self.steps_done < self.begin else super()._infer_phase()
