"""Dynamic sparse training: at intervals some synapses are dropped and others grown (SET, RigL, ESL, NDSNN)."""

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...allocation import Allocation
from ...connectivity import Connectivity
from ...criteria import random
from ...errors import InputError
from ...options import Count, Fraction, Seed, Share, Steps
from ...schedules import Polynomial, interval
from ...seeding import generator, uniform
from ...selection import keep_largest
from ...synapses import Exclude, Include, entries_of, geometry
from ..base import Phase, Trained
from ..checks import find_layerwise
from ..masked import Masked, existing_first
from ..registry import register

Drop = Literal["magnitude", "signed", "gradient"]
Grow = Literal["random", "gradient", "momentum"]
# Decay of the running mean of gradients for growth by momentum.
MOMENTUM = 0.9


class DropAndGrow(Masked):
    """Sparse training from the first step on, with a connectivity that changes at intervals.

    Every `every` steps each tensor drops a share of its synapses and grows as many others, with weight 0 and without
    moments, so that its density is constant (or falls on a cubic schedule, if `initial_density` is given). After `end`
    the connectivity is fixed. A dropped synapse may be grown again at once, and then keeps its weight. An update
    follows the optimizer's step: it uses the weights after the step and the gradients before it. A tensor without a
    gradient only drops synapses if its density falls.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses to end with, in (0, 1].
        steps: optimizer steps of the whole training.
        initial_density: share of the synapses at the start, at least `density`; None: `density`.
        fraction: share of a tensor's synapses that is dropped at the first update, in [0, 1].
        annealed: whether that share falls on a half cosine to 0 at `end` (RigL), or is constant (SET).
        every: steps between two updates; None: 100, fewer in a short training.
        end: share of `steps` after which the connectivity is fixed, in (0, 1].
        drop: rule for dropping: the smallest by "magnitude"; "signed", the smallest positive and the largest negative
            ones, in proportion to their numbers; or the smallest by "gradient".
        grow: rule for growing: at "random", or the largest by "gradient" or by its running mean ("momentum").
        allocation: of the first, random connectivity, which sets the number of synapses of each layer throughout:
            "erk", "er", "uniform", a density for each layer, or a function.
        seed: of all random numbers.
        exclude: synapses to leave dense.
        include: parameters to take as synapses, as in `find_synapses`.

    Raises:
        InputError: a value outside its range, an unknown name, or as `Method`.
    """

    # Defaults, which a named method overrides.
    DROP: ClassVar[Drop] = "magnitude"
    GROW: ClassVar[Grow] = "gradient"
    ALLOCATION: ClassVar[str] = "erk"
    ANNEALED: ClassVar[bool] = True

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: Share,
        steps: Steps,
        initial_density: Share | None = None,
        fraction: Fraction = 0.3,
        annealed: bool | None = None,
        every: Count | None = None,
        end: Share = 0.75,
        drop: Drop | None = None,
        grow: Grow | None = None,
        allocation: str | Mapping[str, float] | Allocation | None = None,
        seed: Seed = 0,
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        self.drop = drop or self.DROP
        self.grow = grow or self.GROW
        self.exclude = entries_of(exclude, include)
        self.allocation = find_layerwise(self.ALLOCATION if allocation is None else allocation)
        self.annealed = self.ANNEALED if annealed is None else annealed
        self.initial_density = density if initial_density is None else initial_density
        if self.initial_density < density:
            raise InputError(
                f"initial_density must be at least the final density, {density:g}; found {self.initial_density:g}"
            )
        super().__init__(network, optimizer, density=density, steps=steps, exclude=self.exclude)
        self.network = network
        self.density = density
        self.fraction = fraction
        self.seed = seed
        self.end = max(1, round(end * steps))
        self.schedule = Polynomial(density=density, end=self.end, every=every or interval(self.end))
        self._gradients: dict[str, Tensor] = {}

    def fraction_at(self, step: int) -> float:
        """Return the share of a tensor's synapses that is dropped after `step` steps."""
        if not self.annealed:
            return self.fraction
        return self.fraction * (1 + math.cos(math.pi * min(step / self.end, 1.0))) / 2

    # --- One step

    def _start(self) -> None:
        super()._start()
        scores = random(self.network, seed=self.seed, exclude=self.exclude)
        self._keep(existing_first(self._drawn(self.initial_density), scores, self.parameters))
        if self.grow == "momentum":
            self.state["average"] = self._full(0)

    def _before(self, trained: Sequence[Trained]) -> None:
        # Dense gradients: the mask will clear those of absent synapses.
        for entry in trained:
            if "average" in self.state:
                self.state["average"][entry.name].lerp_(entry.gradient, 1 - MOMENTUM)
            if "gradient" in (self.drop, self.grow) and self.schedule.updates_at(self.steps_done + 1):
                self._gradients[entry.name] = entry.gradient.clone()
        super()._before(trained)

    def _update(self) -> None:
        if self.schedule.updates_at(self.steps_done):
            every = self.schedule.every
            present, target = self._counts_at((self.steps_done - 1) // every * every), self._counts_at(self.steps_done)
            self._keep({name: self._rewired(name, present[name], target[name]) for name in self.parameters})
        self._gradients = {}
        if self.steps_done >= self.end:
            self.phase = Phase.FIXED
            self.state.pop("average", None)

    def _infer_phase(self) -> Phase:
        return Phase.FIXED if self.steps_done >= self.end else Phase.SEARCHING

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        averages = phase is Phase.SEARCHING and self.grow == "momentum"
        return (*super()._kinds_in(phase, steps_done), *(("average",) if averages else ()))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Do as `Method.load_state_dict`; growth by momentum needs a state with the mean of gradients."""
        has_mean = any(key.startswith("average/") for key in state)
        if self.grow == "momentum" and not has_mean and 0 < int(state.get("steps", 0)) < self.end:
            raise InputError("the state has no mean of gradients: give the same grow as in the saved training")
        super().load_state_dict(state)

    # --- Dropping and growing

    def _rewired(self, name: str, present: int, target: int) -> Tensor:
        """Return the mask of a tensor after dropping and growing, from `present` to `target` synapses."""
        frozen = self.parameters[name].grad is None
        count = min(present if frozen else present - round(self.fraction_at(self.steps_done) * present), target)
        kept = self._best(name, count)
        scores = self._growth_scores(name)
        self._findings.check_ranked({name: torch.where(kept, 0, scores)}, self.steps_done)
        growth = torch.where(kept, -torch.inf, scores)
        return kept | keep_largest({name: growth}, target - count)[name]

    def _best(self, name: str, count: int) -> Tensor:
        """Return the mask of the best `count` existing synapses of a tensor."""
        present = self.state["mask"][name] != 0
        scores = self._drop_scores(name, present)
        self._findings.check_ranked({name: torch.where(present, scores, 0)}, self.steps_done)
        return keep_largest({name: torch.where(present, scores, -torch.inf)}, count)[name]

    def _drop_scores(self, name: str, present: Tensor) -> Tensor:
        """Return scores of existing synapses, the smallest of which are dropped; magnitudes if there is no gradient."""
        weight = self.parameters[name].detach()
        if self.drop == "signed":
            return _among_its_sign(weight, present)
        return (self._gradients.get(name, weight) if self.drop == "gradient" else weight).abs()

    def _growth_scores(self, name: str) -> Tensor:
        """Return scores of absent synapses, the largest of which are grown; random if there is no gradient."""
        if self.grow == "momentum":
            return self.state["average"][name].abs()
        return self._gradients[name].abs() if self.grow == "gradient" and name in self._gradients else self._draw(name)

    def _draw(self, name: str) -> Tensor:
        """Draw random numbers, the same ones for the same step, so that a resumed run repeats them."""
        numbers = generator(self.seed, self.steps_done, list(self.parameters).index(name))
        return uniform(self.parameters[name].shape, numbers).to(self.parameters[name].device)

    def _drawn(self, density: float) -> Connectivity:
        """Draw a random connectivity."""
        scores = random(self.network, seed=self.seed, exclude=self.exclude)
        return self.allocation(scores, density, geometry(self.network, exclude=self.exclude))

    @cached_property
    def _counts(self) -> tuple[dict[str, int], dict[str, int]]:
        """The number of synapses of each tensor at the start and at the end."""
        counts = {
            density: {name: row["nonzero"] for name, row in self._drawn(density).layers().items()}
            for density in {self.initial_density, self.density}
        }
        return counts[self.initial_density], counts[self.density]

    def _counts_at(self, step: int) -> dict[str, int]:
        """Return the number of synapses of each tensor after `step` steps."""
        first, last = self._counts
        remaining = self.schedule.remaining_at(step)
        return {name: round(last[name] + (first[name] - last[name]) * remaining) for name in last}

    # --- The end

    def _finish(self) -> None:
        if self.steps_done < self.end and self.initial_density > self.density:
            self._warn_early()
            self._keep({name: self._best(name, count) for name, count in self._counts_at(self.end).items()})


# --- Named methods


@register("set")
class SET(DropAndGrow):
    """Drop the smallest positive and the largest negative weights, and grow as many synapses at random.

    Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
    network science", Nature Communications 2018: an Erdos-Renyi connectivity, and 30 % of each tensor at every update.
    The paper updates once an epoch until the end, and leaves the output layer dense. Here updates are as frequent as in
    the other methods and stop at `end`, so that the last grown synapses are trained, and the output layer is pruned too
    (`exclude` keeps it dense). Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "signed", "random", "er", False


@register("rigl")
class RigL(DropAndGrow):
    """Drop the smallest weights, and grow the synapses with the largest gradients.

    Evci, Gale, Menick, Castro, Elsen: "Rigging the Lottery: Making All Tickets Winners", ICML 2020, algorithm 1: an
    Erdos-Renyi-Kernel connectivity, updates every 100 steps until 75 % of the training, and a dropped share that falls
    from 30 % on a cosine. Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "magnitude", "gradient", "erk", True


@register("esl")
class ESL(DropAndGrow):
    """Drop by magnitude (or gradient), and grow at random (or by gradient or momentum), at constant density.

    Shen et al., "ESL-SNNs: An Evolutionary Structure Learning Strategy for Spiking Neural Networks", AAAI 2023. `drop`
    and `grow` select its variants. Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "magnitude", "random", "er", True


@register("ndsnn")
class NDSNN(DropAndGrow):
    """Drop more synapses than grow at every update, by magnitude and gradient, so that the density falls.

    Huang et al., "Neurogenesis Dynamics-inspired Spiking Neural Network Training Acceleration", DAC 2023. The cubic
    schedule of the density is our reading of the abstract.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses to end with, in (0, 1].
        initial_density: share of the synapses at the start; None: a third, or `density` if that is larger.
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
        density: Share,
        initial_density: Share | None = None,
        **options: Any,
    ) -> None:
        initial = max(density, 1 / 3) if initial_density is None else initial_density
        super().__init__(network, optimizer, density=density, initial_density=initial, **options)


# --- Helpers


def _among_its_sign(weight: Tensor, present: Tensor) -> Tensor:
    """Return for each synapse the share of those of the same sign that are not larger, in (0, 1]."""
    shares = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
    for group in (present & (weight >= 0), present & (weight < 0)):
        sizes = weight[group].abs()
        shares[group] = (sizes.argsort(stable=True).argsort() + 1).to(shares) / max(1, sizes.numel())
    return shares
