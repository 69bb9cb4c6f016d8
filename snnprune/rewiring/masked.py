"""Rewiring by masks: what is masked gets no gradient and stays at exactly 0."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..connectivity import Connectivity
from .base import Moved, Rewiring
from .moments import clear_moments


class Masked(Rewiring):
    """Base of the methods whose connectivity is a mask (`self.state["mask"]`, 1 or 0 in the weights' dtype)."""

    def _start(self) -> None:
        self.state["mask"] = self._full(1)

    # A product with a mask in the weights' dtype is several times as fast as filling by a boolean one.

    def _before(self, moved: Sequence[Moved]) -> None:
        for entry in moved:  # no moment shall build up for what is absent
            entry.gradient.mul_(self.state["mask"][entry.name])

    def _after(self, moved: Sequence[Moved]) -> None:
        for entry in moved:  # whatever the optimizer did
            entry.parameter.mul_(self.state["mask"][entry.name])

    def _keep(self, masks: Mapping[str, Tensor]) -> None:
        """Make these the synapses that exist; nothing remembers the others."""
        for name, keep in masks.items():
            mask, parameter = self.state["mask"][name], self.parameters[name]
            mask.copy_(keep)
            parameter.data.mul_(mask)
            clear_moments(self.optimizer, parameter, mask)

    def _existing(self) -> Connectivity:
        if "mask" not in self.state:
            return Connectivity({n: torch.ones_like(p, dtype=torch.bool) for n, p in self.parameters.items()})
        return Connectivity({name: mask != 0 for name, mask in self.state["mask"].items()})
