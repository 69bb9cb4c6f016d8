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
    able = None if chip.graded is None else chip.graded.value
    graded = [] if able else [name.removesuffix(".weight") for name, layer in later if layer.inputs != "binary"]
    found = [
        f"weights rounded to {chip.weight_bits.value[-1]} bits",
        f"the neuron model ({', '.join(_neurons(network)) or 'none found'})",
    ]
    kinds = {type(module).__name__: module for module in network.modules() if "Norm" in type(module).__name__}
    if batch := sorted(name for name, module in kinds.items() if isinstance(module, _BatchNorm)):
        found.append(f"normalisation folded into weights ({', '.join(batch)})")
    if other := sorted(name for name, module in kinds.items() if not isinstance(module, _BatchNorm)):
        found.append(f"normalisation at run time ({', '.join(other)})")
    if first[1].inputs == "analog" or (first[1].inputs == "integer" and not able):
        found.append(f"analog inputs of {first[0].removesuffix('.weight')}")
    if graded:
        doubt = " (not known whether this chip has them)" if able is None else " (this chip has none)"
        found.append(f"graded spikes into {_listed(graded, 'other layers')}{doubt}")
    if operations.products:
        found.append(f"products of values of neurons ({_listed(list(operations.products), 'others')})")
    return found


def _listed(names: list[str], more: str) -> str:
    others = f" and {len(names) - _NAMED} {more}" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{others}"


def _neurons(network: nn.Module) -> list[str]:
    """Types of neurons: SpikingJelly's, and the rectifiers of a twin."""
    from spikingjelly.activation_based.neuron import BaseNode

    return sorted({type(module).__name__ for module in network.modules() if isinstance(module, BaseNode | nn.ReLU)})
