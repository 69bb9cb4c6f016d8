"""The weight tensors of a network: found, named and excluded."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ..errors import InputError
from .acting import zeros_act
from .entries import Exclude, Include, entries_of
from .kinds import KNOWN, is_layer
from .places import Place, excluded, matrices_of, places

# Types of weights: those of which torch computes gradients and comparisons.
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Synapses:
    """One tensor of synapses: the weight of a layer, or a parameter that `include` names.

    Attributes:
        name: the parameter's name in the plain network's `named_parameters()`, such as "fc1.weight"; wrappers
            (torch.compile, data parallel, averaged models) add nothing to it.
        parameter: the weight; (out, in / groups, *kernel) for convolutions, (in, out / groups, *kernel) for transposed
            ones, and (out, *in) for all others: (out, in) for Linear, (out, in1, in2) for Bilinear. The outputs of
            `in_proj_weight` are those of query, key and value, one below the other, and those of a recurrent weight
            its gates.
        module: the module that holds it.
        attribute: its name there, such as "weight".
    """

    name: str
    parameter: nn.Parameter
    module: nn.Module
    attribute: str = "weight"

    @property
    def of_layer(self) -> bool:
        """Whether this is the weight of a linear layer or a convolution."""
        return self.attribute == "weight" and is_layer(self.module)


def find_synapses(network: nn.Module, *, exclude: Exclude = (), include: Include = ()) -> dict[str, Synapses]:
    """Return the synapses of a network, in the order of its modules.

    Synapses are the weights of Linear, Bilinear, Conv1d/2d/3d and ConvTranspose1d/2d/3d, MultiheadAttention, LSTM, GRU,
    RNN and their cells, of SpikingJelly's layers and cells, and of subclasses of these. Biases, embeddings,
    normalisation and neuron parameters are not. A weight shared by two layers counts once. A weight without elements (a
    layer with no inputs or no outputs) has no synapses and is left out.

    Args:
        network: any module.
        exclude: entries to leave out, one or several: parameter names ("fc2.weight"), module names ("fc2"), globs
            ("head.*"), or module types (`nn.Conv2d`), each of the module that holds the weight itself.
        include: entries of the same kinds: parameters of two or more axes to be taken as synapses as well. The first
            axis counts outputs, the others inputs.

    Raises:
        InputError: not a module; no synapses (left); an entry of `exclude` or `include` that matches nothing; a weight
            that is parametrized, pruned by torch.nn.utils, or not initialised yet (lazy layers, the device "meta");
            whose numbers are not float16, bfloat16, float32 or float64, one beside the other (no sparse or nested
            tensors); or that acts where it is 0, as in weight standardisation. `exclude` leaves such weights alone.
    """
    entries = entries_of(exclude, include)
    found = places(network, entries.include)
    taken = excluded(found, entries)
    kept = {place.name: _synapses(place) for place in found if place.name not in taken}
    if not kept:
        raise InputError(
            f"{type(network).__name__} has no synapses"
            + (f" left: exclude takes all of {', '.join(taken)}" if taken else "")
            + f"; synapses are {KNOWN}"
        )
    return kept


def synapses_named(network: nn.Module, names: Collection[str]) -> dict[str, Synapses]:
    """Return the synapses of a network with these names, in the order of its modules; unknown names are left out.

    Other weights are not looked at, and any parameter of two or more axes can be named.

    Raises:
        InputError: not a module, or as `find_synapses` for one of these weights.
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"network must be a torch module, found {type(network).__name__}")
    every = [place for place in matrices_of(network) if place.name in names]
    return {place.name: _synapses(place) for place in every}


def _synapses(place: Place) -> Synapses:
    name, weight = place.name, place.parameter
    if weight is None:
        raise InputError(
            f"{name} is not a plain parameter (parametrized, or pruned by torch.nn.utils.prune): "
            "remove the parametrization first, or name it in exclude"
        )
    if is_lazy(weight):
        raise InputError(f"{name} has no shape yet (a lazy layer): run the network once first")
    if weight.is_nested or weight.layout is not torch.strided:
        raise InputError(f"{name} is a sparse or nested tensor: make it a plain one, with weight.to_dense()")
    if weight.dtype not in DTYPES:
        known = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        raise InputError(f"{name} holds {weight.dtype}, synapses are {known}: call network.float() before")
    if weight.is_meta:
        raise InputError(f'{name} has no values (device "meta"): call network.to_empty(device="cpu"), and load them')
    if place.attribute == "weight" and is_layer(place.module) and zeros_act(place.module):
        raise InputError(
            f"{name} acts where it is 0: {type(place.module).__name__} computes with a function of its weight (such as "
            "weight standardisation), so that no synapse could be absent; use a plain layer, or name it in exclude"
        )
    return Synapses(name, cast(nn.Parameter, weight), place.module, place.attribute)
