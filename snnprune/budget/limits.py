"""Limits and other words by which chips are described."""

from typing import Literal, NamedTuple

PlacementKind = Literal["neurons", "layers", "single"]
Convolution = Literal["shared", "replicated"]
Zeros = Literal["memory", "partly", "nothing", "unknown"]
# Layout of synapses in memory.
ENCODINGS = {
    "blocks-of-64": "lists of index and weight behind each input of a core, in blocks of at most 64, padded to 64 bits",
    "lists": "one entry for each synapse",
    "content-addressable": "one word at the postsynaptic neuron for each synapse",
    "padded-rows": "a row of 32-bit words for each presynaptic neuron and target core, as long as the longest",
    "power-of-two-kernels": "whole kernels; their size and the number of output channels rounded up to powers of two",
    "crossbar": "every crosspoint of inputs and neurons exists",
    "dense": "every weight of a layer",
}


class Limit(NamedTuple):
    """Meaning of a limit, and whether it is one number or several."""

    meaning: str
    several: bool = False


LIMITS = {
    "cores": Limit("cores of a chip"),
    "core_layers": Limit("layers that share a core"),
    "core_neurons": Limit("neurons on a core"),
    "core_input_axons": Limit("different inputs of a core"),
    "core_output_axons": Limit("pairs of neuron and target core, on a core"),
    "core_synapses": Limit("synapses on a core"),
    "core_synapse_bits": Limit("bits for synapses on a core"),
    "chip_synapses": Limit("synapses on a chip"),
    "chip_memory_bits": Limit("bits for synapses on a chip, outside of its cores"),
    "fan_in": Limit("inputs of a neuron"),
    "fan_out": Limit("targets of a neuron"),
    "mean_fan_out": Limit("targets of a neuron, on average"),
    "target_cores": Limit("cores that a neuron, or a layer, can send to"),
    "input_neurons": Limit("inputs of the network"),
    "hidden_neurons": Limit("neurons that are not outputs"),
    "output_neurons": Limit("outputs of the network"),
    "input_targets": Limit("hidden neurons that inputs can reach"),
    "output_sources": Limit("hidden neurons that outputs can receive"),
    "recurrent_synapses": Limit("synapses between hidden neurons"),
    "kernel_words": Limit("words for kernels on each core", several=True),
    "neuron_words": Limit("words for neuron states on each core", several=True),
    "bias_words": Limit("biases on each core", several=True),
    "input_size": Limit("height and width of a layer's input"),
    "output_size": Limit("height and width of a layer's output"),
    "channels": Limit("channels of a layer"),
    "kernel_size": Limit("height and width of a kernel"),
    "kernel_sizes": Limit("height and width of a kernel", several=True),
    "strides": Limit("stride of a convolution", several=True),
    "padding": Limit("padding of a convolution"),
    "pools": Limit("sum pooling after a layer", several=True),
    "classes": Limit("classes that can be read out"),
}
# Kind of placement -> limits that it needs; "|": one of these.
REQUIRED: dict[str, tuple[str, ...]] = {
    "neurons": ("cores", "core_neurons|core_synapse_bits"),
    "layers": ("cores|kernel_words", "core_synapse_bits|kernel_words"),
    "single": ("input_neurons", "hidden_neurons", "output_neurons"),
}
