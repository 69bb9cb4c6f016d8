"""Rewirings that search with something hidden behind the weights, and then settle on a mask."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..schedules import Polynomial, interval
from ..synapses import Exclude
from .checks import check_share
from .masked import Masked


class Settling(Masked):
    """Base of the methods that search for a connectivity for a part of the training, and then fix it.

    While the search is on, `self.state` holds what is behind the weights; afterwards, a mask. A method answers
    `_select`, which is called every so many steps with the density of a cubic schedule, if a density is asked for, and
    `_freeze`.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them, minimizes, and takes no closure.
        density: share of the synapses to end with, in (0, 1], or None.
        steps: optimizer steps of the whole training; None where the search never ends.
        settle: share of `steps` after which the search ends, in (0, 1].
        ramp: share of the search after which the cubic schedule is at the density; in the rest it is held.
        exclude: synapses to leave dense.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: float | None,
        steps: int | None,
        settle: float,
        ramp: float = 1.0,
        exclude: Exclude = (),
    ) -> None:
        check_share("settle", settle)
        super().__init__(network, optimizer, density=density, steps=steps, exclude=exclude)
        self.density, self.total_steps = density, steps
        self.settled_at = max(1, round(settle * (steps or 0)))
        end, every = max(1, round(ramp * self.settled_at)), interval(self.settled_at)
        self.schedule = None if density is None else Polynomial(density=density, end=end, every=every)

    @property
    def frozen(self) -> bool:
        """Whether the search has ended and the connectivity is fixed."""
        return "mask" in self.state or self._ended is not None

    @property
    def _settles(self) -> bool:
        """Whether the search is to end at all."""
        return self.density is not None

    @abstractmethod
    def _select(self, density: float) -> None:
        """Do what brings the search to this density."""

    @abstractmethod
    def _freeze(self) -> None:
        """End the search: write the weights, and `_settle` on what is alive."""

    def _settle(self, alive: Mapping[str, Tensor]) -> None:
        """Fix these synapses; what was behind the weights is forgotten."""
        self.state = {}
        super()._start()
        self._keep(alive)

    def _update(self) -> None:
        if not self._settles or self.frozen:
            return
        if self.steps >= self.settled_at:
            self._freeze()
        elif self.schedule is not None and self.steps % self.schedule.every == 0:
            self._select(self.schedule.density_at(self.steps))

    def _existing(self) -> Connectivity:
        if "mask" in self.state:
            return super()._existing()
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    def _finish(self) -> None:
        if self._settles and not self.frozen:
            self._tell_early()
            self._freeze()
