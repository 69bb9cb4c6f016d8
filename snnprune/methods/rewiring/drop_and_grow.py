"""Dynamic sparse training: every so many steps some synapses are dropped and others grown."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...allocation import Allocation
from ...connectivity import Connectivity
from ...criteria import random
from ...errors import InputError
from ...schedules import Polynomial, interval
from ...seeding import generator
from ...selection import keep_largest
from ...synapses import Exclude, entries_of, geometry
from ..base import Phase, Trained
from ..checks import check_share, find_layerwise
from ..masked import Masked
from ..registry import register

Drop = Literal["magnitude", "signed", "gradient"]
Grow = Literal["random", "gradient", "momentum"]
# Of the average of gradients that growth by momentum looks at.
MOMENTUM = 0.9


class DropAndGrow(Masked):
    """The network is sparse from the first step on, and its synapses move about.

    Every `every` steps each tensor drops a share of its synapses and grows as many others, with weight 0 and without
    moments, so that its density stays (or falls on a cubic schedule, where `initial_density` is given). After `end` the
    connectivity is fixed. A synapse that is dropped may be grown again at once, and then keeps its weight. The
    optimizer's step is taken at an update too: weights are looked at after it, gradients are those before it. A tensor
    that has no gradient then drops nothing but what its density asks for.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses to end with, in (0, 1].
        steps: optimizer steps of the whole training.
        initial_density: to begin with, at least `density`; None: `density`.
        fraction: share of a tensor's synapses that is dropped, in [0, 1]; at the first update.
        annealed: whether that share falls on a half cosine to 0 at `end` (RigL), or stays (SET).
        every: steps between two updates; None: 100, less in a short training.
        end: share of `steps` after which the connectivity is fixed, in (0, 1].
        drop: what goes: the smallest by "magnitude"; "signed", the smallest positive and the largest negative ones,
            each in proportion; or by the size of the "gradient".
        grow: what comes: at "random", by the size of the "gradient", or of its average over the steps ("momentum").
        allocation: of the first connectivity, drawn at random: "erk", "er", "uniform", a density for each layer, or a
            function. It says how many synapses each layer has, then and later.
        seed: of all drawings.
        exclude: synapses to leave dense.

    Raises:
        InputError: a value outside its range, an unknown name, or as `Method`.
    """

    # What a named method changes.
    DROP: ClassVar[Drop] = "magnitude"
    GROW: ClassVar[Grow] = "gradient"
    ALLOCATION: ClassVar[str] = "erk"
    ANNEALED: ClassVar[bool] = True

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: float,
        steps: int,
        initial_density: float | None = None,
        fraction: float = 0.3,
        annealed: bool | None = None,
        every: int | None = None,
        end: float = 0.75,
        drop: Drop | None = None,
        grow: Grow | None = None,
        allocation: str | Mapping[str, float] | Allocation | None = None,
        seed: int = 0,
        exclude: Exclude = (),
    ) -> None:
        self.drop, self.grow, self.exclude = drop or self.DROP, grow or self.GROW, entries_of(exclude)
        self.allocation = find_layerwise(allocation or self.ALLOCATION)
        self.annealed = self.ANNEALED if annealed is None else annealed
        self.initial_density = density if initial_density is None else initial_density
        for name, share in {"density": density, "initial_density": self.initial_density, "end": end}.items():
            check_share(name, share)
        _check(self.drop, self.grow, density, self.initial_density, fraction, every)
        super().__init__(network, optimizer, density=density, steps=steps, exclude=self.exclude)
        self.network, self.seed, self.fraction, self.density = network, seed, fraction, density
        self.end = max(1, round(end * steps))
        self.schedule = Polynomial(density=density, end=self.end, every=every or interval(self.end))
        self._gradients: dict[str, Tensor] = {}

    def fraction_at(self, step: int) -> float:
        """The share of a tensor's synapses that is dropped after so many steps."""
        if not self.annealed:
            return self.fraction
        return self.fraction * (1 + math.cos(math.pi * min(step / self.end, 1.0))) / 2

    # --- One step

    def _start(self) -> None:
        super()._start()
        self._keep(self._drawn(self.initial_density))
        if self.grow == "momentum":
            self.state["average"] = self._full(0)

    def _before(self, trained: Sequence[Trained]) -> None:
        # The dense gradients, before the mask takes those of absent synapses away.
        for entry in trained:
            if "average" in self.state:
                self.state["average"][entry.name].lerp_(entry.gradient, 1 - MOMENTUM)
            if "gradient" in (self.drop, self.grow) and self.schedule.updates_at(self.steps_done + 1):
                self._gradients[entry.name] = entry.gradient.clone()
        super()._before(trained)

    def _update(self) -> None:
        if self.schedule.updates_at(self.steps_done):
            every = self.schedule.every
            present, wanted = self._counts_at((self.steps_done - 1) // every * every), self._counts_at(self.steps_done)
            self._keep({name: self._moved_about(name, present[name], wanted[name]) for name in self.parameters})
        self._gradients = {}
        if self.steps_done >= self.end:
            self.phase = Phase.FIXED
            self.state.pop("average", None)

    def _infer_phase(self) -> Phase:
        return Phase.FIXED if self.steps_done >= self.end else Phase.SEARCHING

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """As `Method.load_state_dict`; growth by momentum needs the average of gradients."""
        has = any(key.startswith("average/") for key in state)
        if self.grow == "momentum" and not has and 0 < int(state.get("steps", 0)) < self.end:
            raise InputError("the state has no average of gradients: it is of a training that grew in another way")
        super().load_state_dict(state)

    # --- Where the synapses go

    def _moved_about(self, name: str, present: int, wanted: int) -> Tensor:
        """The mask of a tensor after it dropped and grew, from so many synapses to so many."""
        rests = self.parameters[name].grad is None
        staying = min(present if rests else present - round(self.fraction_at(self.steps_done) * present), wanted)
        kept = self._best(name, staying)
        promise = torch.where(kept, -torch.inf, self._promise(name))
        return kept | keep_largest({name: promise}, wanted - staying)[name]

    def _best(self, name: str, count: int) -> Tensor:
        """The mask of so many of the synapses that exist in a tensor."""
        there = self.state["mask"][name] != 0
        return keep_largest({name: torch.where(there, self._worth(name, there), -torch.inf)}, count)[name]

    def _worth(self, name: str, there: Tensor) -> Tensor:
        """How much the synapses that exist are worth keeping; by size where gradients are wanted and there are none."""
        weight = self.parameters[name].detach()
        if self.drop == "signed":
            return _among_its_sign(weight, there)
        return (self._gradients.get(name, weight) if self.drop == "gradient" else weight).abs()

    def _promise(self, name: str) -> Tensor:
        """How much the synapses that do not exist promise."""
        if self.grow == "momentum":
            return self.state["average"][name].abs()
        return self._gradients[name].abs() if self.grow == "gradient" and name in self._gradients else self._draw(name)

    def _draw(self, name: str) -> Tensor:
        """The same for the same step, so that a resumed run draws it again."""
        numbers = generator(self.seed, self.steps_done, list(self.parameters).index(name))
        return torch.rand(self.parameters[name].shape, generator=numbers).to(self.parameters[name].device)

    def _drawn(self, density: float) -> Connectivity:
        """A connectivity at random."""
        scores = random(self.network, seed=self.seed, exclude=self.exclude)
        return self.allocation(scores, density, geometry(self.network, exclude=self.exclude))

    @cached_property
    def _ends(self) -> tuple[dict[str, int], dict[str, int]]:
        """How many synapses each tensor has at first and at last."""
        counts = {
            density: {name: row["nonzero"] for name, row in self._drawn(density).layers().items()}
            for density in {self.initial_density, self.density}
        }
        return counts[self.initial_density], counts[self.density]

    def _counts_at(self, step: int) -> dict[str, int]:
        """How many synapses each tensor has after so many steps."""
        first, last = self._ends
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
    """Drops the smallest positive and the largest negative weights and grows as many synapses at random.

    Mocanu et al., "Scalable training of artificial neural networks with adaptive sparse connectivity inspired by
    network science", Nature Communications 2018: an Erdos-Renyi connectivity, and 30 % of each tensor at every update.
    The paper updates once an epoch, goes on to the end, and leaves the output layer dense; here updates are as frequent
    as everybody's and stop at `end`, so that what was grown last can learn, and the output layer is pruned as the
    others are (`exclude` keeps it dense). Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "signed", "random", "er", False


@register("rigl")
class RigL(DropAndGrow):
    """Drops the smallest weights and grows the synapses with the largest gradients.

    Evci, Gale, Menick, Castro, Elsen: "Rigging the Lottery: Making All Tickets Winners", ICML 2020, algorithm 1: an
    Erdos-Renyi-Kernel connectivity, every 100 steps, 30 % at first and less and less on a cosine, until 75 % of the
    training. Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "magnitude", "gradient", "erk", True


@register("esl")
class ESL(DropAndGrow):
    """Drops by magnitude (or gradient) and grows at random (or by gradient or momentum), at constant density.

    Shen et al., "ESL-SNNs: An Evolutionary Structure Learning Strategy for Spiking Neural Networks", AAAI 2023. `drop`
    and `grow` choose among its variants. Arguments as `DropAndGrow`.
    """

    DROP, GROW, ALLOCATION, ANNEALED = "magnitude", "random", "er", True


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


# --- Helpers


def _among_its_sign(weight: Tensor, there: Tensor) -> Tensor:
    """The share of a tensor's synapses of the same sign that are not larger, in (0, 1]."""
    worth = torch.zeros_like(weight, dtype=torch.promote_types(weight.dtype, torch.float32))
    for group in (there & (weight >= 0), there & (weight < 0)):
        sizes = weight[group].abs()
        worth[group] = (sizes.argsort(stable=True).argsort() + 1).to(worth) / max(1, sizes.numel())
    return worth


def _check(drop: str, grow: str, density: float, initial: float, fraction: float, every: int | None) -> None:
    for name, value, known in (("drop", drop, get_args(Drop)), ("grow", grow, get_args(Grow))):
        if value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, found {value!r}")
    if initial < density:
        raise InputError(f"initial_density must be {density:g} or more, where the density ends: found {initial:g}")
    if not 0 <= fraction <= 1:
        raise InputError(f"fraction must be in [0, 1], found {fraction}")
    if every is not None and every < 1:
        raise InputError(f"every must be 1 or more, found {every}")
