"""Things by name: one registry for methods, criteria, allocations, schedules, losses and chips; one loader of paths."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from .errors import InputError

T = TypeVar("T")
Entry = TypeVar("Entry")


class Registry(Mapping[str, T], Generic[T]):
    """Entries of one kind by name, in the order in which they were registered.

    Args:
        kind: of the entries, for error messages ("method").
        hint: what `find` accepts besides the names, for its message ("or package.module:Class").
    """

    def __init__(self, kind: str, *, hint: str = "") -> None:
        self.kind, self.hint = kind, hint
        self._entries: dict[str, T] = {}
        self._loaders: dict[str, Callable[[], T]] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Decorator that makes a function or class known under a name, and returns it unchanged.

        Raises:
            InputError: the name is taken by another entry.
        """

        def add(entry: Entry) -> Entry:
            self.add(name, entry)  # type: ignore[arg-type]
            return entry

        return add

    def add(self, name: str, entry: T) -> None:
        """Make an entry known under a name.

        Raises:
            InputError: the name is taken by another entry.
        """
        if name in self and self._entries.get(name) != entry:
            raise InputError(f"the {self.kind} name {name!r} is taken by {_describe(self[name])}")
        self._entries[name] = entry

    def add_path(self, name: str, path: str) -> None:
        """Make the attribute of a module known under a name; it is imported when it is first used.

        For entries that live in a room above the one that asks for them.

        Args:
            name: of the entry.
            path: "package.module:attribute".

        Raises:
            InputError: the name is taken.
        """
        self.add_loader(name, lambda: load_attribute(path, f"{self.kind} {name}"))

    def add_loader(self, name: str, load: Callable[[], T]) -> None:
        """Make known under a name what `load` returns; it is called when the entry is first used.

        Raises:
            InputError: the name is taken.
        """
        if name in self:
            raise InputError(f"the {self.kind} name {name!r} is taken by {_describe(self[name])}")
        self._loaders[name] = load

    def names(self) -> list[str]:
        """The known names, sorted."""
        return sorted(self)

    def find(self, name: str) -> T:
        """The entry of a name.

        Raises:
            InputError: unknown name; the known ones are listed.
        """
        if not isinstance(name, str) or name not in self:
            hint = f", {self.hint}" if self.hint else ""
            raise InputError(f"unknown {self.kind} {name!r}: known are {', '.join(self.names())}{hint}")
        return self[name]

    def __getitem__(self, name: str) -> T:
        if name not in self._entries:
            self._entries[name] = self._loaders[name]()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._entries, **self._loaders})

    def __contains__(self, name: object) -> bool:  # without loading the entry, as Mapping would
        return name in self._entries or name in self._loaders

    def __len__(self) -> int:
        return len(self._entries.keys() | self._loaders.keys())


def load_attribute(path: str, what: str) -> Any:
    """Import the attribute that "package.module:attribute" names.

    Args:
        path: as the user typed it. Never call this with what a file says.
        what: the option or kind, for error messages.

    Raises:
        InputError: not of that form, no such module or attribute, or the module cannot be imported.
    """
    module_name, colon, attribute = path.partition(":")
    if not (module_name and colon and attribute):
        raise InputError(f"{what} must be package.module:attribute, found {path!r}")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"{what} {path} cannot be imported: {error}") from error


def _describe(entry: object) -> str:
    entry = getattr(entry, "function", entry)
    module, name = getattr(entry, "__module__", None), getattr(entry, "__qualname__", None)
    return f"{module}.{name}" if module and name else repr(entry)
