"""Deep R: strengths move with noise, and for each synapse that becomes dormant a random one is connected."""

import math
import random as plain_random
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...allocation import Allocation
from ...compiling import compiled
from ...criteria import random
from ...options import NonNegative, Seed, Share, Steps
from ...seeding import generator, uniform
from ...synapses import Exclude, Include, entries_of, geometry
from ..base import Phase, Trained
from ..checks import find_layerwise
from ..masked import Masked, existing_first
from ..optimizer_state import clear_moments, prior_step
from ..registry import register
from .hidden_strength import add_scaled_, reveal

# Strength of a synapse that was just connected: it exists, so it must not be 0.
CONNECTED = 1e-12

# Index of some positions in a tensor, or of all of them.
Positions = tuple[Tensor, ...] | EllipsisType


@register("deepr")
class DeepR(Masked):
    r"""Deep Rewiring: a synapse whose strength falls below 0 becomes dormant, and a random dormant one is connected.

    Bellec, Kappel, Maass, Legenstein: "Deep Rewiring: Training very sparse deep networks", ICLR 2018, algorithm 1. A
    weight is :math:`w = s\,\theta`, with a sign drawn once and a strength above 0. At every step of an existing synapse

    .. math:: \theta \leftarrow \theta - \eta\, s\, \partial L/\partial w - \eta\,\alpha + \sqrt{2 \eta T}\,\nu,
        \quad \nu \sim N(0, 1)

    where the optimizer computes the first part. A synapse with :math:`\theta \le 0` becomes dormant, and a dormant one
    is connected, with its own sign and a strength of 1e-12. The number of synapses never changes, for each tensor or
    for all together. With Adam :math:`\eta` is the bias-corrected step, as for Grad R. Memory: besides the mask one
    tensor the size of the weights, and with noise one more during a step.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses that exist, in (0, 1].
        steps: optimizer steps of the whole training.
        alpha: strength of the L1 prior, 0 or more.
        temperature: T of the noise, 0 or more. 0 is without noise, as in the comparisons of the Grad R paper's code.
        settle: share of `steps` after which the connectivity is fixed, and prior and noise end; 1, as in the paper,
            continues to the end.
        scope: "layer": each tensor keeps its number of synapses; "global": only their sum is constant, and synapses
            move from layer to layer.
        allocation: of the first, random connectivity, which sets these numbers: "uniform", "erk", "er", a density for
            each layer, or a function.
        seed: of all random numbers.
        exclude: synapses to leave dense.
        include: parameters to take as synapses, as in `find_synapses`.

    Raises:
        InputError: a value outside its range, or as `Method`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: Share,
        steps: Steps,
        alpha: NonNegative = 0.1,
        temperature: NonNegative = 0.0,
        settle: Share = 0.8,
        scope: Literal["global", "layer"] = "layer",
        allocation: str | Mapping[str, float] | Allocation = "uniform",
        seed: Seed = 0,
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        self.exclude = entries_of(exclude, include)
        self.allocation = find_layerwise(allocation)
        super().__init__(network, optimizer, density=density, steps=steps, exclude=self.exclude)
        self.network = network
        self.density = density
        self.alpha = alpha
        self.temperature = temperature
        self.scope = scope
        self.seed = seed
        self.settled_at = max(1, round(settle * steps))
        self._apply_prior = _apply_prior_

    # --- One step

    def _start(self) -> None:
        super()._start()
        scores = random(self.network, seed=self.seed, exclude=self.exclude)
        drawn = self.allocation(scores, self.density, geometry(self.network, exclude=self.exclude))
        drawn = existing_first(drawn, scores, self.parameters)
        signs = {name: parameter.detach().sign() for name, parameter in self.parameters.items()}
        for index, sign in enumerate(signs.values()):  # a weight of exactly 0 has no sign and could never grow: draw it
            chance = uniform(sign.shape, generator(self.seed, index)).to(sign.device)
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
                weight = entry.parameter.data  # symmetric noise has the same effect on s * theta as on theta
                add_scaled_(weight, self._noise(entry.name, weight), (2 * rate * self.temperature) ** 0.5)
        weights = [entry.parameter.data for entry in trained]
        signs, masks = ([self.state[kind][entry.name] for entry in trained] for kind in ("sign", "mask"))
        self._apply_prior(weights, signs, masks, [rate * self.alpha for rate in rates])
        for entry in trained:
            clear_moments(self.optimizer, entry.parameter, self.state["mask"][entry.name])
        if trained:
            for group in [trained] if self.scope == "global" else [[entry] for entry in trained]:
                self._connect(group)
        return None

    def _imply(self, name: str, out: Tensor) -> bool:
        found = super()._imply(name, out)
        if found and self.phase is not Phase.FIXED:
            reveal([out], [self.state["sign"][name]], [out])
        return found

    def _adopt(self, name: str, implied: Tensor) -> None:
        if self.phase is not Phase.FIXED:
            weight, sign, mask = self.parameters[name].data, self.state["sign"][name], self.state["mask"][name] != 0
            sign.copy_(torch.where(mask & (weight.abs() > 0), weight.sign(), sign))
        super()._adopt(name, implied)

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        return () if phase is Phase.WAITING else ("mask", "sign")

    def _numbers_in(self, phase: Phase) -> Collection[str]:
        return () if phase is Phase.WAITING else [f"synapses:{name}" for name in self.parameters]

    def _update(self) -> None:
        if self.steps_done >= self.settled_at:
            self.phase = Phase.FIXED

    def _infer_phase(self) -> Phase:
        return Phase.FIXED if self.steps_done >= self.settled_at else Phase.SEARCHING

    def _connect(self, group: Sequence[Trained]) -> None:
        """Connect as many random dormant synapses as have become dormant in these tensors."""
        masks = [self.state["mask"][entry.name] for entry in group]
        # In scope "global" a frozen tensor has no entry in the group, but its synapses count in the constant sum.
        counted = list(self.parameters) if self.scope == "global" else [entry.name for entry in group]
        counts = [self.numbers[f"synapses:{name}"] for name in counted]
        total = sum(count for count in counts if isinstance(count, int))
        missing = total - torch.stack([count_of(self.state["mask"][name]) for name in counted]).sum()
        walk = self._walk("/".join(entry.name for entry in group), sum(mask.numel() for mask in masks))
        found = vacancies(masks, missing, total, walk, look=missing.device.type == "cpu")
        for entry, mask, (positions, chosen) in zip(group, masks, found, strict=True):
            weight, sign = entry.parameter.data, self.state["sign"][entry.name]
            weight[positions] = torch.where(chosen, CONNECTED * sign[positions], weight[positions])
            mask[positions] += chosen

    def compile(self) -> None:
        """Compile the arithmetic of a step: one pass over memory instead of six."""
        self._apply_prior = compiled(_apply_prior_)

    # --- Random numbers: the same for the same step, so that a resumed run repeats them

    def _noise(self, name: str, like: Tensor) -> Tensor:
        numbers = generator(self.seed, self.steps_done, list(self.parameters).index(name), device=like.device)
        return torch.randn(like.shape, generator=numbers, dtype=like.dtype, device=like.device)

    def _walk(self, name: str, size: int) -> tuple[int, int]:
        """Draw the start and the stride of a walk through `size` positions that visits each once."""
        draw = plain_random.Random(f"{self.seed} {self.steps_done} {name}")
        stride = draw.randrange(1, max(2, size))
        while math.gcd(stride, size) > 1:
            stride = draw.randrange(1, size)
        return draw.randrange(size), stride


def _apply_prior_(
    weight: Sequence[Tensor], sign: Sequence[Tensor], mask: Sequence[Tensor], force: Sequence[float | Tensor]
) -> None:
    """Lower the strengths of existing synapses by the force; synapses at or below 0 leave the mask. All in place."""
    for w, s, m, f in zip(weight, sign, mask, force, strict=True):
        w.masked_fill_(m == 0, 0)  # not a product: 0 * inf would be nan
        add_scaled_(w, s, -f)  # of absent synapses too: their strength falls from 0 to below, so they stay absent
        torch.mul(w, s, out=m).le_(0).logical_not_()  # a synapse whose strength is nan exists, as does its weight
        w.masked_fill_(m == 0, 0)


# --- Vacancies
#
# Random vacant positions (those of dormant synapses) are found on a walk through all positions: start, start + stride,
# start + 2 * stride, ..., modulo their number. The stride has no divisor in common with that number, so the walk visits
# every position once before it repeats. Of `total` positions visited at most `total - missing` are occupied, because no
# more synapses exist: at least `missing` are vacant. The walk therefore never needs more than `total` positions, a
# small share of a sparse tensor, whereas drawing from all vacant positions would need a random number or a sort for
# every one of them.


def count_of(mask: Tensor) -> Tensor:
    """Count synapses several times as fast as count_nonzero; exact, since the sum of a row is exact in float32."""
    return mask.sum(-1, dtype=torch.float32).sum(dtype=torch.float64)


def vacancies(
    masks: Sequence[Tensor], missing: Tensor, total: int, walk: tuple[int, int], *, look: bool
) -> list[tuple[Positions, Tensor]]:
    """Return the first vacant positions on a walk through some tensors.

    Args:
        masks: 1 where a synapse exists, else 0.
        missing: number of vacant positions to return, 0 or more.
        total: number of synapses once these are filled; the longest walk that is needed.
        walk: start, and stride (with no divisor in common with the number of positions in all masks together).
        look: end the walk as soon as there are enough; otherwise no shape depends on data and nothing is read back.

    Returns:
        for each mask an index of distinct positions, and a boolean tensor that is true for those to fill.
    """
    longest = min(total, sum(mask.numel() for mask in masks))
    if not look:
        return _on_whole_walk(masks, missing, longest, walk)
    # In a sparse tensor most positions are vacant: twice as many as are missing are usually enough.
    length = min(longest, 2 * int(missing))
    while True:
        parts = list(_visited(masks, walk, length))
        vacant = torch.zeros(length, dtype=torch.bool, device="cpu")
        for mask, (which, positions) in zip(masks, parts, strict=True):
            vacant[which] = mask[positions] == 0
        if length == longest or bool(vacant.count_nonzero() >= missing):
            chosen = vacant & (vacant.cumsum(0) <= missing)
            return [(positions, chosen[which]) for which, positions in parts]
        length = min(longest, 2 * length)


def _on_whole_walk(
    masks: Sequence[Tensor], missing: Tensor, length: int, walk: tuple[int, int]
) -> list[tuple[Positions, Tensor]]:
    start, stride = walk
    flat = torch.cat([mask.reshape(-1) for mask in masks])
    visited = (start + stride * torch.arange(length, device=flat.device)) % flat.numel()
    vacant = flat[visited] == 0
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    chosen[visited] = vacant & (vacant.cumsum(0) <= missing)
    parts = chosen.split([mask.numel() for mask in masks])
    return [(..., part.view(mask.shape)) for mask, part in zip(masks, parts, strict=True)]


def _visited(
    masks: Sequence[Tensor], walk: tuple[int, int], length: int
) -> Iterator[tuple[Tensor, tuple[Tensor, ...]]]:
    """Yield for each tensor the indices of the walk's steps that visit it, and the positions visited."""
    start, stride = walk
    first = 0
    positions = (start + stride * np.arange(length)) % sum(mask.numel() for mask in masks)
    for mask in masks:
        which = np.flatnonzero((positions >= first) & (positions < first + mask.numel()))
        inside = np.unravel_index(positions[which] - first, mask.shape)
        yield torch.from_numpy(which), tuple(map(torch.from_numpy, inside))
        first += mask.numel()
