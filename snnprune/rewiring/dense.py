"""Dense training under the interface of the others: the baseline."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..synapses import Exclude
from .base import Moved, Rewiring
from .registry import register


@register("dense")
class Dense(Rewiring):
    """Leaves everything as it is: the network that the others are compared with."""

    def __init__(self, network: nn.Module, optimizer: Optimizer, *, exclude: Exclude = ()) -> None:
        super().__init__(network, optimizer, exclude=exclude)

    def _before(self, moved: Sequence[Moved]) -> None:
        """Nothing to do."""

    def _after(self, moved: Sequence[Moved]) -> None:
        """Nothing to do."""

    def _existing(self) -> Connectivity:
        return Connectivity(
            {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in self.parameters.items()}
        )
