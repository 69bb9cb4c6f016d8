"""Drop Pruning: drop out and drop in."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...errors import InputError
from ...seeding import generator
from ...selection import keep_largest
from ..registry import register
from .pruning import Pruning


@register("drop")
class DropPruning(Pruning):
    r"""Gradual magnitude pruning in which chance decides too: a reconstruction.

    After Jia et al., "Drop Pruning for Model Compression", 2018, whose abstract says that some unimportant synapses are
    dropped out at each step and some pruned ones dropped in again; how is not public, the rest is ours. At each choice
    of a cubic schedule with k synapses, b = p_in * k pruned ones, drawn at random, come back with weight 0. As many as
    are then too many are drawn at random from the smallest that were there: from 1 / p_out times as many. p_in falls to
    0 together with the density, and the last choice is without chance.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        p_out: chance of a candidate to be dropped, in (0, 1].
        p_in: synapses that come back, as a share of those that exist, in [0, 1).
        options: as `Pruning`, without `allocation`: it is global.

    Raises:
        InputError: a chance outside its range, or as `Pruning`.
    """

    BUILT_IN = ("allocation",)

    def __init__(
        self, network: nn.Module, optimizer: Optimizer, *, p_out: float = 0.5, p_in: float = 0.02, **options: Any
    ) -> None:
        if not (0 < p_out <= 1 and 0 <= p_in < 1):
            raise InputError(f"p_out must be in (0, 1] and p_in in [0, 1), found {p_out} and {p_in}")
        super().__init__(network, optimizer, **options)
        self.p_out, self.p_in = p_out, p_in

    def _prune_to(self, density: float) -> None:
        scores, there = self._scores(), {name: mask != 0 for name, mask in self.state["mask"].items()}
        wanted = max(1, round(density * sum(mask.numel() for mask in there.values())))
        chance = self.p_in * (density - self.density) / (1 - self.density) if density > self.density else 0.0
        back = self._draw({name: ~mask for name, mask in there.items()}, round(chance * wanted))
        surplus = self._count(there) + self._count(back) - wanted
        last = density <= self.density
        candidates = _smallest(scores, there, surplus if last else math.ceil(surplus / self.p_out))
        out = self._draw(candidates, surplus)
        self._keep({name: (mask | back[name]) & ~out[name] for name, mask in there.items()})

    def _draw(self, among: dict[str, Tensor], count: int) -> dict[str, Tensor]:
        """So many of these, at random; the same for the same step, so that a resumed run draws them again."""
        count = min(count, self._count(among))
        numbers = generator(self.seed, self.steps_done)
        drawn = {
            name: torch.where(mask, torch.rand(mask.shape, generator=numbers).to(mask.device), -1.0)
            for name, mask in among.items()
        }
        return keep_largest(drawn, count)

    @staticmethod
    def _count(masks: dict[str, Tensor]) -> int:
        return sum(int(mask.sum()) for mask in masks.values())


def _smallest(scores: dict[str, Tensor], there: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """So many of those that are there, by smallest score; all of them where there are no more."""
    present = sum(int(mask.sum()) for mask in there.values())
    return keep_largest(
        {name: torch.where(there[name], -score, -torch.inf) for name, score in scores.items()}, min(count, present)
    )
