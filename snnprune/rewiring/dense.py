"""Dense training under the interface of the others: the baseline."""

from typing import Any

import torch
from torch import nn

from ..connectivity import Connectivity
from .base import Rewiring
from .registry import register


@register("dense")
class Dense(Rewiring):
    """Leaves everything as it is: the network that the others are compared with."""

    def _before(self, name: str, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        """Nothing to do."""

    def _after(self, name: str, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        """Nothing to do."""

    def connectivity(self) -> Connectivity:
        """Every synapse."""
        return Connectivity(
            {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in self.parameters.items()}
        )
