"""Chips that store whole kernels, on a core for each layer: what counts there are channels."""

from collections.abc import Sequence
from math import ceil, log2, prod

import numpy as np

from ..chip import Chip
from ..wiring import Wired, pooled_shape

# What is limited on each core, in words.
KINDS = ("kernel_words", "neuron_words", "bias_words")


def shape_of(layers: Sequence[Wired], place: int) -> tuple[int, tuple[int, int]]:
    """Input channels and kernel of a layer; a Linear layer after a convolution has its map as kernel."""
    layer = layers[place]
    if layer.convolution:
        return layer.inputs[0], layer.kernels.shape[2:]
    before = layers[place - 1].outputs if place else layer.inputs
    pooled = pooled_shape(prod(layer.inputs), before)
    return (layer.inputs[0], (1, 1)) if pooled is None else (pooled[0], pooled[1:])


def channels_in_use(layers: Sequence[Wired]) -> list[int]:
    """How many input channels the first layer uses, and how many output channels of each layer are in use."""
    return [int(np.count_nonzero(mask)) for mask in in_use(layers)]


def in_use(layers: Sequence[Wired]) -> list[np.ndarray]:
    """Which input channels the first layer uses, and which output channels of each layer are in use, bool each.

    A channel is in use if it has synapses on both sides; the others can be taken out of the network. All outputs of the
    last layer are.
    """
    heard = [np.any(_by_channel(layers, place), axis=(0, 2)) for place in range(len(layers))]
    fed = [np.any(layer.kernels, axis=(1, 2, 3)) for layer in layers]
    between = [
        mine & theirs if mine.size == theirs.size else mine for mine, theirs in zip(fed, heard[1:], strict=False)
    ]
    return [heard[0], *between, np.ones_like(fed[-1])]


def _by_channel(layers: Sequence[Wired], place: int) -> np.ndarray:
    """Kernels of a layer as [outputs, input channels, positions]."""
    kernels = layers[place].kernels
    return kernels.reshape(len(kernels), shape_of(layers, place)[0], -1)


def words(layers: Sequence[Wired], place: int, inputs: int, outputs: int) -> dict[str, int]:
    """What a layer takes of a DYNAP-CNN core with so many channels (sinabs, `dynapcnn_layer.memory_summary`)."""
    kernel = shape_of(layers, place)[1]
    _, height, width = layers[place].outputs
    return {
        "kernel_words": inputs * 2 ** (bits_for(prod(kernel)) + bits_for(outputs)),
        "neuron_words": outputs * 2 ** (bits_for(height) + bits_for(width)),
        "bias_words": outputs,
    }


def needs(layers: Sequence[Wired], channels: Sequence[int]) -> list[dict[str, int]]:
    """The words of all layers, with channels as in `channels_in_use`."""
    return [words(layers, place, *channels[place : place + 2]) for place in range(len(layers))]


def match(needed: Sequence[dict[str, int]], chip: Chip) -> tuple[np.ndarray, np.ndarray]:
    """The core of each layer by a maximum matching, -1 for none; and bool [layers, cores], where each could go."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    sizes = {kind: np.array(chip.limits[kind].value) for kind in KINDS if kind in chip.limits}
    possible = np.array([np.all([need[kind] <= size for kind, size in sizes.items()], axis=0) for need in needed])
    return maximum_bipartite_matching(csr_matrix(possible), perm_type="column"), possible


def channels_that_fit(layers: Sequence[Wired], chip: Chip) -> list[int] | None:
    """How many output channels each layer can have for the network to fit; None if no number of them is enough.

    All hidden layers are halved alike until each finds a core, to powers of two, since kernels are stored as if there
    were so many; then, in rounds, those are doubled again that still find one at double width. So the
    narrowest layer keeps the largest share that any such numbers leave it. The outputs of the last layer are the
    classes and stay.
    """
    inputs, classes = shape_of(layers, 0)[0], layers[-1].outputs[0]
    most = chip.limit("channels") or max(layer.outputs[0] for layer in layers)
    whole = [min(layer.outputs[0], most) for layer in layers[:-1]]

    def at(halvings: Sequence[int]) -> list[int]:
        hidden = zip(whole, halvings, strict=True)
        return [*(max(1, 2 ** (bits_for(n) - times)) if times else n for n, times in hidden), classes]

    def fits(halvings: Sequence[int]) -> bool:
        return bool((match(needs(layers, [inputs, *at(halvings)]), chip)[0] >= 0).all())

    # The fewest halvings with which it fits; of 0, 1, 2, ... until no layer has more than one channel.
    alike = next((times for times in range(bits_for(max(whole, default=1)) + 1) if fits([times] * len(whole))), None)
    if alike is None:
        return None
    halvings = [alike] * len(whole)
    for _ in range(alike):
        for place in range(len(whole)):
            wider = [times - (number == place) for number, times in enumerate(halvings)]
            if min(wider) >= 0 and fits(wider):
                halvings = wider
    return at(halvings)


def bits_for(number: int) -> int:
    """Bits of an index into so many."""
    return ceil(log2(number)) if number > 1 else 0
