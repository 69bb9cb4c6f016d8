"""The rows of `metrics.jsonl`, one for each epoch, checked when they are read."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..storage import MissingFile, json_text, parse_json, read_text

Row = dict[str, Any]
_LIMIT = 32_000_000  # bytes of a file; 150,000 epochs
# Entry -> smallest and largest value.
_RANGES = {
    "epoch": (1, math.inf),
    "step": (1, math.inf),
    "train_loss": (-math.inf, math.inf),
    "train_accuracy": (0, 1),
    "density": (0, 1),
    "evaluation_accuracy": (0, 1),
    "seconds": (0, math.inf),
}
_WHOLE = ("epoch", "step")
_OPTIONAL = {"evaluation_accuracy"}
# Differs between two trainings that are otherwise equal.
_TIME = "seconds"


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file; none where there is no file. A last line that was cut off is left out.

    Raises:
        InputError: a line that is no row of its epoch; the message names it.
    """
    try:
        text = read_text(path, limit=_LIMIT)
    except MissingFile:
        return []
    *lines, last = text.split("\n")
    rows = [_read_row(line, number, path) for number, line in enumerate(lines, 1)]
    try:
        return [*rows, _read_row(last, len(rows) + 1, path)] if last else rows
    except InputError:
        return rows  # a line is complete only with its end: the process was killed while it wrote this one


def check_rows(content: Any, *, where: str) -> list[Row]:
    """Return rows without their times, as a checkpoint holds them.

    Raises:
        InputError: no list of the rows of all epochs from the first on.
    """
    if not isinstance(content, list):
        raise InputError(f"{where} must be a list of rows, found {type(content).__name__}")
    return [timeless(_check_row({_TIME: None, **_mapping(row)}, epoch)) for epoch, row in enumerate(content, 1)]


def timeless(row: Mapping[str, Any]) -> Row:
    """Return a row without what differs between two equal trainings."""
    return {name: value for name, value in row.items() if name != _TIME}


def restored(path: Path, *, epochs: int, known: Sequence[Row] | None) -> list[Row]:
    """Return the rows of the epochs that are done, from a file and from a checkpoint.

    Args:
        path: `metrics.jsonl`; rows of later epochs are left out, missing ones are taken from the checkpoint.
        epochs: that the checkpoint has done.
        known: its rows; None: it has none, it was written by an earlier version.

    Raises:
        InputError: a damaged row, one that differs from that of the checkpoint, or one that neither has.
    """
    rows = read_rows(path)[:epochs]
    for number, (row, expected) in enumerate(zip(rows, known or (), strict=False), 1):
        if timeless(row) != expected:
            raise InputError(
                f"{path}, line {number}: the row is not that of the checkpoint; remove the file, and it is restored"
            )
    rows += [{**row, _TIME: None} for row in (known or ())[len(rows) :]]
    if len(rows) < epochs:
        raise InputError(
            f"{path} has {len(rows)} rows, the checkpoint has done {epochs} epochs: restore the file from another copy"
        )
    return rows


def as_lines(rows: Sequence[Mapping[str, Any]], *, where: str) -> str:
    """Return rows as the text of a file."""
    return "".join(f"{json_text(row, where=where)}\n" for row in rows)


def _read_row(line: str, number: int, path: Path) -> Row:
    try:
        return _check_row(_mapping(parse_json(line, where="it")), number)
    except InputError as error:
        raise InputError(
            f"{path}, line {number}, is no row of epoch {number} ({error}): remove the file, and --resume restores it"
        ) from error


def _mapping(row: Any) -> Row:
    if not isinstance(row, dict):
        raise InputError(f"it is a {type(row).__name__}, expected an object")
    return row


def _check_row(row: Row, epoch: int) -> Row:
    if unknown := sorted(row.keys() - _RANGES.keys()):
        raise InputError(f"unknown entry {unknown[0]}: known are {', '.join(_RANGES)}")
    if missing := sorted(_RANGES.keys() - _OPTIONAL - row.keys()):
        raise InputError(f"{missing[0]} is missing")
    for name, value in row.items():
        low, high = _RANGES[name]
        whole = type(value) is int or (type(value) is float and name not in _WHOLE)
        if not (whole and low <= value <= high) and not (value is None and name == _TIME):
            raise InputError(f"{name} is {value!r}")
    if row["epoch"] != epoch:
        raise InputError(f"epoch is {row['epoch']}, expected {epoch}")
    return row
