"""Projections of a recorded graph as kernels, and the merging of all that lead to one population."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

import numpy as np
from torch import nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..graph.carried import GATE
from ..graph.graph import Population, Projection
from ..graph.record import Recorded
from ..graph.tape import plain_parameters
from ..graph.use import Use
from ..graph.uses import factor_of
from ..synapses import unwrapped
from .origins import Origin, origins
from .wiring import Source, Wired, pooled_shape, read_of

Pair = tuple[int, int]


class NotOnChips(InputError):
    """A connection of the network that no chip here can express."""


@dataclass(frozen=True, kw_only=True)
class _Block:
    """What one projection brings from one population: the channels of a `Wired` that are its own."""

    projection: Projection
    kernels: np.ndarray
    inputs: tuple[int, int, int]
    outputs: tuple[int, int, int]
    stride: Pair
    padding: Pair
    dilation: Pair
    source: Source


def populations_of(
    network: nn.Module, recorded: Recorded, present: Connectivity, left_out: Collection[str]
) -> list[Wired]:
    """The populations to which projections lead, each with all of them.

    Args:
        network: that was recorded.
        recorded: its graph.
        present: which synapses exist; tensors that it leaves out are dense where their weights are not 0.
        left_out: tensors that are not on the chip.

    Raises:
        NotOnChips: a connection that cannot be expressed.
    """
    return _Wiring(network, recorded, present, left_out).layers()


class _Wiring:
    def __init__(
        self, network: nn.Module, recorded: Recorded, present: Connectivity, left_out: Collection[str]
    ) -> None:
        self.recorded, self.graph = recorded, recorded.graph
        self.present = present
        self.weights = dict(plain_parameters(unwrapped(network)))
        self.uses: dict[str, Use] = {}
        for use in recorded.uses:
            self.uses.setdefault(use.name, use)
        self.origins = origins(recorded)
        self._alone: dict[str, dict[str, Origin]] = {}
        self.names = list(self.graph.populations)
        self.into: dict[str, list[Projection]] = {}
        for projection in self._on_chip(left_out):
            self.into.setdefault(projection.target, []).append(projection)
        self.shapes = {name: self._shape(population) for name, population in self.graph.populations.items()}

    def _on_chip(self, left_out: Collection[str]) -> list[Projection]:
        """Projections on the chip; products and skips of what is not on it are not, either."""
        kept = [p for p in self.graph.projections if p.parameter is not None and p.parameter not in left_out]
        others = [p for p in self.graph.projections if p.parameter is None]
        targets = {p.target for p in kept}
        while more := [p for p in others if targets.intersection(p.sources)]:
            kept += more
            targets |= {p.target for p in more}
            others = [p for p in others if p not in more]
        kept += [p for p in others if p.operation == "identity" and p.target in targets]
        return kept

    def layers(self) -> list[Wired]:
        """All populations that something leads to."""
        return [
            replace(
                merged(name, [block for projection in self.into[name] for block in self._blocks(projection)]),
                virtual=self.graph.populations[name].kind == "virtual",
            )
            for name in self.names
            if name in self.into
        ]

    # --- Shapes

    def _shape(self, population: Population) -> tuple[int, int, int]:
        """(C, H, W) of a population; tokens are (C, tokens, 1)."""
        makers = [p for p in self.into.get(population.name, []) if p.operation in ("linear", "convolution")]
        for projection in makers:
            made = _three(projection, projection.outputs)
            if prod(made) == population.size:
                return made
        own = population.shape
        if self._features_last(population):
            return own[-1], prod(own[:-1]), 1
        if len(own) < 2:
            return prod(own), 1, 1
        return own[0], prod(own[1:-1]), own[-1]

    def _features_last(self, population: Population) -> bool:
        """Whether the values of a population are tokens, with their features in the last axis."""
        if population.kind == "virtual" or len(population.shape) != 2:
            return False
        near = [p for p in self.graph.projections if population.name == p.target]
        near += [p for p in self.graph.projections if population.name in p.sources]
        for projection in near:
            made = projection.outputs if population.name == projection.target else projection.inputs
            if projection.operation == "linear" and projection.positions > 1:
                return made[0] == population.shape[-1]
        return False

    # --- Blocks

    def _blocks(self, projection: Projection) -> Iterator[_Block]:
        self._refuse(projection)
        if projection.parameter is None:
            yield from self._identity(projection)
            return
        made = _three(projection, projection.outputs)
        target = self.graph.populations[projection.target]
        if prod(made) != prod(self.shapes[target.name]) and target.kind not in ("virtual", "output"):
            raise _cannot(
                projection,
                f"makes {'x'.join(map(str, made))} values for {target.size:,} neurons: values are pooled or divided "
                "before they reach them",
                "pool behind the neurons, or give each group of neurons a layer of its own",
            )
        kernels = self._kernels(projection)
        for source in self._sources(projection, kernels.shape[1]):
            mine = kernels[:, source.first : source.last]
            inputs = (mine.shape[1], *_three(projection, projection.inputs)[1:])
            stride, padding, dilation = (
                _pair(projection.stride, 1),
                _pair(projection.padding, 0),
                _pair(projection.dilation, 1),
            )
            yield _Block(
                projection=projection,
                kernels=mine,
                inputs=inputs,
                outputs=made,
                stride=stride,
                padding=padding,
                dilation=dilation,
                source=source,
            )

    def _refuse(self, projection: Projection) -> None:
        if projection.operation == "product":
            raise _cannot(
                projection,
                "multiplies values of neurons with each other",
                "no chip here does: keep what leads there off the chip with exclude=",
            )
        if GATE in projection.between:
            raise _cannot(
                projection,
                "reads or makes a product of values of neurons, as a gate does",
                "chips here add their inputs: add, or keep the layers that lead there off the chip with exclude=",
            )
        if projection.operation not in ("linear", "convolution", "identity") or len(projection.stride) > 2:
            raise _cannot(
                projection,
                f"is a {projection.operation} map of shape {'x'.join(map(str, projection.inputs))}",
                "use Linear, Conv1d or Conv2d, or exclude it",
            )

    def _identity(self, projection: Projection) -> Iterator[_Block]:
        (name,) = projection.sources
        shape, made = self.shapes[name], self.shapes[projection.target]
        if shape[0] != made[0] or prod(shape) < prod(made):
            raise _cannot(
                projection,
                f"brings {'x'.join(map(str, shape))} values to {'x'.join(map(str, made))} neurons",
                "give the skip connection a layer of weights",
            )
        source = Source(population=name, first=0, last=made[0], shape=shape, delay=projection.delay)
        units = None
        if not self._features_last(self.graph.populations[projection.target]):
            units = self._units_of(name, projection.target, 0, prod(made))
        if units is not None and len(units[0]) == prod(made):
            source = self._located(source, *units)
        elif (read := pooled_shape(prod(made), shape)) is not None:
            source = read_of(source, read)
        yield _Block(
            projection=projection,
            kernels=np.eye(made[0], dtype=bool)[:, :, None, None],
            inputs=made,
            outputs=made,
            stride=(1, 1),
            padding=(0, 0),
            dilation=(1, 1),
            source=source,
        )

    def _kernels(self, projection: Projection) -> np.ndarray:
        """Which synapses exist, bool [C_out, C_in, height, width]."""
        name, use = projection.parameter, self.uses[projection.name]
        assert name is not None
        mask = self.present[name].cpu() if name in self.present else self.weights[name].detach().cpu() != 0
        factor = factor_of(use, mask)
        if projection.operation == "convolution":
            kernels = factor.numpy()
            return _ungrouped(kernels[:, :, None] if kernels.ndim == 3 else kernels, projection.groups)
        while factor.dim() > 2:  # copies for each sample or token
            if bool((factor != factor[:1]).any()):
                raise _cannot(projection, "has other weights for each position", "exclude it")
            factor = factor[0]
        factor = factor.view(1, -1) if factor.dim() == 1 else factor
        transposed = use.weights == 1 and use.step.name != "linear" and use.step.name not in ("mv", "addmv")
        return np.ascontiguousarray((factor.T if transposed else factor).numpy())[:, :, None, None]

    # --- Sources

    def _sources(self, projection: Projection, channels: int) -> Iterator[Source]:
        """The populations that a projection reads, each with its channels; channels of constants have none."""
        found = self.origins.get(projection.name)
        if found is None or len(found.population) != channels:
            found = Origin(np.full(channels, -2), np.zeros((channels, 1), int), np.zeros((channels, 1), int))
        several = found.population
        bounds = [0, *(np.flatnonzero(np.diff(several)) + 1).tolist(), channels]
        alone = {self.names[number] for number in several if number >= 0}
        for first, last in pairwise(bounds):
            number = int(several[first])
            if number == -1:
                continue
            if number >= 0:
                units = (found.first[first:last], found.last[first:last])
                yield self._source(projection, self.names[number], first, last, units)
                continue
            for name in [name for name in projection.sources if name not in alone] or projection.sources:
                yield self._source(projection, name, first, last, self._units_of(name, projection.name, first, last))

    def _units_of(self, name: str, reader: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Units of one population of a sum that lead to each input, if others are left out; None where not known."""
        if name not in self._alone:
            self._alone[name] = origins(self.recorded, name)
        found = self._alone[name].get(reader)
        if found is None or last > len(found.population):
            return None
        if bool((found.population[first:last] != self.names.index(name)).any()):
            return None
        return found.first[first:last], found.last[first:last]

    def _source(
        self,
        projection: Projection,
        name: str,
        first: int,
        last: int,
        units: tuple[np.ndarray, np.ndarray] | None,
    ) -> Source:
        shape = self.shapes[name]
        _, height, width = _three(projection, projection.inputs)
        total = (last - first) * height * width
        delays = dict(zip(projection.sources, projection.delays, strict=True))
        source = Source(
            population=name,
            first=first,
            last=last,
            shape=shape,
            delay=delays.get(name, projection.delay),
            parameter=projection.parameter,
        )
        if self.graph.populations[name].kind == "input":
            return source
        if total > prod(shape):
            raise _cannot(
                projection,
                f"reads {total:,} values of {name}, which has {prod(shape):,} neurons: they are padded or copied "
                "on the way",
                "pad with zeros, in the convolution, and alike on both sides",
            )
        located = source if units is None else self._located(source, *units)
        if located.read is not None or units is not None:
            return located
        read = pooled_shape(total, shape)
        if read is None or ((height, width) != (1, 1) and shape[0] != last - first):
            raise _cannot(
                projection,
                f"reads values of {name}, and it cannot be told which",
                "add or concatenate values of populations in their order",
            )
        return read_of(source, read)  # a sum: all of the population, in its order

    def _located(self, source: Source, first: np.ndarray, last: np.ndarray) -> Source:
        """A source with the window of its map that leads to each input; as it is where that is not known."""
        (channels, _, width), area = source.shape, prod(source.shape[1:])
        if self._features_last(self.graph.populations[source.population]):
            first, last = (units % channels * area + units // channels for units in (first, last))
        first, last = first.flatten(), last.flatten()
        if bool((first < 0).any()) or bool((last < first).any()) or bool((first // area != last // area).any()):
            return source
        windows = np.stack([first // area, first % area // width, last % area // width, first % width, last % width], 1)
        own = windows[: int(np.argmax(windows[:, 0] != windows[0, 0])) or None]  # those of the first channel
        row = own[: int(np.argmax((own[:, 1:3] != own[0, 1:3]).any(1))) or None]
        counts = (len(windows) // len(own), len(own) // len(row), len(row))
        if prod(counts) != len(windows):
            return source
        chosen, rows, columns = windows[:: len(own), 0], own[:: len(row), 1:3], row[:, 3:]
        expected = np.empty((*counts, 5), int)
        expected[..., 0], expected[..., 1:3], expected[..., 3:] = chosen[:, None, None], rows[:, None], columns
        if bool((expected.reshape(windows.shape) != windows).any()) or np.unique(chosen).size < chosen.size:
            return source
        whole = chosen.size == channels and bool((np.diff(chosen) == 1).all())
        return replace(
            source,
            read=counts,
            channels=() if whole else tuple(chosen.tolist()),
            rows=tuple(map(tuple, rows.tolist())),
            columns=tuple(map(tuple, columns.tolist())),
        )


# --- Merging


def merged(population: str, blocks: Sequence[_Block]) -> Wired:
    """One layer of all that leads to a population; the input channels of the blocks lie one after another."""
    first = blocks[0]
    names = " + ".join(dict.fromkeys(block.projection.name for block in blocks))
    blocks = _of_one_stride(blocks)
    outputs = max((block.outputs for block in blocks), key=lambda shape: shape[2])  # tokens may lie along either axis
    turned = [_turned(block, outputs) for block in blocks]
    for block in turned:
        if block.outputs != outputs:
            raise _beside(block, first, "make maps of different shapes")
    dilation, padding = (1, 1), (0, 0)
    for axis in (0, 1):
        wide = {block.dilation[axis] for block in turned if block.kernels.shape[2 + axis] > 1}
        if len(wide) > 1:
            raise _beside(turned[-1], first, "have different dilations")
        dilation = _set(dilation, axis, next(iter(wide), 1))
        padding = _set(padding, axis, max(block.padding[axis] for block in turned))
    height, width = (max(block.inputs[1 + axis] for block in turned) for axis in (0, 1))
    offsets = [_offset(block, first, padding, dilation, (height, width)) for block in turned]
    sizes = [
        max(offset[axis] + block.kernels.shape[2 + axis] for block, offset in zip(turned, offsets, strict=True))
        for axis in (0, 1)
    ]
    if len(turned) == 1:
        kernels = turned[0].kernels
    else:
        kernels = np.zeros((outputs[0], sum(block.inputs[0] for block in turned), *sizes), bool)
    sources, start = [], 0
    for block, (row, column) in zip(turned, offsets, strict=True):
        channels = block.kernels.shape[1]
        if len(turned) > 1:
            tall, long = block.kernels.shape[2:]
            kernels[:, start : start + channels, row : row + tall, column : column + long] = block.kernels
        sources.append(replace(block.source, first=start, last=start + channels))
        start += channels
    return Wired(
        name=names,
        kernels=kernels,
        inputs=(start, height, width),
        outputs=outputs,
        stride=turned[0].stride,
        padding=padding,
        dilation=dilation,
        convolution=prod(outputs[1:]) > 1 or any(block.projection.operation == "convolution" for block in turned),
        population=population,
        sources=tuple(sources),
    )


def _of_one_stride(blocks: Sequence[_Block]) -> list[_Block]:
    """Blocks of one stride: a kernel of one position reads every n-th input, or with stride 1 a map of those alone."""
    if len({block.stride for block in blocks}) == 1:
        return list(blocks)
    found = []
    for block in blocks:
        if block.stride != (1, 1):
            if block.kernels.shape[2:] != (1, 1) or block.padding != (0, 0):
                other = next(one for one in blocks if one.stride != block.stride)
                raise _beside(block, other, "have different strides")
            source = block.source
            if source.read is not None and source.read[1:] == block.inputs[1:]:
                rows, columns = source.rows[:: block.stride[0]], source.columns[:: block.stride[1]]
                source = replace(source, read=(source.read[0], len(rows), len(columns)), rows=rows, columns=columns)
            elif source.shape:
                source = replace(source, read=None)
            block = replace(block, stride=(1, 1), inputs=(block.inputs[0], *block.outputs[1:]), source=source)
        found.append(block)
    return found


def _turned(block: _Block, outputs: tuple[int, int, int]) -> _Block:
    """Return a block of tokens along the axis along which the others have their positions."""
    if block.outputs == outputs or block.outputs != (outputs[0], outputs[2], outputs[1]) or outputs[1] != 1:
        return block
    return replace(block, outputs=outputs, inputs=(block.inputs[0], block.inputs[2], block.inputs[1]))


def _offset(block: _Block, first: _Block, padding: Pair, dilation: Pair, sizes: Pair) -> Pair:
    """Place of a kernel in the larger one that all blocks share."""
    found = (0, 0)
    for axis in (0, 1):
        offset, rest = divmod(padding[axis] - block.padding[axis], dilation[axis])
        kernel, size = block.kernels.shape[2 + axis], block.inputs[1 + axis]
        end = (block.outputs[1 + axis] - 1) * block.stride[axis] - block.padding[axis] + (kernel - 1) * dilation[axis]
        if rest or (size < sizes[axis] and end >= size):
            raise _beside(block, first, "have paddings that do not fit together")
        found = _set(found, axis, offset)
    return found


def _set(pair: Pair, axis: int, value: int) -> Pair:
    return (value, pair[1]) if axis == 0 else (pair[0], value)


def _beside(block: _Block, other: _Block, what: str) -> NotOnChips:
    if other is block:
        return _cannot(block.projection, what, "make them alike")
    return _cannot(
        block.projection,
        f"and {other.projection.name} {what}",
        "give them equal strides and dilations, or a population of neurons each",
    )


def _cannot(projection: Projection, what: str, cure: str) -> NotOnChips:
    between = f"from {', '.join(projection.sources)} to {projection.target}"
    return NotOnChips(f"{projection.name} ({between}) {what}, so that no chip here can be described for it: {cure}")


# --- Shapes


def _three(projection: Projection, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W) of what a projection reads or makes; tokens are (C, tokens, 1), one spatial axis is (C, 1, L)."""
    if projection.operation == "linear":
        return (shape[0], prod(shape[1:]), 1)
    return (shape[0], 1, shape[1]) if len(shape) == 2 else (shape[0], shape[1], shape[2])


def _pair(values: tuple[int, ...], filler: int) -> Pair:
    return (filler, filler) if not values else (filler, values[0]) if len(values) == 1 else (values[0], values[1])


def _ungrouped(kernels: np.ndarray, groups: int) -> np.ndarray:
    """Kernels over all input channels; those of other groups do not exist."""
    if groups == 1:
        return kernels
    out, width = kernels.shape[0] // groups, kernels.shape[1]
    whole = np.zeros((kernels.shape[0], width * groups, *kernels.shape[2:]), bool)
    for group in range(groups):
        rows = slice(group * out, (group + 1) * out)
        whole[rows, group * width : (group + 1) * width] = kernels[rows]
    return whole
