"""The base of methods that search with hidden state behind the weights, and then fix a mask."""

from abc import abstractmethod
from collections.abc import Collection, Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..options import Share, Steps
from ..schedules import Polynomial, interval
from ..synapses import Exclude, Include, entries_of
from .base import Phase
from .masked import Masked, present_at_start


class Search(Masked):
    """Base of the methods that search for a connectivity during part of the training, and then fix it.

    `self.state` holds the hidden state in the phase SEARCHING, and a mask in the phase FIXED. A subclass implements
    `_select`, which is called at intervals with the density of a cubic schedule, if there is a target density, and
    `_end_search`.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them, minimizes, and takes no closure.
        density: share of the synapses to end with, in (0, 1], or None.
        steps: optimizer steps of the whole training; may be None if the search never ends.
        settle: share of `steps` after which the search ends, in (0, 1]; None: it never does.
        ramp: share of the search after which the schedule reaches the density; it is then constant.
        exclude: synapses to leave dense.
        include: parameters to take as synapses, as in `find_synapses`.

    Attributes:
        settled_at: step after which the search ends, or None.
        schedule: the density schedule, or None.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: Share | None,
        steps: Steps | None,
        settle: Share | None,
        ramp: Share = 1.0,
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        chosen = entries_of(exclude, include)
        super().__init__(network, optimizer, density=density, steps=steps, exclude=chosen)
        self.settled_at = None if settle is None else max(1, round(settle * (steps or 0)))
        self.schedule: Polynomial | None = None
        if density is not None and self.settled_at is not None:
            end, every = max(1, round(ramp * self.settled_at)), interval(self.settled_at)
            self.schedule = Polynomial(density=density, end=end, every=every)

    @abstractmethod
    def _select(self, density: float) -> None:
        """Reduce the existing synapses to this density."""

    @abstractmethod
    def _end_search(self) -> None:
        """Write the final weights, and `_fix` the existing synapses."""

    def _fix(self, alive: Mapping[str, Tensor]) -> None:
        """Fix these synapses, and drop the hidden state."""
        self.state = {"mask": self._full(1)}
        self._keep(alive)
        self.phase = Phase.FIXED

    def _update(self) -> None:
        if self.phase is not Phase.SEARCHING or self.settled_at is None:
            return
        if self.steps_done >= self.settled_at:
            self._end_search()
        elif self.schedule is not None and self.steps_done % self.schedule.every == 0:
            self._select(min(self.schedule.density_at(self.steps_done), self._density_at_start()))

    def _note_start(self) -> dict[str, Tensor]:
        """Return the masks of the synapses at the start; their number limits what is selected later."""
        present = present_at_start(self.parameters, self.target_density)
        found = Connectivity(present)
        if self.schedule is not None and found.nonzero < found.prunable:
            self.numbers["start"] = found.nonzero
        return present

    def _density_at_start(self) -> float:
        """Return the density at the start; 1 is not stored."""
        total = sum(parameter.numel() for parameter in self.parameters.values())
        return int(self.numbers.get("start", total)) / total

    def _existing(self) -> Connectivity:
        if self.phase is Phase.FIXED:
            return super()._existing()
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    def _hidden_kinds(self) -> Collection[str]:
        """Return the kinds of state during the search."""
        return ()

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        return self._hidden_kinds() if phase is Phase.SEARCHING else super()._kinds_in(phase, steps_done)

    def _finish(self) -> None:
        if self.phase is Phase.SEARCHING and self.settled_at is not None:
            self._warn_early()
            self._end_search()

    def _infer_phase(self) -> Phase:
        return Phase.FIXED if "mask" in self.state else Phase.SEARCHING
