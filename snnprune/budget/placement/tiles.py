"""Cutting a layer into tiles that fit on a core each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from ..chip import Chip
from ..wiring import Wired

# Bits of an index that Loihi's lists can have.
_INDEX_BITS = (0, 6, 7, 8, 9, 10, 11, 12)
# Times that a shared kernel is stored at most, to be aligned (nengo-loihi).
_ALIGNED = 4


class Load(NamedTuple):
    """Load of a tile on its core; each entry is limited by the chip's limit `core_<name>`."""

    neurons: int
    input_axons: int
    output_axons: int
    synapses: int
    synapse_bits: int


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Neurons of one layer that share a core.

    Attributes:
        layer: the layer's name.
        first: its first output channel (neuron, for a Linear layer), in the placement's order of the layer.
        last: one more than its last.
        block: height and width of the patch of positions that it holds of each channel.
        patches: how many such patches the layer has, each on a core of its own.
        load: of one core, at most.
    """

    layer: str
    first: int
    last: int
    block: tuple[int, int]
    patches: int
    load: Load


class Sheet:
    """A layer to be cut between its output channels, and into patches of positions.

    Args:
        layer: the layer.
        chip: whose limits, memory and sharing of kernels count.
        bits: of a weight.
        targets: how many cores each neuron sends to, int, of the shape of the layer's outputs.
    """

    def __init__(self, layer: Wired, chip: Chip, bits: int, targets: np.ndarray) -> None:
        self.layer = layer
        self.chip = chip
        self.bits = bits
        self.targets = targets
        # A neuron that must reach more cores than the chip allows is copied, with all of its inputs.
        self.copies = self._copies(targets)
        self._copied = bool((self.copies > 1).any())
        per_channel = layer.kernels.sum((2, 3), dtype=np.int32) * self.copies.max((1, 2))[:, None].astype(np.int32)
        self._lists = _before(per_channel)
        # Sums of the patches of one block size; loads are computed block by block, so the last size is kept.
        self._block: tuple[int, int] | None = None
        self._neurons = self._outputs = self._lists

    def _copies(self, targets: np.ndarray) -> np.ndarray:
        reach = self.chip.limit("target_cores")
        return np.ones_like(targets) if reach is None else np.maximum(1, -(-targets // reach))

    def sending(self, targets: np.ndarray, tiles: Sequence[Tile]) -> list[Tile] | None:
        """The tiles with other numbers of cores that each neuron sends to; None where they break a limit."""
        if bool((self._copies(targets) != self.copies).any()):
            return None
        self.targets, self._block = targets, None
        found = [self._tile(tile.first, tile.last, tile.block, tile.patches) for tile in tiles]
        return None if any(self.exceeded(tile.load) for tile in found) else found

    def load(self, first: int, last: int, block: tuple[int, int], *, beside: int = 0) -> Load:
        """Load of channels `first:last` on the fullest patch, sharing the core with `beside` other neurons."""
        layer, (height, width) = self.layer, block
        if block != self._block:
            self._block = block
            self._outputs = _patches(self.targets, block)
            self._neurons = _patches(self.copies, block) if self._copied else self._outputs
        lists = self._lists[last] - self._lists[first]  # synapses from each input channel, through one position
        neurons = (last - first) * height * width
        if self._copied:
            neurons = int((self._neurons[last] - self._neurons[first]).max())
        span = layer.span(0, height) * layer.span(1, width)
        shared = layer.convolution and self.chip.convolution == "shared"
        return Load(
            neurons=neurons,
            input_axons=int(np.count_nonzero(lists)) * span,
            output_axons=int((self._outputs[last] - self._outputs[first]).max()),
            synapses=int(lists.sum()) * (1 if shared else height * width),
            synapse_bits=self._bits(lists, neurons + beside, positions=height * width, shared=shared),
        )

    def _bits(self, lists: np.ndarray, neurons: int, *, positions: int, shared: bool) -> int:
        encoding = self.chip.encoding.value
        if encoding == "blocks-of-64":
            index = next((bits for bits in _INDEX_BITS if 1 << bits >= neurons), (neurons - 1).bit_length())
            if not shared:  # each position is a target of its own
                return _in_blocks(lists * positions, self.bits + index)
            return _in_blocks(lists, self.bits + index) * (_ALIGNED if self.layer.convolution else 1)
        if encoding == "padded-rows":
            return int((lists > 0).sum() * lists.max(initial=0)) * 32 * (1 if shared else positions)
        return int(lists.sum()) * self.bits * (1 if shared else positions)

    def exceeded(self, load: Load) -> str | None:
        """The name of a limit of the core that a load breaks, or None."""
        for name, value in load._asdict().items():
            limit = self.chip.limit(f"core_{name}")
            if limit is not None and value > limit:
                return f"core_{name}"
        return None

    def fullness(self, load: Load) -> float:
        """The share that a load takes of the limit that it fills most, or 0 where there is none."""
        limits = {name: self.chip.limit(f"core_{name}") for name in load._fields}
        return max((getattr(load, name) / limit for name, limit in limits.items() if limit), default=0.0)

    def cut(self) -> list[Tile] | str:
        """The tiles with the patches that need the fewest cores; or the name of a limit that a single neuron breaks."""
        best: list[Tile] = []
        broken = ""
        for block in self._blocks():
            if best and self._least(block) > cores_of(best):
                break  # blocks come in the order of this bound: no later one can be better
            tiles = self._cut_channels(block, at_most=cores_of(best) if best else None)
            if isinstance(tiles, str):
                broken = tiles
            elif tiles and (not best or _cost(tiles) < _cost(best)):
                best = tiles
        return best or broken

    def balanced(self, tiles: Sequence[Tile]) -> list[Tile]:
        """As many tiles with more equal numbers of connections; the same ones where these would break a limit."""
        count, patches, sums = len(tiles), tiles[0].patches, self._sums
        height, width = (
            -(-side // -(-side // size)) for side, size in zip(self.layer.outputs[1:], tiles[0].block, strict=True)
        )
        wanted = sums[-1] * np.arange(1, count) / count
        above = np.searchsorted(sums, wanted)
        near = np.where(wanted - sums[above - 1] < sums[above] - wanted, above - 1, above)
        own = [0, *(tile.last for tile in tiles)]
        ends = [0, *near.tolist(), len(sums) - 1]
        most, least = (max(int(sums[last] - sums[first]) for first, last in pairwise(cut)) for cut in (own, ends))
        if least >= most or any(last <= first for first, last in pairwise(ends)):
            ends, least = own, most
        if least * height * width >= most * tiles[0].block[0] * tiles[0].block[1]:
            return list(tiles)
        found = [self._tile(first, last, (height, width), patches) for first, last in pairwise(ends)]
        return list(tiles) if any(self.exceeded(tile.load) for tile in found) else found

    def connections(self, tile: Tile) -> int:
        """Number of connections of a tile, at most; borders ignored."""
        return int(self._sums[tile.last] - self._sums[tile.first]) * tile.block[0] * tile.block[1]

    @cached_property
    def _sums(self) -> np.ndarray:
        """Synapses of all channels before each, through one position."""
        return np.concatenate([[0], np.cumsum(self.layer.kernels.sum((1, 2, 3), dtype=np.int64))])

    def _tile(self, first: int, last: int, block: tuple[int, int], patches: int) -> Tile:
        load = self.load(first, last, block)
        return Tile(layer=self.layer.name, first=first, last=last, block=block, patches=patches, load=load)

    def _least(self, block: tuple[int, int]) -> int:
        """Cores that it takes at least with such patches, by the number of neurons alone."""
        neurons = len(self.layer.kernels) * block[0] * block[1]
        limit = self.chip.limit("core_neurons")
        return self._patches(block) * (1 if limit is None else -(-neurons // limit))

    def _patches(self, block: tuple[int, int]) -> int:
        return -(-self.layer.outputs[1] // block[0]) * -(-self.layer.outputs[2] // block[1])

    def _cut_channels(self, block: tuple[int, int], *, at_most: int | None) -> list[Tile] | str:
        """The tiles with such patches; none where they would take too many cores, or the limit that is broken."""
        tiles: list[Tile] = []
        first, rows, patches = 0, len(self.layer.kernels), self._patches(block)
        hint = rows  # the first tile may hold all channels; later ones are about as long as the one before
        while first < rows:
            last = self._furthest(first, rows, block, hint)
            if last == first:
                return self.exceeded(self.load(first, first + 1, block)) or ""
            tiles.append(self._tile(first, last, block, patches))
            first, hint = last, last - first
            if at_most is not None and len(tiles) * patches > at_most:
                return []
        return tiles

    def _furthest(self, first: int, rows: int, block: tuple[int, int], hint: int) -> int:
        """The end of the longest run of channels from `first` that fits on a core.

        A load only grows with its channels, so the end can be bisected; `hint` is a likely length to begin with.
        """
        fitting, breaking, stride = first, rows + 1, 1
        middle = min(first + hint, rows)
        while breaking - fitting > 1:
            if self.exceeded(self.load(first, middle, block)):
                breaking, middle = middle, middle - stride
            else:
                fitting, middle = middle, middle + stride
            stride *= 2
            if not fitting < middle < breaking:  # the hint is left behind: halve what remains
                middle = (fitting + breaking) // 2
        return fitting

    def _blocks(self) -> list[tuple[int, int]]:
        _, height, width = self.layer.outputs
        sides = [sorted({1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, side}) for side in (height, width)]
        inside = [(h, w) for h, w in product(*sides) if h <= height and w <= width]
        return sorted(inside, key=self._least)  # the most promising first, so that later ones can be skipped


def share_cores(tiles: Sequence[Tile], sheets: Mapping[str, Sheet], chip: Chip) -> tuple[tuple[int, ...], ...]:
    """Groups of tiles, by index, that share a core: remainders of layers, the fullest first, each into the first gap.

    Only the last tile of a layer leaves room; one with several patches keeps its cores.
    """
    last = {tile.layer: index for index, tile in enumerate(tiles)}
    open_tiles = [index for index in last.values() if tiles[index].patches == 1]
    groups: list[tuple[int, ...]] = []
    for index in sorted(open_tiles, key=lambda i: -sheets[tiles[i].layer].fullness(tiles[i].load)):
        for position, group in enumerate(groups):
            if _go_together([tiles[i] for i in (*group, index)], sheets, chip):
                groups[position] = (*group, index)
                break
        else:
            groups.append((index,))
    return tuple(tuple(sorted(group)) for group in groups if len(group) > 1)


def _go_together(tiles: Sequence[Tile], sheets: Mapping[str, Sheet], chip: Chip) -> bool:
    """Whether these tiles, of a layer each, fit on one core."""
    most = chip.limit("core_layers")
    if most is not None and len(tiles) > most:
        return False
    neurons = sum(tile.load.neurons for tile in tiles)
    loads = [
        sheets[tile.layer].load(tile.first, tile.last, tile.block, beside=neurons - tile.load.neurons) for tile in tiles
    ]
    together = Load(*(sum(values) for values in zip(*loads, strict=True)))
    return sheets[tiles[0].layer].exceeded(together) is None


def _before(values: np.ndarray) -> np.ndarray:
    """Sums over all rows before each; one row more."""
    return np.concatenate([np.zeros((1, *values.shape[1:]), values.dtype), values.cumsum(0, dtype=values.dtype)])


def _patches(values: np.ndarray, block: tuple[int, int]) -> np.ndarray:
    """Sums over the positions of each patch and all channels before each, [channels + 1, patches]."""
    rows = np.add.reduceat(values, np.arange(0, values.shape[1], block[0]), axis=1)
    both = np.add.reduceat(rows, np.arange(0, values.shape[2], block[1]), axis=2)
    return _before(both.reshape(len(values), -1))


def _cost(tiles: list[Tile]) -> tuple[int, int]:
    """Fewest cores first; then the fewest spikes to deliver, since they burden the layer before."""
    return cores_of(tiles), heard(tiles)


def cores_of(tiles: list[Tile]) -> int:
    """Number of cores of these tiles."""
    return sum(tile.patches for tile in tiles)


def heard(tiles: list[Tile]) -> int:
    """Number of pairs of an input and a core that receives it."""
    return sum(tile.load.input_axons * tile.patches for tile in tiles)


def _in_blocks(lists: np.ndarray, bits: int) -> int:
    """Lists in blocks of at most 64 entries and 10 bits more, each rounded up to 64 bits (nengo-loihi's formula)."""

    def padded(entries: np.ndarray) -> np.ndarray:
        return -(-(entries * bits + 10) // 64) * 64

    whole, rest = np.divmod(lists, 64)
    return int((whole * padded(np.array(64)) + np.where(rest > 0, padded(rest), 0)).sum())
