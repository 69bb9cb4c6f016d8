"""Registries of named entries (methods, criteria, allocations, ...), and the loader of `package.module:attribute`."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from .errors import InputError, shortened

T = TypeVar("T")
Entry = TypeVar("Entry")


class Registry(Mapping[str, T], Generic[T]):
    """Entries of one kind by name, in the order in which they were registered.

    Args:
        kind: of the entries, for error messages ("method").
        hint: other accepted forms of a name, added to the message of `find` ("or package.module:Class").
    """

    def __init__(self, kind: str, *, hint: str = "") -> None:
        self.kind = kind
        self.hint = hint
        self._entries: dict[str, T] = {}
        self._loaders: dict[str, Callable[[], T]] = {}

    def register(self, name: str) -> Callable[[Entry], Entry]:
        """Return a decorator that registers a function or class under a name and returns it unchanged.

        Raises:
            InputError: the name is taken by another entry.
        """

        def add(entry: Entry) -> Entry:
            self.add(name, entry)  # type: ignore[arg-type]
            return entry

        return add

    def add(self, name: str, entry: T) -> None:
        """Register an entry under a name; registering the same entry again does nothing.

        Raises:
            InputError: the name is taken by another entry.
        """
        if name in self and self._entries.get(name) != entry:
            raise InputError(f"the {self.kind} name {name!r} is taken by {_describe(self[name])}")
        self._entries[name] = entry

    def add_path(self, name: str, path: str) -> None:
        """Register an attribute of a module under a name; the module is imported when the entry is first used.

        For entries of packages that the registry's own package must not import.

        Args:
            name: of the entry.
            path: "package.module:attribute".

        Raises:
            InputError: the name is taken.
        """
        self.add_loader(name, lambda: load_attribute(path, f"{self.kind} {name}"))

    def add_loader(self, name: str, load: Callable[[], T]) -> None:
        """Register under a name the entry that `load` returns; it is called when the entry is first used.

        Raises:
            InputError: the name is taken.
        """
        if name in self:
            raise InputError(f"the {self.kind} name {name!r} is taken by {_describe(self[name])}")
        self._loaders[name] = load

    def names(self) -> list[str]:
        """Return the known names, sorted."""
        return sorted(self)

    def find(self, name: str) -> T:
        """Return the entry of a name.

        Raises:
            InputError: unknown name; the known ones are listed.
        """
        if not isinstance(name, str) or name not in self:
            hint = f", {self.hint}" if self.hint else ""
            raise InputError(f"unknown {self.kind} {shortened(name)}: known are {', '.join(self.names())}{hint}")
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
    """Import an attribute by its path.

    Args:
        path: "package.module:attribute", as the user typed it. Never pass a path that was read from a file: importing
            a module runs it.
        what: the option or kind of entry, for error messages.

    Raises:
        InputError: another form, no such module or attribute, or the module cannot be imported.
    """
    module_name, colon, attribute = path.partition(":")
    if not (module_name and colon and attribute) or module_name.startswith("."):
        raise InputError(f"{what} must be package.module:attribute, found {shortened(path)}")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, TypeError, SyntaxError) as error:
        raise InputError(f"{what} {path[:200]} cannot be imported: {error}") from error


def _describe(entry: object) -> str:
    entry = getattr(entry, "function", entry)
    module, name = getattr(entry, "__module__", None), getattr(entry, "__qualname__", None)
    return f"{module}.{name}" if module and name else repr(entry)
