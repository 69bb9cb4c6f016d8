"""Properties of a network that a placement by size does not check."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from .chip import Chip
from .operations import Operations

# Layers that are named before the others are only counted.
_NAMED = 3


def not_checked(network: nn.Module, operations: Operations, chip: Chip) -> list[str]:
    """Properties of this network to check before it runs on a chip that it fits by size.

    Args:
        network: any module.
        operations: counted on real inputs; tells analog inputs and graded spikes.
        chip: its weight bits are named.
    """
    first, *later = operations.layers.items()
    graded = [name.removesuffix(".weight") for name, layer in later if not layer.spiking]
    found = [
        f"weights rounded to {chip.weight_bits.value[-1]} bits",
        f"the neuron model ({', '.join(_neurons(network)) or 'none found'})",
    ]
    kinds = {type(module).__name__: module for module in network.modules() if "Norm" in type(module).__name__}
    if batch := sorted(name for name, module in kinds.items() if isinstance(module, _BatchNorm)):
        found.append(f"normalisation folded into weights ({', '.join(batch)})")
    if other := sorted(name for name, module in kinds.items() if not isinstance(module, _BatchNorm)):
        found.append(f"normalisation at run time ({', '.join(other)})")
    if not first[1].spiking:
        found.append(f"analog inputs of {first[0].removesuffix('.weight')}")
    if graded:
        others = f" and {len(graded) - _NAMED} other layers" if len(graded) > _NAMED else ""
        found.append(f"graded spikes into {', '.join(graded[:_NAMED])}{others}")
    return found


def _neurons(network: nn.Module) -> list[str]:
    """Types of neurons: SpikingJelly's, and the rectifiers of a twin."""
    from spikingjelly.activation_based.neuron import BaseNode

    return sorted({type(module).__name__ for module in network.modules() if isinstance(module, BaseNode | nn.ReLU)})
