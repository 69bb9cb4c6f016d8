"""Pruning while training: a criterion, an allocation and a schedule, put together."""

import inspect
from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ... import allocation as allocations
from ... import criteria, schedules
from ...allocation import Allocation
from ...criteria import Batches, Scores
from ...errors import InputError
from ...losses import Loss, mse
from ...schedules import Schedule
from ...synapses import Exclude, entries_of, geometry
from ..base import Phase
from ..checks import check_steps
from ..masked import Masked
from ..registry import register


@register("pruning")
class Pruning(Masked):
    """Pruning by any criterion, allocation and schedule; what is pruned stays so.

    When the schedule says so, the criterion scores the synapses that exist, the allocation keeps the best, and the
    weights and the optimizer's moments of the others are cleared. In between absent synapses get no gradient and stay
    at exactly 0. The named methods (`gmp`, `snip`, ...) are this class with other defaults.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses to end with, in (0, 1].
        steps: optimizer steps of the whole training.
        criterion: a name of `criteria.names()`, or a function `(network, batches) -> {name: scores}`.
        allocation: what `allocation.find` takes: a name, a density for each layer, or a function.
        schedule: "one-shot", "linear", "cubic", "rounds", or an object with `density_at` and `updates_at`.
        begin: share of `steps` after which a gradual schedule begins.
        end: share of `steps` after which `density` is reached; 0 prunes before the first step.
        every: steps between two choices of a gradual schedule; None: 100, less in a short training.
        batches: what the criterion looks at, a list of inputs or (inputs, labels).
        loss: of outputs and labels, for criteria that ask for one.
        seed: for criteria that draw.
        exclude: synapses to leave dense.

    Raises:
        InputError: an unknown name, a value outside its range, no batches or labels for a criterion that wants them,
            or as `Method`; and in training, a network that is silent when its synapses are to be scored.
    """

    # What a named method changes.
    CRITERION: ClassVar[str] = "magnitude"
    ALLOCATION: ClassVar[str] = "global"
    SCHEDULE: ClassVar[str] = "cubic"
    END: ClassVar[float] = 0.65
    # What a named method has of its own and takes no other of.
    BUILT_IN: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: float,
        steps: int,
        criterion: str | Callable[..., Scores] | None = None,
        allocation: str | Mapping[str, float] | Allocation | None = None,
        schedule: str | Schedule | None = None,
        begin: float = 0.0,
        end: float | None = None,
        every: int | None = None,
        batches: Batches = (),
        loss: Loss = mse,
        seed: int = 0,
        exclude: Exclude = (),
    ) -> None:
        check_steps(steps)
        for name, given in {"criterion": criterion, "allocation": allocation, "schedule": schedule}.items():
            if name in self.BUILT_IN and given is not None:
                raise InputError(f"{type(self).__name__} has its own {name} and takes no other, found {given!r}")
        for name, share in {"begin": begin, "end": end}.items():
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"{name} is a share of the steps, in [0, 1]; found {share}")
        self.criterion = criteria.find(criterion or self.CRITERION)
        self.allocation = allocations.find(allocation or self.ALLOCATION)
        self.begin, self.end = (round(share * steps) for share in (begin, self.END if end is None else end))
        schedule = schedule or self.SCHEDULE
        self.schedule = (
            schedules.make(schedule, density=density, begin=self.begin, end=self.end, every=every)
            if isinstance(schedule, str)
            else schedule
        )
        self.batches = list(batches)
        criteria.check_batches(self.criterion, self.batches)
        self.network, self.exclude, self.loss, self.seed = network, entries_of(exclude), loss, seed
        super().__init__(network, optimizer, density=density, steps=steps, exclude=self.exclude)
        self.density = density

    # --- One step

    def _start(self) -> None:
        super()._start()
        self._prune_if_due()

    def _update(self) -> None:
        self._prune_if_due()

    def _prune_if_due(self) -> None:
        if self.schedule.updates_at(self.steps_done):
            density = self.schedule.density_at(self.steps_done)
            self._prune_to(density)
            if density <= self.density:
                self.phase = Phase.FIXED

    # --- Choosing

    def _prune_to(self, density: float) -> None:
        """Keep the best of the synapses that exist."""
        self._keep(self._choose(self._scores(), density))

    def _scores(self) -> Scores:
        """Scores of the criterion for the network as it is now."""
        function = self.criterion.function
        own = {"seed": self.seed} if "seed" in inspect.signature(function).parameters else {}
        return criteria.score(function, self.network, self.batches, loss=self.loss, exclude=self.exclude, **own)

    def _choose(self, scores: Scores, density: float) -> dict[str, Tensor]:
        """Masks of the allocation's choice among the synapses that exist."""
        there = {name: mask != 0 for name, mask in self.state["mask"].items()}
        within = {name: torch.where(there[name], score, -torch.inf) for name, score in scores.items()}
        return dict(self.allocation(within, density, geometry(self.network, exclude=self.exclude)))

    # --- The end

    def _finish(self) -> None:
        if self.schedule.density_at(self.steps_done) > self.density:
            self._warn_early()
            self._prune_to(self.density)

    def _infer_phase(self) -> Phase:
        reached = self.schedule.density_at(self.steps_done) <= self.density
        return Phase.FIXED if reached else Phase.SEARCHING
