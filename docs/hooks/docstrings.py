"""Docstrings as the API pages need them: formulas, and all public names."""

import re
from typing import Any

import griffe

_BLOCK = re.compile(r"^\.\. math:: (.*?)(?=\n\n|\Z)", flags=re.MULTILINE | re.DOTALL)


class Formulas(griffe.Extension):
    """Makes of a `.. math::` block a paragraph with a role, `:display:`; the hook formulas.py turns the roles."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object that is a member, after `on_package`."""
        _show_formulas(obj)


class PublicNames(griffe.Extension):
    """Shows every name in a package's `__all__`, and under it what an import gives."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Called once the package has been read."""
        for package in [pkg, *(entry for entry in pkg.modules.values() if not entry.is_alias)]:
            for name in map(str, package.exports or ()):
                member = package.members.get(name)
                inner = member.members.get(name) if isinstance(member, griffe.Module) else None
                if inner is not None and not isinstance(inner, griffe.Module):
                    # criteria.wanda is the function, not the module that holds it.
                    _show_formulas(inner)  # no longer a member that `on_object` would see
                    package.members[name] = griffe.Alias(name, inner, parent=package)
                elif isinstance(member, griffe.Alias) and member.final_target.is_attribute:
                    _show(member.final_target)


def _show_formulas(obj: Any) -> None:
    if obj.docstring is not None:
        obj.docstring.value = _BLOCK.sub(lambda found: f":display:`{_joined(found[1])}`", obj.docstring.value)


def _show(attribute: Any) -> None:
    """Give a type alias or a registry a docstring: without one it would be left out."""
    if attribute.docstring is None:
        attribute.docstring = griffe.Docstring("", parent=attribute)


def _joined(formula: str) -> str:
    return " ".join(formula.split())
