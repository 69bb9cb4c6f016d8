"""Drop Pruning: gradual pruning with random removal and random return of synapses."""

import math
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...options import Interval, Share
from ...seeding import generator, uniform
from ...selection import keep_largest
from ..registry import register
from .pruning import Pruning

HalfOpen = Annotated[float, Interval(least=0, below=1)]


@register("drop")
class DropPruning(Pruning):
    r"""Gradual magnitude pruning with random choices: a reconstruction.

    After Jia et al., "Drop Pruning for Model Compression", 2018. Its abstract says that some unimportant synapses are
    dropped out at each step and some pruned ones are dropped in again; the details are not public, and those here are
    ours. At each update of a cubic schedule with k target synapses, p_in * k pruned synapses, drawn at random, return
    with weight 0. The surplus of n synapses over k is then drawn at random from the n / p_out smallest of the others.
    p_in falls to 0 together with the density, and the last update is deterministic.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        p_out: probability that a candidate is dropped, in (0, 1].
        p_in: share of the target synapses that return, in [0, 1).
        options: as `Pruning`, without `allocation`, which is global.

    Raises:
        InputError: a probability outside its range, or as `Pruning`.
    """

    BUILT_IN = ("allocation",)

    def __init__(
        self, network: nn.Module, optimizer: Optimizer, *, p_out: Share = 0.5, p_in: HalfOpen = 0.02, **options: Any
    ) -> None:
        super().__init__(network, optimizer, **options)
        self.p_out = p_out
        self.p_in = p_in

    def _prune_to(self, density: float) -> None:
        scores, present = self._scores(), {name: mask != 0 for name, mask in self.state["mask"].items()}
        self._findings.check_ranked(
            {n: torch.where(present[n], score, 0) for n, score in scores.items()}, self.steps_done
        )
        silent = {name: mask for name, mask in present.items() if name not in scores}
        target = max(1, round(density * sum(mask.numel() for mask in present.values())))
        share = self.p_in * (density - self.density) / (1 - self.density) if density > self.density else 0.0
        returning = self._draw({name: ~present[name] for name in scores}, round(share * target))
        surplus = _count(present) + _count(returning) - target
        last = density <= self.density
        candidates = _smallest(scores, present, surplus if last else math.ceil(surplus / self.p_out))
        dropped = self._draw(candidates, surplus)
        self._keep(silent | {name: (present[name] | returning[name]) & ~dropped[name] for name in scores})

    def _draw(self, among: dict[str, Tensor], count: int) -> dict[str, Tensor]:
        """Draw `count` of these synapses; the same ones for the same step, so that a resumed run repeats them."""
        count = min(count, _count(among))
        numbers = generator(self.seed, self.steps_done)
        drawn = {
            name: torch.where(mask, uniform(mask.shape, numbers).to(mask.device), -1.0) for name, mask in among.items()
        }
        return keep_largest(drawn, count)


def _count(masks: dict[str, Tensor]) -> int:
    return sum(int(mask.sum()) for mask in masks.values())


def _smallest(scores: dict[str, Tensor], present: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return the `count` existing synapses with the smallest scores, or all existing ones if there are fewer."""
    return keep_largest(
        {name: torch.where(present[name], -score, -torch.inf) for name, score in scores.items()},
        min(count, _count(present)),
    )
