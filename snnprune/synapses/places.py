"""Where the weights of a network are: every parameter of two or more axes, and which of them are synapses."""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from torch import nn
from torch.nn.parameter import is_lazy

from ..errors import InputError
from .entries import Entry, matches, shown
from .kinds import weight_names
from .modules import named_plain_modules


class Place(NamedTuple):
    """A parameter of a network, by its name there, its module, and its name in that."""

    name: str
    module: nn.Module
    attribute: str

    @property
    def parameter(self) -> nn.Parameter | None:
        """The parameter; None if it was replaced by a function of other tensors."""
        return self.module._parameters.get(self.attribute)


def places(network: nn.Module, include: Collection[Entry] = ()) -> list[Place]:
    """Return where the weights of synapses are, excluded ones as well, each once; they may still be refused.

    Args:
        network: any module.
        include: entries that name further weights.

    Raises:
        InputError: not a module, or an entry without a parameter of two or more axes.
    """
    if not isinstance(network, nn.Module):
        raise InputError(f"network must be a torch module, found {type(network).__name__}")
    every = matrices_of(network) if include else list(_weights_of(network))
    for entry in include:
        if not any(_is_named(place, (entry,)) for place in every):
            known = ", ".join(place.name for place in every) or "none"
            raise InputError(
                f"include {shown(entry)} matches no parameter of two or more axes; the network has {known}"
            )
    found, seen = [], set()
    for place in every:
        if include and not (_is_named(place, include) or place.attribute in weight_names(place.module)):
            continue
        if (parameter := place.parameter) is not None:
            if id(parameter) in seen or (not is_lazy(parameter) and not parameter.numel()):
                continue
            seen.add(id(parameter))
        found.append(place)
    return found


def excluded(found: list[Place], exclude: Collection[Entry]) -> list[str]:
    """Return the names of the places that an `exclude` takes.

    Raises:
        InputError: an entry that matches nothing.
    """
    if not exclude:
        return []
    for entry in exclude:
        if not any(_is_named(place, (entry,)) for place in found):
            known = ", ".join(place.name for place in found) or "none"
            raise InputError(f"exclude {shown(entry)} matches no synapses; the network has {known}")
    return [place.name for place in found if _is_named(place, exclude)]


def matrices_of(network: nn.Module) -> list[Place]:
    """Return where the parameters of two or more axes are, and those of weights, whatever they are."""
    found = []
    for module_name, module in named_plain_modules(network):
        weights = weight_names(module)
        matrices = [name for name, parameter in module._parameters.items() if _is_matrix(parameter)]
        prefix = f"{module_name}." if module_name else ""
        found += [Place(prefix + name, module, name) for name in dict.fromkeys((*weights, *matrices))]
    return found


def _weights_of(network: nn.Module) -> Iterator[Place]:
    for module_name, module in named_plain_modules(network):
        for name in weight_names(module):
            yield Place(f"{module_name}.{name}" if module_name else name, module, name)


def _is_named(place: Place, entries: Iterable[Entry]) -> bool:
    return any(matches(entry, place.name, place.module) for entry in entries)


def _is_matrix(parameter: nn.Parameter | None) -> bool:
    return parameter is not None and not is_lazy(parameter) and parameter.dim() >= 2
