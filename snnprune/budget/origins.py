"""Origins: which neurons lead to the inputs of a tensor of weights, followed along the tape."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..graph.operators import arguments_of
from ..graph.record import Recorded
from ..graph.replay import Domain, Shadow, operands_of, replay, running_maximum
from ..graph.tape import Step, Tape
from ..graph.use import Use

_NONE = 1 << 60
_LARGEST = {
    "max_pool1d": F.max_pool1d,
    "max_pool2d": F.max_pool2d,
    "max_pool3d": F.max_pool3d,
    "avg_pool1d": F.max_pool1d,
    "avg_pool2d": F.max_pool2d,
    "avg_pool3d": F.max_pool3d,
    "adaptive_avg_pool2d": F.adaptive_max_pool2d,
    "adaptive_avg_pool3d": F.adaptive_max_pool3d,
    "adaptive_max_pool2d": F.adaptive_max_pool2d,
    "adaptive_max_pool3d": F.adaptive_max_pool3d,
}


class Origin(NamedTuple):
    """Where the inputs of a use come from.

    Attributes:
        population: of each input channel its population, by its number in the graph; -1 for none (a constant), -2 for
            several.
        first, last: int [channels, positions], the first and the last unit that lead to it, in the order of the values
            of the population; what lies between them in a map leads to it, too.
    """

    population: np.ndarray
    first: np.ndarray
    last: np.ndarray


class _Units(Domain):
    """Two numbers of each element: the smallest and the largest unit, of all populations, whose value it holds."""

    def __init__(self, found: Recorded, only: str | None) -> None:
        self.populations = found.graph.populations
        self.units = {index: name for index, name in found.units.items() if only in (None, name)}
        self.others = found.units.keys() - self.units.keys()
        starts = np.concatenate([[0], np.cumsum([population.size for population in self.populations.values()])])
        self.starts = dict(zip(self.populations, (int(start) + 1 for start in starts), strict=False))
        # What a virtual population holds is made by contractions.
        virtual = {
            p.name: p.target
            for p in found.graph.projections
            if self.populations[p.target].kind == "virtual" and only in (None, p.target)
        }
        self.makers = {id(use.step): (virtual[use.name], use) for use in found.uses if use.name in virtual}
        self.samples = found.layout.stamps(found.tape).samples

    def outside(self, tape: Tape, index: int) -> Shadow:
        return self._of(index, tape.shapes[index]) if index in self.units else _nothing(tape.shapes[index])

    def finish(self, step: Step, index: int, shadow: Shadow) -> Shadow:
        if index in self.others:
            return _nothing(shadow[0].shape)
        return self._of(index, shadow[0].shape) if index in self.units else shadow

    def _of(self, index: int, shape: torch.Size) -> Shadow:
        name = self.units[index]
        own, first, size = self.populations[name].shape, self.starts[name], self.populations[name].size
        if tuple(shape[len(shape) - len(own) :]) != tuple(own):  # in another order: any of them
            return _filled(shape, first), _filled(shape, first + size - 1)
        numbers = torch.arange(first, first + size, device="cpu").view(own).expand(shape)
        return numbers.clone(), numbers.clone()

    def union(self, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        if not parts:
            return _nothing(shape)
        low, high = (part.expand(shape).clone(memory_format=torch.contiguous_format) for part in parts[0])
        for part in parts[1:]:
            low, high = torch.minimum(low, part[0].expand(shape)), torch.maximum(high, part[1].expand(shape))
        return low, high

    def reduce(self, shadow: Shadow, dims: Sequence[int], *, keep: bool) -> Shadow:
        if not dims:
            return shadow
        return shadow[0].amin(tuple(dims), keepdim=keep), shadow[1].amax(tuple(dims), keepdim=keep)

    def scan(self, shadow: Shadow, dim: int) -> Shadow:
        return -running_maximum(-shadow[0], dim), running_maximum(shadow[1], dim)

    def window(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        name = step.name.removeprefix("_").removesuffix("_with_indices")
        if name not in _LARGEST:
            return super().window(step, shadow, shape)
        named = arguments_of(step.operator, step.args, step.kwargs)  # type: ignore[arg-type]
        keys = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "output_size")
        given = {key: value for key, value in named.items() if key in keys and not (key == "stride" and not value)}
        largest = _LARGEST[name]
        low, high = shadow[0].double(), shadow[1].double()
        return (-largest(-low, **given)).long(), largest(high, **given).long()  # type: ignore[operator]

    def contract(self, step: Step, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        if id(step) not in self.makers:
            return _nothing(shape)
        name, use = self.makers[id(step)]
        first, size = self.starts[name], self.populations[name].size
        if "convolution" in step.name:
            numbers = torch.arange(first, first + size, device="cpu").view(1, *shape[1:]).expand(shape)
            return numbers.clone(), numbers.clone()
        axis = -2 if use.weights == 0 and len(shape) > 1 else -1
        each = size // shape[axis]
        low = first + each * torch.arange(shape[axis], device="cpu")
        at = self._positions(use, each)
        if at is None or at.numel() * shape[axis] != shape.numel():
            low = (low if axis == -1 else low[:, None]).expand(shape)
            return low.clone(), low + each - 1
        low = low + at[:, None] if axis == -1 else low[:, None] + at
        low = low.reshape(shape)
        return low, low.clone()

    def _positions(self, use: Use, each: int) -> Tensor | None:
        """Position of each row of a matrix, [rows]."""
        if use.rows is None:
            return None
        steps = use.rows.steps
        order = torch.argsort(steps.flatten(), stable=True)
        at = torch.empty(steps.numel(), dtype=torch.int64, device="cpu")
        at[order] = torch.arange(steps.numel(), device="cpu") % each
        samples = self.samples if use.rows.sampled else 1
        return at.view(steps.shape[0], 1, -1).expand(-1, samples, -1).flatten()

    def neuron(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        return _nothing(shape)


def _nothing(shape: Sequence[int]) -> Shadow:
    return _filled(tuple(shape), _NONE), _filled(tuple(shape), 0)


def origins(found: Recorded, only: str | None = None) -> dict[str, Origin]:
    """Return where the inputs of each use of a tensor come from, by the name of its projection.

    Args:
        found: the graph.
        only: a population; what comes from others counts as nothing, and what leads to a population itself is returned
            under the name of that, [units, 1]. None: all populations.
    """
    domain = _Units(found, only)
    uses = {id(use.step): use for use in found.uses if use.parameter is not None}
    ranges: dict[str, list[Shadow]] = {}

    def visit(step: Step, parts: list[Shadow]) -> None:
        target = next((found.units[i] for i in step.outputs if i is not None and i in found.units), None)
        if only is not None and target is not None and parts:
            own = domain.populations[target].shape
            low, high = parts[0]
            if tuple(low.shape[low.dim() - len(own) :]) == tuple(own):
                low, high = low.reshape(-1, *own).amin(0), high.reshape(-1, *own).amax(0)
                ranges.setdefault(target, []).append((low.reshape(-1, 1), high.reshape(-1, 1)))
        if (use := uses.get(id(step))) is None or step.name == "_trilinear":
            return
        index = operands_of(step)[1 - use.weights]
        shadow = parts[step.inputs().index(index)]
        ranges.setdefault(use.name, []).append(_by_channel(use, shadow, domain))

    replay(found.tape, domain, visit)
    return {name: _origin(parts, domain) for name, parts in ranges.items()}


def _by_channel(use: Use, shadow: Shadow, domain: _Units) -> Shadow:
    """[channels, positions] of what a use reads, whatever the sample and the time step."""
    if "convolution" in use.step.name:
        low, high = shadow
        return low.amin(0).flatten(1), high.amax(0).flatten(1)
    low, high = (part.mT if use.weights == 0 and part.dim() > 1 else part for part in shadow)
    low, high = low.reshape(-1, low.shape[-1]), high.reshape(-1, high.shape[-1])
    if use.rows is None:
        return low.amin(0)[:, None], high.amax(0)[:, None]
    each = use.rows.steps.numel() // len(use.rows.steps.unique())
    at = domain._positions(use, each)
    assert at is not None
    shape, index = (each, low.shape[1]), at[:, None].expand(-1, low.shape[1])
    low = _filled(shape, _NONE).scatter_reduce(0, index, low, "amin")
    return low.T, _filled(shape, 0).scatter_reduce(0, index, high, "amax").T


def _origin(parts: Sequence[Shadow], domain: _Units) -> Origin:
    low = torch.stack([part[0] for part in parts]).amin(0).numpy()
    high = torch.stack([part[1] for part in parts]).amax(0).numpy()
    starts = np.array(list(domain.starts.values()))
    least, most = low.min(1), high.max(1)
    first, last = (np.searchsorted(starts, numbers, side="right") - 1 for numbers in (least, most))
    population = np.where(most == 0, -1, np.where(first == last, first, -2))
    offset = starts[np.clip(population, 0, None)][:, None]
    return Origin(population, low - offset, high - offset)


def _filled(shape: Sequence[int], value: int) -> Tensor:
    return torch.full(tuple(shape), value, dtype=torch.int64, device="cpu")  # whatever the default is
