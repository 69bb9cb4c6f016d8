"""Deep R: rewiring as sampling, with a number of synapses that never changes."""

import math
import random as plain_random
from collections.abc import Iterator, Mapping, Sequence
from types import EllipsisType
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...allocation import Allocation
from ...compiling import compiled
from ...criteria import random
from ...seeding import generator
from ...synapses import Exclude, entries_of, geometry
from ..base import Phase, Trained
from ..checks import check_at_least, check_scope, check_share, find_layerwise
from ..masked import Masked
from ..optimizer_state import clear_moments, prior_step
from ..registry import register
from .hidden_strength import add_scaled_

# Strength of a synapse that was just connected: it exists, so it is not zero.
CONNECTED = 1e-12
# Places in a tensor.
Places = tuple[Tensor, ...] | EllipsisType


@register("deepr")
class DeepR(Masked):
    r"""Deep Method: strengths walk with noise; a synapse that falls below 0 goes, and one comes at random.

    Bellec, Kappel, Maass, Legenstein: "Deep Method: Training very sparse deep networks", ICLR 2018, algorithm 1. A
    weight is :math:`w = s\,\theta`, with a sign drawn once and a strength above 0. At every step, for the synapses that
    exist,

    .. math:: \theta \leftarrow \theta - \eta\, s\, \partial L/\partial w - \eta\,\alpha + \sqrt{2 \eta T}\,\nu,
        \quad \nu \sim N(0, 1)

    (the optimizer takes the first part). Where :math:`\theta \le 0` the synapse goes dormant, and a dormant one is
    connected with its own sign and a strength of 1e-12: those met on a walk through the tensor with random start and
    stride. The number of synapses never changes, that of each tensor or that of all together. With Adam :math:`\eta` is
    the bias-corrected step, as for Grad R. Memory: besides the mask one tensor the size of the weights, and with noise
    one more during a step.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses that exist, in (0, 1].
        steps: optimizer steps of the whole training.
        alpha: the pressure of the L1 prior, 0 or more.
        temperature: T of the noise, 0 or more. 0 is without noise, as in the comparisons of the Grad R paper's code.
        settle: share of `steps` after which the connectivity is frozen, and pressure and noise end; with 1, the paper's
            way, they go on to the end.
        scope: "layer": each tensor keeps its number of synapses; "global": all together do, and synapses wander from
            layer to layer.
        allocation: of the first connectivity, drawn at random; it gives these numbers: "uniform", "erk", "er", a
            density for each layer, or a function.
        seed: of all drawings.
        exclude: synapses to leave dense.

    Raises:
        InputError: a value outside its range, or as `Method`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: float,
        steps: int,
        alpha: float = 0.1,
        temperature: float = 0.0,
        settle: float = 0.8,
        scope: Literal["layer", "global"] = "layer",
        allocation: str | Mapping[str, float] | Allocation = "uniform",
        seed: int = 0,
        exclude: Exclude = (),
    ) -> None:
        check_share("settle", settle)
        check_scope(scope)
        check_at_least(0, alpha=alpha, temperature=temperature)
        self.exclude, self.allocation = entries_of(exclude), find_layerwise(allocation)
        super().__init__(network, optimizer, density=density, steps=steps, exclude=self.exclude)
        self.network, self.seed, self.density = network, seed, density
        self.alpha, self.temperature, self.scope = alpha, temperature, scope
        self.settled_at = max(1, round(settle * steps))
        self._press = _press

    # --- One step

    def _start(self) -> None:
        super()._start()
        drawn = self.allocation(
            random(self.network, seed=self.seed, exclude=self.exclude),
            self.density,
            geometry(self.network, exclude=self.exclude),
        )
        signs = {name: parameter.detach().sign() for name, parameter in self.parameters.items()}
        for index, sign in enumerate(signs.values()):  # a weight that starts at 0 has no sign: it gets one
            chance = torch.rand(sign.shape, generator=generator(self.seed, index)).to(sign.device)
            sign.add_((sign == 0) * (2.0 * (chance < 0.5) - 1))
        self.state["sign"] = signs
        self._keep(drawn)
        self.numbers |= {f"synapses:{name}": int(mask.count_nonzero()) for name, mask in drawn.items()}

    def _after(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._after(trained)
        rates = [prior_step(self.optimizer, entry.group, entry.parameter) for entry in trained]
        if self.temperature:
            for entry, rate in zip(trained, rates, strict=True):
                weight = entry.parameter.data  # noise has no sign: on the weight it is as on the strength
                add_scaled_(weight, self._noise(entry.name, weight), (2 * rate * self.temperature) ** 0.5)
        weights = [entry.parameter.data for entry in trained]
        signs, masks = ([self.state[kind][entry.name] for entry in trained] for kind in ("sign", "mask"))
        self._press(weights, signs, masks, [rate * self.alpha for rate in rates])
        for entry in trained:
            clear_moments(self.optimizer, entry.parameter, self.state["mask"][entry.name])
        if trained:
            for group in [trained] if self.scope == "global" else [[entry] for entry in trained]:
                self._connect(group)
        return None

    def _update(self) -> None:
        if self.steps_done >= self.settled_at:
            self.phase = Phase.FIXED

    def _infer_phase(self) -> Phase:
        return Phase.FIXED if self.steps_done >= self.settled_at else Phase.SEARCHING

    def _connect(self, group: Sequence[Trained]) -> None:
        """As many synapses as have gone from these tensors."""
        masks = [self.state["mask"][entry.name] for entry in group]
        counted = list(self.parameters) if self.scope == "global" else [entry.name for entry in group]
        counts = [self.numbers[f"synapses:{name}"] for name in counted]
        wanted = sum(count for count in counts if isinstance(count, int))
        missing = wanted - torch.stack([count_of(self.state["mask"][name]) for name in counted]).sum()
        walk = self._walk("/".join(entry.name for entry in group), sum(mask.numel() for mask in masks))
        found = vacancies(masks, missing, wanted, walk, look=missing.device.type == "cpu")
        for entry, mask, (places, comes) in zip(group, masks, found, strict=True):
            weight, sign = entry.parameter.data, self.state["sign"][entry.name]
            weight[places] = torch.where(comes, CONNECTED * sign[places], weight[places])
            mask[places] += comes

    def compile(self) -> None:
        """Compile the arithmetic of a step: one pass over memory instead of six."""
        self._press = compiled(_press)

    # --- Drawing: the same for the same step, so that a resumed run draws it again

    def _noise(self, name: str, like: Tensor) -> Tensor:
        numbers = generator(self.seed, self.steps_done, list(self.parameters).index(name), device=like.device)
        return torch.randn(like.shape, generator=numbers, dtype=like.dtype, device=like.device)

    def _walk(self, name: str, size: int) -> tuple[int, int]:
        """Where a walk through so many places starts, and its stride; it meets every place once."""
        draw = plain_random.Random(f"{self.seed} {self.steps_done} {name}")
        stride = draw.randrange(1, max(2, size))
        while math.gcd(stride, size) > 1:
            stride = draw.randrange(1, size)
        return draw.randrange(size), stride


def _press(
    weight: Sequence[Tensor], sign: Sequence[Tensor], mask: Sequence[Tensor], force: Sequence[float | Tensor]
) -> None:
    """Strengths of what exists fall by the force; who is not above 0 then leaves the mask. All in place."""
    for w, s, m, f in zip(weight, sign, mask, force, strict=True):
        w.mul_(m)
        add_scaled_(w, s, -f)  # to what is absent too: below 0 it stays absent
        torch.mul(w, s, out=m).clamp_(min=0).sign_()
        w.mul_(m)


# --- Vacancies


def count_of(mask: Tensor) -> Tensor:
    """Of the synapses; several times as fast as count_nonzero, and exact: float32 holds what one row sums up to."""
    return mask.sum(-1, dtype=torch.float32).sum(dtype=torch.float64)


def vacancies(
    masks: Sequence[Tensor], missing: Tensor, wanted: int, walk: tuple[int, int], *, look: bool
) -> list[tuple[Places, Tensor]]:
    """The first free places on a walk through some tensors, as many as synapses are missing.

    Args:
        masks: 1 where a synapse exists, else 0.
        missing: how many places are wanted, 0 or more.
        wanted: how many synapses there are to be in all: who meets so many places finds as many free as are missing.
        walk: start, and stride (with no divisor in common with the number of places of all masks together).
        look: end the walk as soon as there are enough; else shapes depend on no data and nothing is read back.

    Returns:
        For each mask places, all different, as an index; and boolean, true for those to be filled.
    """
    total = sum(mask.numel() for mask in masks)
    most = min(wanted, total)
    if not look:
        return _of_whole_walk(masks, missing, most, walk)
    length = min(most, 2 * int(missing))
    while True:
        parts = list(_parts(masks, walk, length))
        free = torch.zeros(length, dtype=torch.bool)
        for mask, (which, places) in zip(masks, parts, strict=True):
            free[which] = mask[places] == 0
        if length == most or bool(free.count_nonzero() >= missing):
            comes = free & (free.cumsum(0) <= missing)
            return [(places, comes[which]) for which, places in parts]
        length = min(most, 2 * length)


def _of_whole_walk(
    masks: Sequence[Tensor], missing: Tensor, length: int, walk: tuple[int, int]
) -> list[tuple[Places, Tensor]]:
    start, stride = walk
    flat = torch.cat([mask.reshape(-1) for mask in masks])
    met = (start + stride * torch.arange(length, device=flat.device)) % flat.numel()
    free = flat[met] == 0
    comes = torch.zeros_like(flat, dtype=torch.bool)
    comes[met] = free & (free.cumsum(0) <= missing)
    parts = comes.split([mask.numel() for mask in masks])
    return [(..., part.view(mask.shape)) for mask, part in zip(masks, parts, strict=True)]


def _parts(masks: Sequence[Tensor], walk: tuple[int, int], length: int) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """Which of the places on a walk lie in each tensor, and where there."""
    start, stride = walk
    first = 0
    places = (start + stride * np.arange(length)) % sum(mask.numel() for mask in masks)
    for mask in masks:
        which = np.flatnonzero((places >= first) & (places < first + mask.numel()))
        inside = np.unravel_index(places[which] - first, mask.shape)
        yield torch.from_numpy(which), tuple(map(torch.from_numpy, inside))
        first += mask.numel()
