"""The weights that an assessment is about, and those that it is not."""

from typing import Any

from torch import nn

from ..connectivity import Connectivity
from ..errors import InputError
from ..synapses import Exclude, Unpruned, entries_of, find_synapses, unpruned


def chosen(network: nn.Module, connectivity: Connectivity | None, exclude: Exclude) -> Exclude:
    """Return the entries that choose all synapses that a connectivity names, as well."""
    if connectivity is None:
        return exclude
    connectivity.check(network)
    return entries_of(exclude, include=list(connectivity))


def not_pruned(network: nn.Module, present: Connectivity, exclude: Exclude) -> list[dict[str, Any]]:
    """Return the parameters of two or more axes that no connectivity concerns, with the reasons."""
    rest = {
        name: Unpruned(tuple(entry.parameter.shape), "not in the connectivity")
        for name, entry in find_synapses(network, exclude=exclude).items()
        if name not in present
    }
    every = {**rest, **unpruned(network, exclude=exclude)}
    return [{"name": name, "shape": list(entry.shape), "reason": entry.reason} for name, entry in every.items()]


def present(network: nn.Module, connectivity: Connectivity | None, exclude: Exclude) -> Connectivity:
    """The synapses that exist, of layers that are not excluded."""
    if connectivity is None:
        return Connectivity.from_network(network, exclude=exclude)
    names = find_synapses(network, exclude=exclude)
    if kept := {name: mask for name, mask in connectivity.items() if name in names}:
        return Connectivity(kept)
    raise InputError(f"exclude takes all layers of the connectivity: it has {', '.join(connectivity)}")
