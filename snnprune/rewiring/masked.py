"""Rewiring by masks: what is masked gets no gradient and stays at exactly 0."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..connectivity import Connectivity
from .base import Moved, Rewiring, clear_moments, hold_gradients, hold_weights


class Masked(Rewiring):
    """Base of the methods whose connectivity is a mask (`self.state["mask"]`, 1 or 0 in the weights' dtype)."""

    def _start(self) -> None:
        self.state["mask"] = {name: torch.ones_like(p, requires_grad=False) for name, p in self.parameters.items()}

    def _before(self, moved: Sequence[Moved]) -> None:
        hold_gradients(moved, self.state["mask"])

    def _after(self, moved: Sequence[Moved]) -> None:
        hold_weights(moved, self.state["mask"])

    def _keep(self, masks: Mapping[str, Tensor]) -> None:
        """Make these the synapses that exist; nothing remembers the others."""
        for name, keep in masks.items():
            mask, parameter = self.state["mask"][name], self.parameters[name]
            mask.copy_(keep)
            parameter.data.mul_(mask)
            clear_moments(self.optimizer, parameter, mask)

    def connectivity(self) -> Connectivity:
        """The synapses that exist now."""
        if "mask" not in self.state:
            return Connectivity({n: torch.ones_like(p, dtype=torch.bool) for n, p in self.parameters.items()})
        return Connectivity({name: mask != 0 for name, mask in self.state["mask"].items()})
