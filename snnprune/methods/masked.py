"""The base of methods with a mask: absent synapses get no gradient, and their weights stay exactly 0."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..connectivity import Connectivity
from .base import Method, Trained
from .optimizer_state import clear_moments


class Masked(Method):
    """Base of the methods whose connectivity is `self.state["mask"]`, 1 or 0 in the weights' dtype."""

    def _start(self) -> None:
        self.state["mask"] = self._full(1)

    # Masks have the weights' dtype because a product is several times as fast as masked_fill with a boolean mask.

    def _before(self, trained: Sequence[Trained]) -> None:
        for entry in trained:  # absent synapses must not build up moments
            entry.gradient.mul_(self.state["mask"][entry.name])

    def _after(self, trained: Sequence[Trained]) -> None:
        for entry in trained:  # weight decay and momentum may have moved them
            entry.parameter.mul_(self.state["mask"][entry.name])

    def _keep(self, masks: Mapping[str, Tensor]) -> None:
        """Keep these synapses, and clear weights and moments of all others."""
        for name, keep in masks.items():
            mask, parameter = self.state["mask"][name], self.parameters[name]
            mask.copy_(keep)
            parameter.data.mul_(mask)
            clear_moments(self.optimizer, parameter, mask)

    def _existing(self) -> Connectivity:
        if "mask" not in self.state:  # before the first step
            return Connectivity({n: torch.ones_like(p, dtype=torch.bool) for n, p in self.parameters.items()})
        return Connectivity({name: mask != 0 for name, mask in self.state["mask"].items()})
