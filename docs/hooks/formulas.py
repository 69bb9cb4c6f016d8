"""Formulas of docstrings as TeX in code: a renderer would be fetched from outside."""

import re
from typing import Any

import griffe

_BLOCK = re.compile(r"^\.\. math:: (.*?)(?=\n\n|\Z)", flags=re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r":math:`([^`]*)`", flags=re.DOTALL)


class Formulas(griffe.Extension):
    """Rewrites `:math:` roles and `.. math::` blocks, which Markdown does not know."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each object that has been read."""
        if obj.docstring is not None:
            text = _BLOCK.sub(lambda found: f"```tex\n{_joined(found[1])}\n```", obj.docstring.value)
            obj.docstring.value = _INLINE.sub(lambda found: f"`{_joined(found[1])}`", text)


def _joined(formula: str) -> str:
    return " ".join(formula.split())
