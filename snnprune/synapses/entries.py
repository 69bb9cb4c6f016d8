"""Entries of `exclude` and `include`: names, globs and module types that choose among the weights of a network."""

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from ..errors import InputError, shortened

Entry = str | type[nn.Module]
Exclude = Entry | Iterable[Entry]
Include = Exclude


class Entries(tuple[Entry, ...]):
    """The entries of an `exclude`; those of an `include` travel with them wherever an `exclude` is passed on.

    Attributes:
        include: entries that name parameters to be taken as synapses.
    """

    include: tuple[Entry, ...]

    def __new__(cls, exclude: Iterable[Entry] = (), include: Iterable[Entry] = ()) -> "Entries":
        entries = super().__new__(cls, exclude)
        entries.include = tuple(include)
        return entries

    def __getnewargs__(self) -> tuple[Any, ...]:
        return tuple(self), self.include


def entries_of(exclude: Exclude, include: Include = ()) -> Entries:
    """Return the entries of an `exclude` and an `include`, which may be single ones, as tuples.

    Args:
        exclude: entries; or the result of this function, whose `include` is kept.
        include: entries.

    Raises:
        InputError: no list, or an entry that is neither a name nor a type of modules.
    """
    carried = exclude.include if isinstance(exclude, Entries) else ()
    return Entries(_tuple_of("exclude", exclude), (*carried, *_tuple_of("include", include)))


def matches(entry: Entry, name: str, module: nn.Module) -> bool:
    """Return whether an entry names a parameter: by its name, or by the name or the type of the module that holds it.

    Args:
        entry: of an `exclude` or an `include`.
        name: of the parameter in the network.
        module: holds the parameter.
    """
    if isinstance(entry, type):
        return isinstance(module, entry)
    return any(fnmatch.fnmatchcase(known, entry) for known in (name, name.rpartition(".")[0]))


def shown(entry: Entry) -> str:
    """Return an entry as messages show it."""
    return repr(entry if isinstance(entry, str) else entry.__name__)


def _tuple_of(what: str, given: Any) -> tuple[Entry, ...]:
    several = isinstance(given, Iterable) and not isinstance(given, str | type | nn.Module | Tensor)
    if isinstance(given, Mapping | bytes):
        raise InputError(f"{what} must be a name, a module type, or a list of these, found {shortened(given)}")
    entries = tuple(given) if several else (given,)
    if wrong := [entry for entry in entries if not isinstance(entry, str | type)]:
        raise InputError(f"{what} takes names and module types, found an object of type {type(wrong[0]).__name__}")
    return entries  # type: ignore[return-value]
