"""ADMM: weights are pulled towards a pruned copy of themselves while the network trains, and then pruned."""

from collections.abc import Collection, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ...options import Positive, Share, ShareOfSteps, Steps
from ..base import Phase, Trained
from ..registry import register
from .pruning import Pruning


@register("admm")
class ADMM(Pruning):
    r"""Alternating direction method of multipliers, then pruning and fine-tuning.

    Zhang et al., "A Systematic DNN Weight Pruning Framework using ADMM", ECCV 2018, section 3; for spiking networks
    Deng et al., "Comprehensive SNN Compression Using ADMM", 2021. The penalty :math:`\frac{\rho}{2} \|W - Z + U\|^2` is
    added to the loss. At intervals of `period` Z becomes the projection :math:`\Pi(W + U)`, its largest entries, and
    then :math:`U \leftarrow U + W - Z`. At `end` the smallest weights are pruned. Memory: two more tensors the size of
    the weights until then. With Adam, which normalises gradients, `rho` decides how early the penalty outweighs the
    loss.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        rho: factor of the penalty, above 0.
        begin: share of the steps before the first projection.
        period: share of the steps between two projections, in (0, 1].
        options: as `Pruning`, without `schedule`; the projection uses `criterion` and `allocation`.

    Raises:
        InputError: a value outside its range, or as `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "one-shot", 0.65
    BUILT_IN = ("schedule",)

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        steps: Steps,
        rho: Positive = 1e-4,
        begin: ShareOfSteps = 0.2,
        period: Share = 0.02,
        **options: Any,
    ) -> None:
        super().__init__(network, optimizer, steps=steps, begin=begin, **options)
        self.rho = rho
        self.period = max(1, round(period * steps))

    def _before(self, trained: Sequence[Trained]) -> None:
        super()._before(trained)
        if self.phase is Phase.SEARCHING:
            for entry in trained:
                pull = entry.parameter - self.state["target"][entry.name] + self.state["dual"][entry.name]
                entry.gradient.add_(pull, alpha=self.rho)

    def _start(self) -> None:
        self.phase = Phase.WARMUP
        super()._start()

    def _update(self) -> None:
        if self.begin <= self.steps_done < self.end and (self.steps_done - self.begin) % self.period == 0:
            self.phase = Phase.SEARCHING
            self._project()
        super()._update()

    def _prune_to(self, density: float) -> None:
        super()._prune_to(density)
        self.state = {"mask": self.state["mask"]}

    def _infer_phase(self) -> Phase:
        return Phase.WARMUP if self.steps_done < self.begin else super()._infer_phase()

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        projected = ("dual", "target") if phase is Phase.SEARCHING else ()
        return (*super()._kinds_in(phase, steps_done), *projected)

    def _project(self) -> None:
        """Set Z to the largest entries of W + U, and add W - Z to U."""
        # Z is the nearest sparse tensor to W + U. U sums up the distances W - Z that remain, so that the pull grows on
        # weights that resist it, until W itself is nearly sparse and the final pruning changes little.
        dual = self.state.setdefault("dual", {name: p.detach() * 0 for name, p in self.parameters.items()})
        shifted = {name: p.detach() + dual[name] for name, p in self.parameters.items()}
        scores = {name: value.abs() for name, value in shifted.items()}
        kept = self._choose(scores if self.criterion.name == "magnitude" else self._scores(), self.density)
        self.state["target"] = {name: value * kept[name] for name, value in shifted.items()}
        for name, value in shifted.items():
            dual[name].copy_(value - self.state["target"][name])
