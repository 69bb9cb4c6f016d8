"""Chips on which neurons of any layer go to any core."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..chip import Chip
from ..limits import LIMITS
from ..wiring import Source, Wired
from .fans import consumers, spread
from .result import Placement, assumptions, cannot, counted
from .tiles import Sheet, Tile, cores_of, heard, share_cores

# Rounds after which the targets of feedback connections must have settled.
_ROUNDS = 10
# Weights of the largest layer whose neurons are put into another order: it takes a second.
_LARGEST = 1 << 23


def place_neurons(layers: Sequence[Wired], chip: Chip, bits: int) -> Placement:
    """Cut each layer into tiles that fit on a core; the remainders of several layers share cores.

    Layers are cut from the last to the first, so that the number of cores that each neuron sends to is known. A layer
    that sends to itself or to an earlier one is cut again until no more cores hear it than were counted.
    """
    assumed = assumptions(layers)
    found = _cut_all(layers, chip, bits)
    if isinstance(found, str):
        return cannot(chip, [found], assumed)
    sheets, cuts, order = found
    tiles, groups, cores = _shared(layers, cuts, sheets, chip)
    filled_up = {tiles[index].layer for group in groups for index in group}
    for kept in (frozenset[str](), filled_up):  # where remainders find no core any more, those layers keep theirs
        equal = _balanced(layers, cuts, sheets, order, kept)
        if equal is None:
            continue
        again = _shared(layers, equal, sheets, chip)
        if again[2] <= cores and _busiest(*again[:2], sheets) < _busiest(tiles, groups, sheets):
            cuts, (tiles, groups, cores) = equal, again
            break
    by_layer = {layer.label: cores_of(cuts[layer.name]) for layer in layers}
    synapses = sum(tile.load.synapses * tile.patches for tile in tiles)
    memory = sum(tile.load.synapse_bits * tile.patches for tile in tiles)
    result = counted(chip, cores, synapses=synapses, memory=memory)
    where = {"by_layer": by_layer, "tiles": tuple(tiles), "order": order, "shared": groups}
    return Placement(chip=chip, **result, **where, assumptions=assumed)


def _shared(
    layers: Sequence[Wired], cuts: Mapping[str, list[Tile]], sheets: Mapping[str, Sheet], chip: Chip
) -> tuple[list[Tile], tuple[tuple[int, ...], ...], int]:
    """All tiles, the groups of them that share a core, and the number of cores."""
    tiles = [tile for layer in layers for tile in cuts[layer.name]]
    groups = share_cores(tiles, sheets, chip)
    return tiles, groups, cores_of(tiles) - sum(len(group) - 1 for group in groups)


def _busiest(tiles: Sequence[Tile], groups: Sequence[tuple[int, ...]], sheets: Mapping[str, Sheet]) -> int:
    """Connections of the core that has most."""
    each = [sheets[tile.layer].connections(tile) for tile in tiles]
    return max(*each, *(sum(each[index] for index in group) for group in groups), 0)


def _balanced(
    layers: Sequence[Wired],
    cuts: Mapping[str, list[Tile]],
    sheets: Mapping[str, Sheet],
    order: Mapping[str, tuple[int, ...]],
    kept: Collection[str],
) -> dict[str, list[Tile]] | None:
    """As many tiles of each layer, but those kept, with more equal loads; None where none changes.

    The busiest core decides how long a time step takes, so that a full core beside an almost empty one is slower than
    two that are half full.
    """
    if _feeds_back(layers, {layer.population: index for index, layer in enumerate(layers)}):
        return None
    heard = consumers(layers)
    found: dict[str, list[Tile]] = {}
    for layer in reversed(layers):
        sheet, tiles = sheets[layer.name], cuts[layer.name]
        sent = _sent(layer, heard[layer.population], sheets, found)
        sent = sent[list(order[layer.name])] if layer.name in order else sent
        if bool((sent != sheet.targets).any()):
            moved = sheet.sending(sent, tiles)
            if moved is None:
                return None
            tiles = moved
        found[layer.name] = sheet.balanced(tiles) if cores_of(tiles) > 1 and layer.name not in kept else tiles
    return found if found != dict(cuts) else None


def _cut_all(
    layers: Sequence[Wired], chip: Chip, bits: int
) -> tuple[dict[str, Sheet], dict[str, list[Tile]], dict[str, tuple[int, ...]]] | str:
    """Sheets, tiles and order of all layers; or the reason why a neuron cannot be placed."""
    position = {layer.population: index for index, layer in enumerate(layers)}
    heard = consumers(layers)
    targets: dict[str, np.ndarray] = {}
    sheets: dict[str, Sheet] = {}
    cuts: dict[str, list[Tile]] = {}
    order: dict[str, tuple[int, ...]] = {}
    stale = set(position)
    for _ in range(_ROUNDS):
        for layer in reversed(layers):
            known = [(one, source) for one, source in heard[layer.population] if one.name in cuts]
            sent = _sent(layer, known, sheets, cuts)
            if layer.population in targets:
                if bool((sent <= targets[layer.population]).all()):
                    stale.discard(layer.population)
                    continue
                sent = np.maximum(sent, targets[layer.population])
            targets[layer.population] = sent
            stale.add(layer.population)
            sheet, cut, arranged = _cut(layer, chip, bits, sent)
            if isinstance(cut, str):
                return _why(sheet, cut)
            sheets[layer.name], cuts[layer.name] = sheet, cut
            order.pop(layer.name, None)
            if arranged is not None:
                order[layer.name] = tuple(arranged.tolist())
        if not _feeds_back(layers, position) or not stale:
            return sheets, cuts, order
    return (
        f"the cores that hear {', '.join(sorted(stale))} become more with each cut of what it sends to, which it hears "
        "itself: no placement was found"
    )


def _feeds_back(layers: Sequence[Wired], position: Mapping[str, int]) -> bool:
    return any(
        position.get(source.population, -1) >= index for index, layer in enumerate(layers) for source in layer.sources
    )


def _sent(
    layer: Wired, known: Sequence[tuple[Wired, Source]], sheets: Mapping[str, Sheet], cuts: Mapping[str, list[Tile]]
) -> np.ndarray:
    """Number of cores that each neuron of a layer sends to, int, of the shape of its outputs."""
    if not known:
        return np.ones(layer.outputs, np.int64)  # the way out of the chip
    cores: dict[str, np.ndarray] = {}
    total = np.zeros(layer.outputs, np.int64)
    for one, source in known:
        if one.name not in cores:
            cores[one.name] = hearing(sheets[one.name].layer, cuts[one.name])
        total += spread(cores[one.name][source.first : source.last], source, layer.outputs)
    return total


def _cut(layer: Wired, chip: Chip, bits: int, targets: np.ndarray) -> tuple[Sheet, list[Tile] | str, np.ndarray | None]:
    """The tiles, with the sheet that they are cut from, and the order of the neurons if it is not their own."""
    sheet = Sheet(layer, chip, bits, targets)
    tiles = sheet.cut()
    if (
        isinstance(tiles, str)
        or layer.convolution
        or layer.kernels.size > _LARGEST
        or not _full_of_inputs(tiles, sheet)
    ):
        return sheet, tiles, None
    order = by_common_inputs(layer.kernels, axons=chip.limit("core_input_axons"), neurons=chip.limit("core_neurons"))
    grouped = Sheet(replace(layer, kernels=layer.kernels[order]), chip, bits, targets[order])
    fewer = grouped.cut()
    # Not at the cost of the layer before, whose neurons would have to reach more cores.
    if isinstance(fewer, str) or cores_of(fewer) >= cores_of(tiles) or heard(fewer) > heard(tiles):
        return sheet, tiles, None
    return grouped, fewer, order


def _full_of_inputs(tiles: Sequence[Tile], sheet: Sheet) -> bool:
    """Whether most tiles are full of different inputs, so that another order of the neurons may need fewer tiles."""
    limit = sheet.chip.limit("core_input_axons")
    if limit is None or len(tiles) == 1:
        return False
    ended = [tile.load.input_axons / limit >= sheet.fullness(tile.load) for tile in tiles]
    return 2 * sum(ended) > len(tiles)


def hearing(layer: Wired, tiles: Sequence[Tile]) -> np.ndarray:
    """Number of cores that hear each input of a layer, int, of the shape of its inputs."""
    cores = np.zeros(layer.inputs, np.int64)
    for tile in tiles:
        channels = np.any(layer.kernels[tile.first : tile.last], axis=(0, 2, 3))
        patches = np.outer(layer.heard_by(0, tile.block[0]), layer.heard_by(1, tile.block[1]))
        cores += channels[:, None, None] * patches
    return cores


def _why(sheet: Sheet, limit: str) -> str:
    """The reason why not even one neuron fits on a core."""
    layer = sheet.layer
    loads = [
        sheet.load(row, row + 1, (1, 1))._asdict()[limit.removeprefix("core_")] for row in range(len(layer.kernels))
    ]
    most, allowed = max(loads), sheet.chip.limit(limit)
    words = LIMITS[limit].meaning
    return f"neuron {loads.index(most)} of {layer.label} alone takes {most:,} of the {allowed:,} {words}"


# --- Order of the neurons


def by_common_inputs(kernels: np.ndarray, *, axons: int | None, neurons: int | None) -> np.ndarray:
    """The order of a greedy filling of cores, int [neurons of the layer].

    Each core begins with the neuron of most inputs that is left, and takes, as long as it has room, the one that brings
    the fewest new inputs.

    Args:
        kernels: which synapses exist, bool [neurons of the layer, inputs, 1, 1].
        axons: different inputs that a core can have; None: any number.
        neurons: that a core can have; None: any number.
    """
    kernels = kernels.reshape(len(kernels), -1)
    of_inputs = np.ascontiguousarray(kernels.T).astype(np.uint8)
    fan_in = kernels.sum(1)
    left, order = np.ones(len(kernels), bool), []
    while left.any():
        known = np.zeros(kernels.shape[1], bool)  # inputs that the core has already
        common = np.zeros(len(kernels), np.int64)  # of each neuron with those
        pick, held = int(np.where(left, fan_in, -1).argmax()), 0
        while True:
            order.append(pick)
            left[pick], held = False, held + 1
            fresh = kernels[pick] & ~known
            known |= fresh
            common += of_inputs[fresh].sum(0, dtype=np.int64)
            new = np.where(left, fan_in - common, kernels.shape[1] + 1)
            pick = int(new.argmin())
            if not left.any() or held == neurons or (axons is not None and known.sum() + new[pick] > axons):
                break
    return np.array(order)
