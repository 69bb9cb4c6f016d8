"""The parameters of two or more axes that are not synapses, and why."""

from typing import NamedTuple

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import ParametrizationList

from .entries import Exclude, Include, entries_of
from .places import Place, excluded, matrices_of, places

EXCLUDED, NORMALISATION, UNIT_WISE = "excluded", "normalisation", "one value for each unit"
# Reasons that are no surprise.
EXPECTED = (EXCLUDED, NORMALISATION, UNIT_WISE)


class Unpruned(NamedTuple):
    """A parameter that is not pruned.

    Attributes:
        shape: of the parameter.
        reason: "excluded", "normalisation", "one value for each unit", "embedding", "parametrized", "frozen", "without
            elements", or "other parameter: name it in include=".
    """

    shape: tuple[int, ...]
    reason: str


def unpruned(network: nn.Module, *, exclude: Exclude = (), include: Include = ()) -> dict[str, Unpruned]:
    """Return the parameters of two or more axes that are no synapses, by name, in the order of the modules.

    Args:
        network: any module. Weights that `find_synapses` would refuse are not listed unless they are excluded.
        exclude: as in `find_synapses`.
        include: as in `find_synapses`.

    Raises:
        InputError: not a module, or an entry of `exclude` or `include` that matches nothing.
    """
    entries = entries_of(exclude, include)
    found = places(network, entries.include)
    taken = excluded(found, entries)
    seen = {id(place.parameter) for place in found if place.name not in taken}
    left = {}
    for place in matrices_of(network):
        parameter = place.parameter
        if parameter is None or id(parameter) in seen or is_lazy(parameter):
            continue
        seen.add(id(parameter))
        reason = EXCLUDED if place.name in taken else _reason(place, parameter)
        left[place.name] = Unpruned(tuple(parameter.shape), reason)
    return left


def shown_unpruned(left: dict[str, Unpruned]) -> str:
    """Return a list for a message."""
    return ", ".join(f"{name} {'x'.join(map(str, entry.shape))} ({entry.reason})" for name, entry in left.items())


def _reason(place: Place, parameter: nn.Parameter) -> str:
    if not parameter.numel():
        return "without elements"
    if isinstance(place.module, ParametrizationList):
        return "parametrized"
    if any("norm" in kind.__name__.lower() for kind in type(place.module).__mro__):
        return NORMALISATION
    if isinstance(place.module, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if parameter.numel() == max(parameter.shape):
        return UNIT_WISE
    return "other parameter: name it in include=" if parameter.requires_grad else "frozen"
