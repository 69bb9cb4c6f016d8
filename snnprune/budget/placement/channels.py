"""Channels of layers on chips that store whole kernels, a layer a core."""

from collections.abc import Sequence
from math import ceil, log2, prod

import numpy as np

from ..chip import Chip
from ..wiring import Wired, pooled_shape

# Limits of each core, in words of memory.
KINDS = ("kernel_words", "neuron_words", "bias_words")


def shape_of(layers: Sequence[Wired], index: int) -> tuple[int, tuple[int, int]]:
    """Input channels and kernel of a layer; a Linear layer after a convolution has its map as kernel."""
    layer = layers[index]
    if layer.convolution:
        return layer.inputs[0], layer.kernels.shape[2:]
    before = layers[index - 1].outputs if index else layer.inputs
    pooled = pooled_shape(prod(layer.inputs), before)
    return (layer.inputs[0], (1, 1)) if pooled is None else (pooled[0], pooled[1:])


def channels_in_use(layers: Sequence[Wired]) -> list[int]:
    """Number of input channels that the first layer uses, and of output channels of each layer that are in use."""
    return [int(np.count_nonzero(mask)) for mask in in_use(layers)]


def in_use(layers: Sequence[Wired]) -> list[np.ndarray]:
    """Input channels that the first layer uses, and output channels of each layer that are in use, as bool arrays.

    A channel is in use if it has synapses on both sides; the others can be taken out of the network. All outputs of the
    last layer are.
    """
    heard = [np.any(_by_channel(layers, index), axis=(0, 2)) for index in range(len(layers))]
    fed = [np.any(layer.kernels, axis=(1, 2, 3)) for layer in layers]
    between = [
        mine & theirs if mine.size == theirs.size else mine for mine, theirs in zip(fed, heard[1:], strict=False)
    ]
    return [heard[0], *between, np.ones_like(fed[-1])]


def _by_channel(layers: Sequence[Wired], index: int) -> np.ndarray:
    """Kernels of a layer as [outputs, input channels, positions]."""
    kernels = layers[index].kernels
    return kernels.reshape(len(kernels), shape_of(layers, index)[0], -1)


def words(layers: Sequence[Wired], index: int, inputs: int, outputs: int) -> dict[str, int]:
    """Memory of a layer on a DYNAP-CNN core, for these numbers of channels (sinabs, `memory_summary`)."""
    kernel = shape_of(layers, index)[1]
    _, height, width = layers[index].outputs
    return {
        "kernel_words": inputs * 2 ** (bits_for(prod(kernel)) + bits_for(outputs)),
        "neuron_words": outputs * 2 ** (bits_for(height) + bits_for(width)),
        "bias_words": outputs,
    }


def needs(layers: Sequence[Wired], channels: Sequence[int]) -> list[dict[str, int]]:
    """The words of all layers, with channels as in `channels_in_use`."""
    return [words(layers, index, *channels[index : index + 2]) for index in range(len(layers))]


def match(needed: Sequence[dict[str, int]], chip: Chip) -> tuple[np.ndarray, np.ndarray]:
    """The core of each layer by a maximum matching, -1 for none; and bool [layers, cores], where each could go."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import maximum_bipartite_matching

    sizes = {kind: np.array(chip.limits[kind].value) for kind in KINDS if kind in chip.limits}
    possible = np.array([np.all([need[kind] <= size for kind, size in sizes.items()], axis=0) for need in needed])
    return maximum_bipartite_matching(csr_matrix(possible), perm_type="column"), possible


def channels_that_fit(layers: Sequence[Wired], chip: Chip) -> list[int] | None:
    """Number of output channels of each layer with which the network fits; None if there is none.

    All hidden layers are halved alike until each finds a core, to powers of two, since kernels are stored with their
    channels rounded up to those; then, in rounds, layers that still find a core at double width are doubled again. The
    narrowest layer thereby keeps the largest share that is possible. The outputs of the last layer are the classes and
    stay.
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
        for index in range(len(whole)):
            wider = [times - (number == index) for number, times in enumerate(halvings)]
            if min(wider) >= 0 and fits(wider):
                halvings = wider
    return at(halvings)


def bits_for(number: int) -> int:
    """Bits of an index into `number` entries."""
    return ceil(log2(number)) if number > 1 else 0
