"""Formulas as MathML, which browsers draw by themselves: a script would be fetched from outside."""

import html
import re
from typing import Any

from latex2mathml.converter import convert

_FORMULA = re.compile(r":(math|display):<code>(.*?)</code>", flags=re.DOTALL)
_WORD = re.compile(r"(?<![\\A-Za-z])([A-Za-z]{3,})")


def on_page_content(content: str, **_: Any) -> str:
    """Turn the roles, whose TeX Markdown has put into code."""
    return _FORMULA.sub(lambda found: _mathml(html.unescape(found[2]), found[1] == "display"), content)


def _mathml(tex: str, display: bool) -> str:
    words = _WORD.sub(r"\\text{\1}", " ".join(tex.split()))  # "relu" is a name, not a product of four letters
    return convert(words, display="block" if display else "inline")
