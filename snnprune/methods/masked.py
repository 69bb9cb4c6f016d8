"""The base of methods with a mask: absent synapses get no gradient, and their weights stay exactly 0."""

import logging
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..connectivity import Connectivity
from ..selection import keep_largest
from .base import Method, Phase, Trained
from .exact import keep_
from .optimizer_state import clear_moments

logger = logging.getLogger(__name__)


class Masked(Method):
    """Base of the methods whose connectivity is `self.state["mask"]`, 1 or 0 in the weights' dtype.

    It starts with the synapses whose weights are not 0; see `present_at_start`.
    """

    def _start(self) -> None:
        present = present_at_start(self.parameters, self.target_density)
        self.state["mask"] = {name: mask.to(self.parameters[name].dtype) for name, mask in present.items()}

    # Masks have the weights' dtype because a product is several times as fast as masked_fill with a boolean mask.

    def _before(self, trained: Sequence[Trained]) -> None:
        for entry in trained:  # absent synapses must not build up moments
            keep_(entry.gradient, self.state["mask"][entry.name])

    def _after(self, trained: Sequence[Trained]) -> None:
        for entry in trained:  # weight decay and momentum may have moved them
            keep_(entry.parameter.data, self.state["mask"][entry.name])

    def _keep(self, masks: Mapping[str, Tensor]) -> None:
        """Keep these synapses, and clear weights and moments of all others."""
        for name, keep in masks.items():
            mask, parameter = self.state["mask"][name], self.parameters[name]
            mask.copy_(keep)
            keep_(parameter.data, mask)
            clear_moments(self.optimizer, parameter, mask)

    def _existing(self) -> Connectivity:
        if "mask" not in self.state:  # before the first step
            return Connectivity(present_at_start(self.parameters, self.target_density))
        return Connectivity({name: mask != 0 for name, mask in self.state["mask"].items()})

    def _imply(self, name: str, out: Tensor) -> bool:
        if "mask" not in self.state:
            return False
        torch.mul(self.parameters[name].data, self.state["mask"][name], out=out)
        return True

    def _adopt(self, name: str, implied: Tensor) -> None:
        self._zero_absent(name, self.state["mask"][name] != 0)

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        return () if phase is Phase.WAITING else ("mask",)


def existing_first(
    drawn: Mapping[str, Tensor], scores: Mapping[str, Tensor], parameters: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Return masks with as many synapses in each layer as were drawn, those whose weight is not 0 first.

    In a dense network these are the ones drawn.

    Args:
        drawn: name -> boolean mask.
        scores: name -> random numbers in [0, 1), which decide between synapses that are alike otherwise.
        parameters: name -> weight.
    """
    chosen = {}
    for name, mask in drawn.items():
        exists = parameters[name].detach() != 0
        ranked = 2.0 * exists + 1.0 * mask.to(exists.device) + scores[name].to(exists.device) / 2
        chosen[name] = keep_largest({name: ranked}, int(mask.sum()))[name]
    return chosen


def present_at_start(parameters: Mapping[str, nn.Parameter], density: float | None) -> dict[str, Tensor]:
    """Return the synapses that a training starts with, as boolean masks: those whose weight is not 0.

    A tensor of zeros alone counts as dense: it was initialised so. So does the whole network if it has fewer synapses
    than `density` asks for, which is logged as a warning, since pruning could not reach that density.
    """
    present = {name: parameter.detach() != 0 for name, parameter in parameters.items()}
    for mask in present.values():
        mask.logical_or_(~mask.any())
    if density is not None:
        total = sum(mask.numel() for mask in present.values())
        found, wanted = sum(int(mask.sum()) for mask in present.values()), round(density * total)
        if found < wanted:
            logger.warning(
                "%d of %d weights are not 0 at the start, and density %g asks for %d synapses: all synapses count as "
                "present at the start",
                found,
                total,
                density,
                wanted,
            )
            return {name: torch.ones_like(mask) for name, mask in present.items()}
    return present
