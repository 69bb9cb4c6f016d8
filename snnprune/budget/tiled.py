"""Chips on which neurons of any layer go to any core."""

from collections.abc import Sequence

import numpy as np

from .chip import Chip
from .limits import LIMITS
from .placement import Placement, cannot, counted
from .tiles import Sheet, Tile, cores_of
from .wiring import Wired, pooled_shape

_ASSUMED = (
    "a core holds neurons of one layer",
    "pooling costs nothing: a neuron sends to the axon of the input that it is pooled into",
    "layers follow each other in the order in which they run",
)


def place_neurons(layers: Sequence[Wired], chip: Chip, bits: int) -> Placement:
    """Each layer cut into tiles that fit on a core.

    From the last layer to the first, so that it is known to how many cores each neuron sends.
    """
    tiles: list[Tile] = []
    targets = np.ones(layers[-1].outputs, np.int64)
    for place in range(len(layers) - 1, -1, -1):
        sheet = Sheet(layers[place], chip, bits, targets)
        cut = sheet.cut()
        if isinstance(cut, str):
            return cannot(chip, [_why(sheet, cut)], _ASSUMED)
        tiles = cut + tiles
        if place:
            targets = senders(layers[place - 1], layers[place], cut)
    by_layer = {layer.label: cores_of([tile for tile in tiles if tile.layer == layer.name]) for layer in layers}
    synapses = sum(tile.load.synapses * tile.patches for tile in tiles)
    memory = sum(tile.load.synapse_bits * tile.patches for tile in tiles)
    told = counted(chip, sum(by_layer.values()), synapses=synapses, memory=memory)
    return Placement(chip=chip, **told, by_layer=by_layer, tiles=tuple(tiles), assumptions=_ASSUMED)


def senders(before: Wired, layer: Wired, tiles: Sequence[Tile]) -> np.ndarray:
    """To how many cores each neuron of the layer before sends, int, of the shape of its outputs."""
    heard = np.zeros(layer.inputs, np.int64)
    for tile in tiles:
        channels = np.any(layer.kernels[tile.first : tile.last], axis=(0, 2, 3))
        patches = np.outer(layer.heard_by(0, tile.block[0]), layer.heard_by(1, tile.block[1]))
        heard += channels[:, None, None] * patches
    return _unpooled(heard, before.outputs)


def _unpooled(values: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Values of a layer's inputs for the neurons of the layer before, whatever pooling and flattening lie between."""
    pooled = pooled_shape(values.size, shape)
    if pooled is None:
        return np.full(shape, values.max())  # not known which is which: as if each were the one that is heard most
    maps = values.reshape(pooled)
    rows, columns = (np.arange(side) * small // side for side, small in zip(shape[1:], pooled[1:], strict=True))
    return maps[:, rows][:, :, columns]


def _why(sheet: Sheet, limit: str) -> str:
    """Why not even one neuron fits on a core."""
    layer = sheet.layer
    loads = [
        sheet.load(row, row + 1, (1, 1))._asdict()[limit.removeprefix("core_")] for row in range(len(layer.kernels))
    ]
    most, allowed = max(loads), sheet.chip.limit(limit)
    words = LIMITS[limit].meaning
    return f"neuron {loads.index(most)} of {layer.label} alone takes {most:,} of the {allowed:,} {words}"
