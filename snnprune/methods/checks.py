"""Checks of the methods' arguments that an annotation cannot express."""

from collections.abc import Mapping

import torch
from torch import nn

from .. import allocation as allocations
from ..allocation import Allocation
from ..errors import InputError


def refuse_inference_mode() -> None:
    """Make sure that tensors can be changed later: those made in inference mode cannot.

    Raises:
        InputError: torch.inference_mode() is on.
    """
    if torch.is_inference_mode_enabled():
        raise InputError("a method cannot be used in torch.inference_mode(): make and train it outside")


def check_training(network: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    """Make sure that a network can be trained by a method.

    Args:
        network: any module.
        parameters: name -> its synapses.

    Raises:
        InputError: inference mode, parameters that were made in it, or synapses on several devices.
    """
    refuse_inference_mode()
    if frozen := [name for name, parameter in network.named_parameters() if parameter.is_inference()]:
        raise InputError(
            f"{', '.join(frozen[:3])} cannot be trained, made in torch.inference_mode(): make the network outside"
        )
    devices = dict.fromkeys(str(parameter.device) for parameter in parameters.values())
    if len(devices) > 1:
        raise InputError(
            f"the synapses are on several devices, {', '.join(devices)}: move them to one, or exclude the others"
        )


def find_layerwise(allocation: str | Mapping[str, float] | Allocation) -> Allocation:
    """Return an allocation for a rewiring that keeps each layer's number of synapses but moves them within the layer.

    Raises:
        InputError: unknown name, or an allocation with a rule within layers (N:M, a fan-in cap), which would not last.
    """
    found = allocations.find(allocation)
    known = ("erk", "er", "uniform", "global", "lamp")
    if isinstance(allocation, str) and allocation not in known:
        raise InputError(
            f"allocation={allocation!r} would not last, because synapses move within their layers: use one of "
            f"{', '.join(known)}, or a density for each layer"
        )
    return found
