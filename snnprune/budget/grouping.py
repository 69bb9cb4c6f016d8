"""An order of neurons in which those with common inputs follow each other, for cores with few inputs."""

import numpy as np


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
