"""Pruning while training, by a criterion, an allocation and a schedule."""

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ... import allocation as allocations
from ... import criteria, schedules
from ...allocation import Allocation
from ...criteria import Batches, Scores
from ...errors import InputError, SilentLayers, shortened
from ...losses import Loss, mse
from ...options import Count, Seed, Share, ShareOfSteps, Steps
from ...probe import Axes, batches_of
from ...schedules import Schedule
from ...synapses import Exclude, Include, entries_of, geometry
from ..base import Phase
from ..masked import Masked
from ..registry import register

logger = logging.getLogger(__name__)


@register("pruning")
class Pruning(Masked):
    """Pruning by any criterion, allocation and schedule; pruned synapses stay pruned.

    At each update of the schedule the criterion scores the existing synapses, the allocation keeps the best, and the
    weights and the optimizer's moments of the others are cleared. In between absent synapses get no gradient and stay
    at exactly 0. Layers that fall silent on the way, so that the criterion can say nothing of them, stay as they are,
    with a warning, and the others meet the density of all. The named methods (`gmp`, `snip`, ...) are this class with
    other defaults; see `presets`.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses to end with, in (0, 1].
        steps: optimizer steps of the whole training.
        criterion: a name of `criteria.names()`, or a function `(network, batches) -> {name: scores}`.
        allocation: as in `allocation.find`: a name, a density for each layer, or a function.
        schedule: "one-shot", "linear", "cubic", "rounds", or an object with `density_at` and `updates_at`.
        begin: share of `steps` after which a gradual schedule begins.
        end: share of `steps` after which `density` is reached; 0 prunes before the first step.
        every: steps between two updates of a gradual schedule; None: 100, fewer in a short training.
        batches: data for the criterion, a list of inputs or (inputs, labels).
        loss: of outputs and labels, for criteria that take one.
        seed: for criteria that draw random numbers.
        exclude: synapses to leave dense.
        include: parameters to take as synapses, as in `find_synapses`.
        layout: axes of the batches, for criteria that look into a run: "B", "TB" or "BT"; None: found.

    Raises:
        InputError: an unknown name, a value outside its range, no batches or labels for a criterion that needs them,
            or as `Method`; in training, a network that is silent when its synapses are scored.
    """

    # Defaults, which a named method overrides.
    CRITERION: ClassVar[str] = "magnitude"
    ALLOCATION: ClassVar[str] = "global"
    SCHEDULE: ClassVar[str] = "cubic"
    END: ClassVar[float] = 0.65
    # Options that a named method does not take, because it fixes them.
    BUILT_IN: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: Share,
        steps: Steps,
        criterion: str | Callable[..., Scores] | None = None,
        allocation: str | Mapping[str, float] | Allocation | None = None,
        schedule: str | Schedule | None = None,
        begin: ShareOfSteps = 0.0,
        end: ShareOfSteps | None = None,
        every: Count | None = None,
        batches: Batches = (),
        loss: Loss = mse,
        seed: Seed = 0,
        exclude: Exclude = (),
        include: Include = (),
        layout: Axes = None,
    ) -> None:
        for name, given in {"criterion": criterion, "allocation": allocation, "schedule": schedule}.items():
            if name in self.BUILT_IN and given is not None:
                raise InputError(f"{type(self).__name__} has its own {name}, found {shortened(given)}: leave it out")
        self.criterion = criteria.find(self.CRITERION if criterion is None else criterion)
        self.allocation = allocations.find(self.ALLOCATION if allocation is None else allocation)
        self.begin = round(begin * steps)
        self.end = round((self.END if end is None else end) * steps)
        schedule = self.SCHEDULE if schedule is None else schedule
        self.schedule = (
            schedules.make(schedule, density=density, begin=self.begin, end=self.end, every=every)
            if isinstance(schedule, str)
            else schedule
        )
        self.batches = batches_of(batches)
        criteria.check_batches(self.criterion, self.batches)
        self.network = network
        self._silent: set[str] = set()  # layers of which a warning was logged
        self.exclude = entries_of(exclude, include)
        self.loss = loss
        self.layout = layout
        self.seed = seed
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
            if density <= self.density or density < self._density_now():
                self._prune_to(density)
            if density <= self.density:
                self.phase = Phase.FIXED

    # --- Selection

    def _prune_to(self, density: float) -> None:
        """Keep the best of the existing synapses, up to this density."""
        self._findings.check_weights(self.parameters, self.steps_done)
        self._findings.report(self.steps_done)  # on every device: scores are read anyway
        self._keep(self._choose(self._scores(), density))

    def _density_now(self) -> float:
        """Return the density now; that of a network that was sparse at the start may be below the schedule's."""
        return self._existing().density

    def _scores(self) -> Scores:
        """Return the criterion's scores of the network in its current state, without layers that have fallen silent."""
        function = self.criterion.function
        own: dict[str, Any] = {"seed": self.seed} if "seed" in inspect.signature(function).parameters else {}
        silent: tuple[str, ...] = ()
        while True:
            exclude = entries_of([*self.exclude, *silent], self.exclude.include)
            try:
                return criteria.score(
                    function, self.network, self.batches, loss=self.loss, exclude=exclude, layout=self.layout, **own
                )
            except SilentLayers as error:
                if self._existing().density == 1 or len(silent) + len(error.names) == len(self.parameters):
                    raise  # it was silent before anything was pruned, or is silent as a whole
                if new := [name for name in error.names if name not in self._silent]:
                    logger.warning("%s stay as they are, %s cannot score them: %s", new, self.criterion.name, error)
                    self._silent.update(new)
                silent += error.names

    def _choose(self, scores: Scores, density: float) -> dict[str, Tensor]:
        """Return the masks that the allocation chooses from the existing synapses."""
        present = {name: mask != 0 for name, mask in self.state["mask"].items()}
        kept = {name: mask for name, mask in present.items() if name not in scores}
        if kept:
            density = self._density_of_others(kept, density)
        ranked = {name: torch.where(present[name], score, 0) for name, score in scores.items()}
        self._findings.check_ranked(ranked, self.steps_done)
        eligible = {name: torch.where(present[name], score, -torch.inf) for name, score in scores.items()}
        shapes = geometry(self.network, exclude=entries_of([*self.exclude, *kept], self.exclude.include))
        return {**kept, **dict(self.allocation(eligible, density, shapes))}

    def _density_of_others(self, kept: Mapping[str, Tensor], density: float) -> float:
        """Return the density of the other layers at which the network has the given one.

        Raises:
            InputError: the layers that stay as they are have more synapses than the whole network may have.
        """
        total = sum(parameter.numel() for parameter in self.parameters.values())
        here = sum(int(mask.sum()) for mask in kept.values())
        left = (round(density * total) - here) / (total - sum(mask.numel() for mask in kept.values()))
        if left <= 0:
            raise InputError(
                f"density {density:g} cannot be reached: {', '.join(kept)} cannot be scored, stay as they are, and "
                f"have {here:,} of {round(density * total):,} synapses; exclude them, or lower thresholds"
            )
        return min(1.0, left)

    # --- The end

    def _finish(self) -> None:
        if self.schedule.density_at(self.steps_done) > self.density:
            self._warn_early()
            self._prune_to(self.density)

    def _infer_phase(self) -> Phase:
        reached = self.schedule.density_at(self.steps_done) <= self.density
        return Phase.FIXED if reached else Phase.SEARCHING
