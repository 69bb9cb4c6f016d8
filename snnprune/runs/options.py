"""Options on a command line from the fields of `Config` and `Runtime`."""

import argparse
import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, NoReturn

from ..errors import InputError, printable
from .config import COMBINATION, Config, Runtime, choices_of, flag, plain_type, read_config_file

_TITLES = {Config: "what decides the result", Runtime: "where and how"}


class Parser(argparse.ArgumentParser):
    """A parser whose messages show what was typed without control characters."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def add_options(parser: argparse.ArgumentParser, *kinds: type, without: Collection[str] = ()) -> None:
    """Give a parser one option for each field; options that are not given are absent from what it returns.

    Args:
        parser: where the options go.
        kinds: `Config` or `Runtime`, or both. With `Config` comes --config, a file of its fields.
        without: fields that this script has no use for.
    """
    for kind in kinds:
        group = parser.add_argument_group(_TITLES[kind])
        if kind is Config:
            text = "a TOML file with keys as in config.json; options that are given count more"
            group.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help=text)
        for entry in fields(kind):
            if entry.name not in without:
                _add_option(group, entry.name, entry.type, entry.default, entry.metadata)


def add_several(parser: Any, name: str, *, default: Sequence[Any] | None = None, **settings: Any) -> None:
    """An option that takes several values, listed or repeated: `--chip A B` or `--chip A --chip B`.

    Args:
        parser: an argparse parser or group.
        name: of the option.
        default: values if it is not given.
        settings: of `add_argument`.
    """
    parser.add_argument(name, nargs="+", action=_Several, default=default, **settings)


class _Several(argparse.Action):
    """Collect values over all uses of the option; unlike argparse's "extend" it does not add to the default."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, [*([] if before is self.default else before), *values])


def config_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a config in a parsed command line: those of its --config file, then its own.

    A combination of criterion, allocation and schedule without a method means the method "pruning".

    Raises:
        InputError: as `read_config_file`.
    """
    chosen = read_config_file(given["config"]) if "config" in given else {}
    chosen |= {entry.name: given[entry.name] for entry in fields(Config) if entry.name in given}
    combined = "method" not in chosen and not chosen.keys().isdisjoint(COMBINATION)
    return chosen | ({"method": "pruning"} if combined else {})


def runtime_of(given: Mapping[str, Any], **defaults: Any) -> Runtime:
    """The `Runtime` in a parsed command line."""
    return Runtime(**defaults | {entry.name: given[entry.name] for entry in fields(Runtime) if entry.name in given})


def _add_option(group: Any, name: str, annotation: Any, default: Any, metadata: Mapping[str, Any]) -> None:
    kind, text = plain_type(annotation), metadata["help"]
    settings: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
    if kind is bool:
        settings |= {"action": "store_true"}
    elif kind is dict:
        settings |= {"dest": name, "action": _Collect, "nargs": "+", "metavar": "NAME=VALUE"}
    else:
        choices = choices_of(annotation)
        shown = "" if default in (None, MISSING) else f" (default: {default})"
        metavar = None if choices else kind.__name__.upper()
        settings |= {"type": kind, "choices": choices, "metavar": metavar, "help": text + shown}
    group.add_argument(flag(name), **settings)


class _Collect(argparse.Action):
    """Collect NAME=VALUE in a dictionary; a value is JSON where it can be read as that, else text."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        from ..storage import parse_json  # for such an option alone: it imports torch

        collected = dict(getattr(namespace, self.dest, {}))
        pairs: Sequence[str] = values
        for pair in pairs:
            name, equals, value = pair.partition("=")
            if not (name and equals):
                parser.error(f"{option_string} must be NAME=VALUE, found {pair!r}")
            with contextlib.suppress(InputError):
                value = parse_json(value, where=name)
            collected[name] = value
        setattr(namespace, self.dest, collected)
