"""Rewirings that search with something hidden behind the weights, and then settle on a mask."""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from ..connectivity import Connectivity
from .masked import Masked


class Settling(Masked):
    """Base of the methods that search for a connectivity for a part of the training, and then fix it.

    While the search is on, `self.state` holds what is behind the weights; afterwards, a mask. A method answers
    `_freeze`, and calls it when its time has come.
    """

    density: float | None
    total_steps: int

    @property
    def frozen(self) -> bool:
        """Whether the search has ended and the connectivity is fixed."""
        return "mask" in self.state

    @property
    def _settles(self) -> bool:
        """Whether the search is to end at all."""
        return self.density is not None

    @abstractmethod
    def _freeze(self) -> None:
        """End the search: write the weights, and `_settle` on what is alive."""

    def _settle(self, alive: Mapping[str, Tensor]) -> None:
        """Fix these synapses; what was behind the weights is forgotten."""
        self.state = {}
        super()._start()
        self._keep(alive)

    def connectivity(self) -> Connectivity:
        """The synapses that exist now, or the frozen connectivity."""
        if self.frozen:
            return super().connectivity()
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    @torch.no_grad()
    def finalize(self) -> Connectivity:
        """End the rewiring and return the connectivity of the plain network that is left.

        A search that was stopped before it settled ends now, which costs accuracy.
        """
        self.detach()  # first of all: a step that was interrupted left the parameters pointing elsewhere
        if self._settles and not self.frozen:
            self._tell_early(self.total_steps, self.density)
            if not self.state:
                self._start()
            self._freeze()
        return super().finalize()
