"""Chips as data: one TOML file each, every number with its source."""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

from ..errors import InputError, printable
from ..registry import Registry
from ..storage import as_path, parse_toml, read_toml_text
from ..text import aligned
from .limits import ENCODINGS, LIMITS, REQUIRED, Convolution, PlacementKind, Zeros

# Entries of each part of a chip file.
_TEXTS = ("name", "maker", "about", "placement", "convolution", "zeros")
_PARTS = {
    "limits": tuple(LIMITS),
    "weights": ("bits", "encoding"),
    "energy": ("synaptic_operation",),
    "spikes": ("graded",),
}
_CHOICES: dict[str, Collection[str]] = {
    "placement": get_args(PlacementKind),
    "convolution": get_args(Convolution),
    "zeros": get_args(Zeros),
    "encoding": ENCODINGS,
}


@dataclass(frozen=True)
class Fact:
    """A number, or several, and how it is known.

    Attributes:
        value: in the unit that its name has (see `limits.LIMITS`).
        source: where it is from.
        verified: whether it was read there, and not from memory or in a source that does not say how it knows.
    """

    value: Any
    source: str
    verified: bool


@dataclass(frozen=True, kw_only=True)
class Chip:
    """Description of a chip.

    Attributes:
        key: the name on the command line, that of its file.
        name: in full.
        maker: its manufacturer.
        about: properties that matter for a sparse network, in a few sentences.
        placement: how a network is laid out: "neurons" of any layer on any core; "layers", one on a core; or "single",
            all on one core.
        convolution: "shared" where kernels are stored once, "replicated" where each connection takes a synapse.
        zeros: resources that an absent synapse frees: "memory", "partly", "nothing", or "unknown".
        limits: name -> limit, those of `limits.LIMITS` that are known.
        weight_bits: allowed bits of a weight, in ascending order.
        encoding: how synapses lie in memory, one of `limits.ENCODINGS`.
        energy: picojoules for a synaptic operation, or None; not to be compared between chips.
        graded: whether a spike carries a value, or a neuron sends several in a step; None if it is not known.
    """

    key: str
    name: str
    maker: str
    about: str
    placement: PlacementKind
    convolution: Convolution
    zeros: Zeros
    limits: Mapping[str, Fact]
    weight_bits: Fact
    encoding: Fact
    energy: Fact | None
    graded: Fact | None = None

    def limit(self, name: str) -> int | None:
        """A limit that is one number, or None where there is none that is known."""
        return self.limits[name].value if name in self.limits else None

    def explain(self) -> str:
        """All known facts of the chip, with sources, as text."""
        rows = [("limit", "value", "", "source")]
        facts = [(LIMITS[name].meaning, fact) for name, fact in self.limits.items()]
        facts += [("bits of a weight", self.weight_bits)]
        facts += [("pJ a synaptic operation", self.energy)] if self.energy else []
        facts += [("graded spikes", self.graded)] if self.graded else []
        rows += [(what, _shown(fact.value), "" if fact.verified else "unverified", fact.source) for what, fact in facts]
        memory = f"Synapses in memory: {ENCODINGS[self.encoding.value]}"
        doubt = "" if self.encoding.verified else "unverified; "
        parts = [
            f"{self.name} ({self.maker}), --chip {self.key}",
            self.about.strip(),
            f"{memory} ({doubt}{self.encoding.source}).",
            aligned(rows, left=(0, 2, 3)),
        ]
        return printable("\n\n".join(parts), keep="\n")


def find_chip(name: str | os.PathLike[str]) -> Chip:
    """A chip by its name, or by the path of a .toml file.

    Raises:
        InputError: an unknown name (the known ones are listed), or as `read_chip`.
    """
    if isinstance(name, os.PathLike) or str(name).endswith(".toml"):
        return read_chip(name)
    return CHIPS.find(name)


def read_chip(path: str | os.PathLike[str]) -> Chip:
    """The chip that a file describes.

    Raises:
        InputError: no file, no TOML, an unknown or missing key, or a value that cannot be; with file, line and key.
    """
    path = as_path(path)
    text = read_toml_text(path, what="chip file")
    content = parse_toml(text, where=str(path))
    reader = _Reader(path, text)
    reader.known(content, (*_TEXTS, *_PARTS), "")
    texts = {key: reader.text(content, key) for key in _TEXTS}
    parts = {part: reader.facts(content.get(part, {}), part) for part in _PARTS}
    for key in REQUIRED[texts["placement"]]:
        if not any(name in parts["limits"] for name in key.split("|")):
            reader.fail(
                "limits",
                f"{key.replace('|', ' or ')} is missing: a chip with placement = {texts['placement']!r} needs it",
            )
    for key in ("bits", "encoding"):
        if key not in parts["weights"]:
            reader.fail("weights", f"{key} is missing")
    return Chip(
        key=path.stem,
        **texts,
        limits=parts["limits"],
        weight_bits=parts["weights"]["bits"],
        encoding=parts["weights"]["encoding"],
        energy=parts["energy"].get("synaptic_operation"),
        graded=parts["spikes"].get("graded"),
    )


class _Reader:
    """Checks the content of a file, and finds the line of an entry."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.lines = path, text.splitlines()

    def fail(self, key: str, what: str) -> None:
        """Raise an error that names the file, the line and the problem."""
        found = (n for n, line in enumerate(self.lines, 1) if re.match(rf"\s*\[?{re.escape(key)}\b", line))
        line = next(found, None)
        raise InputError(f"{self.path}{f', line {line}' if line else ''}: {what}")

    def known(self, table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in table:
            if key not in known:
                self.fail(key, f"unknown key {where}{key}: known are {', '.join(known)}")

    def text(self, content: Mapping[str, Any], key: str) -> Any:
        """A text, of the choices where there are some."""
        value = content.get(key)
        if not isinstance(value, str) or not value.strip():
            self.fail(key, f"{key} must be a text, found {value!r}" if key in content else f"{key} is missing")
        self._check_choice(key, value, key)
        return value

    def facts(self, table: Any, part: str) -> dict[str, Fact]:
        """All facts of a part of the file."""
        if not isinstance(table, dict):
            self.fail(part, f"{part} must be a table, found {table!r}")
        self.known(table, _PARTS[part], f"{part}.")
        return {key: self.fact(value, f"{part}.{key}", key) for key, value in table.items()}

    def fact(self, found: Any, where: str, key: str) -> Fact:
        """One value with its source."""
        if not isinstance(found, dict) or set(found) != {"value", "source", "verified"}:
            self.fail(
                key, f"{where} must be {{ value = ..., source = '...', verified = true or false }}, found {found!r}"
            )
        value, source, verified = found["value"], found["source"], found["verified"]
        if not isinstance(source, str) or not source.strip() or not isinstance(verified, bool):
            self.fail(
                key, f"{where} needs a source (text) and verified (true or false), found {source!r} and {verified!r}"
            )
        if key == "encoding":
            self._check_choice(key, value, where)
        elif key == "synaptic_operation":
            if type(value) not in (int, float) or not value > 0:
                self.fail(key, f"{where} must be a number above 0, found {value!r}")
        elif key == "graded":
            if not isinstance(value, bool):
                self.fail(key, f"{where} must be true or false, found {value!r}")
        else:
            several = key == "bits" or LIMITS[key].several
            numbers = value if several and isinstance(value, list) else [value]
            if several != isinstance(value, list) or not numbers or any(type(n) is not int or n < 1 for n in numbers):
                kind = "a list of whole numbers" if several else "a whole number"
                self.fail(key, f"{where} must be {kind} above 0, found {value!r}")
        return Fact(tuple(value) if isinstance(value, list) else value, source, verified)

    def _check_choice(self, key: str, value: Any, where: str) -> None:
        if key in _CHOICES and not (isinstance(value, str) and value in _CHOICES[key]):
            self.fail(key, f"{where} must be one of {', '.join(_CHOICES[key])}, found {value!r}")


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _known_chips(folder: Path) -> Registry[Chip]:
    """The chips of a folder, each read when it is first used."""
    chips: Registry[Chip] = Registry("chip", hint="or the path of a .toml file")
    for path in sorted(folder.glob("*.toml")):
        chips.add_loader(path.stem, partial(read_chip, path))
    return chips


CHIPS = _known_chips(Path(__file__).parent / "chips")
