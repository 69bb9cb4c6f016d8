"""NDSNN: drop and grow with ever fewer synapses."""

from typing import Any

from torch import nn
from torch.optim import Optimizer

from .drop_and_grow import DropAndGrow
from .registry import register


@register("ndsnn")
class NDSNN(DropAndGrow):
    """Starts less sparse than it ends: at every update fewer synapses grow than are dropped.

    Huang et al., "Neurogenesis Dynamics-inspired Spiking Neural Network Training Acceleration", DAC 2023. That the
    density falls on a cubic schedule is how the abstract can be read, not a quotation. Drops by magnitude, grows by
    gradient.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses to end with, in (0, 1].
        initial_density: to begin with; None: a third, or `density` if that is more.
        options: as `DropAndGrow`.

    Raises:
        InputError: as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "magnitude", "gradient", "erk", True

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: float,
        initial_density: float | None = None,
        **options: Any,
    ) -> None:
        initial = max(density, 1 / 3) if initial_density is None else initial_density
        super().__init__(network, optimizer, density=density, initial_density=initial, **options)
