"""The checks of a checkpoint that is loaded; each raises a ValueError that ends the sentence "FILE ..."."""

import copy
import json
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from ..errors import InputError
from ..storage import parse_json
from .rows import Row, check_rows
from .trainer import Trainer

Parts = dict[str, dict[str, Tensor]]
_PARTS = ("network", "optimizer", "method", "progress", "random")
# Old name -> new name of a part, for files of snnprune 0.1.0 and before.
_RENAMED = {"rewiring": "method"}
_REQUIRED, _OPTIONAL = {"epoch", "batch", "optimizer"}, {"schedule", "config"}


def split_parts(tensors: Mapping[str, Tensor], position: Mapping[str, Any]) -> Parts:
    """Return part -> name -> tensor, each part and nothing else.

    Raises:
        ValueError: an unknown part or entry, or one that is missing.
    """
    parts: Parts = {"optimizer": {}}  # that of plain SGD has no tensors
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(_RENAMED.get(part, part), {})[name] = tensor
    if wrong := sorted(parts.keys() ^ set(_PARTS)):
        raise ValueError(f"is damaged: the part {wrong[0]} is {'unknown' if wrong[0] in parts else 'missing'}")
    if wrong := sorted((position.keys() - _OPTIONAL) ^ _REQUIRED):
        raise ValueError(f"is damaged: the entry {wrong[0]} is {'unknown' if wrong[0] in position else 'missing'}")
    if not isinstance(position["optimizer"], dict):
        raise ValueError("is damaged: the optimizer's numbers are no object")
    return parts


def check_progress(parts: Parts, position: Mapping[str, Any], trainer: Trainer) -> None:
    """Make sure that a training like the trainer's can be where the file says.

    Raises:
        ValueError: another number of steps, or a position, a loss or a count that it cannot have.
    """
    progress, steps = parts["progress"], trainer.steps_per_epoch
    losses, correct = (progress.get(name, torch.empty(0, 0)) for name in ("losses", "correct"))
    if progress.keys() - {"rows"} != {"losses", "correct"} or losses.dim() != 1 or losses.dtype != trainer.losses.dtype:
        raise ValueError("is damaged: its progress must be the losses of an epoch and the correct answers")
    if len(losses) != steps:
        raise ValueError(
            f"is of a training with {len(losses)} steps an epoch, this one has {steps}: use the same data and batch "
            "size"
        )
    epoch, batch, epochs = position["epoch"], position["batch"], trainer.recipe.epochs
    whole = type(epoch) is type(batch) is int
    if not (whole and 0 <= epoch <= epochs and 0 <= batch <= (steps if epoch < epochs else 0)):
        raise ValueError(
            f"stands at epoch {epoch!r}, batch {batch!r}, this training has {epochs} epochs of {steps} batches: take "
            "the checkpoint of this training"
        )
    if not bool(losses.isfinite().all()) or bool((losses[batch:] != 0).any()):
        raise ValueError(f"is damaged: it must hold the losses of {batch} batches, all finite")
    if correct.dtype != torch.int64 or correct.dim() or not 0 <= int(correct) <= batch * trainer.recipe.batch_size:
        raise ValueError(f"is damaged: of {batch} batches {correct.tolist()} answers cannot be correct")
    _check_steps(parts["method"], epoch * steps + batch, trainer)


def rows_of(progress: Mapping[str, Tensor], epochs: int, steps: int) -> list[Row] | None:
    """Return the rows of the epochs that are done; None where the file has none, as those of earlier versions.

    Raises:
        ValueError: rows of another training.
    """
    stored = progress.get("rows")
    if stored is None:
        return None
    if stored.dtype != torch.uint8 or stored.dim() != 1:
        raise ValueError("is damaged: its rows are no text")
    try:
        rows = check_rows(parse_json(bytes(stored.numpy()).decode(), where="it"), where="it")
    except (InputError, UnicodeDecodeError) as error:
        raise ValueError(f"is damaged: its rows cannot be read ({error})") from error
    if len(rows) != epochs or any(row["step"] != row["epoch"] * steps for row in rows):
        raise ValueError(f"is damaged: it must hold the rows of {epochs} epochs of {steps} steps")
    return rows


def restored_schedule(stored: Any, trainer: Trainer) -> dict[str, Any] | None:
    """Return the state for the trainer's torch scheduler; None where its schedule is a function.

    Raises:
        ValueError: the state of another kind of schedule.
    """
    schedule = trainer.schedule
    if isinstance(schedule, LRScheduler) != (stored is not None):
        raise ValueError("is of a training with another kind of learning-rate schedule: take the same")
    if not isinstance(schedule, LRScheduler):
        return None
    rates = stored.get("rates") if isinstance(stored, dict) else None
    groups = len(trainer.optimizer.param_groups)
    if not isinstance(rates, list) or len(rates) != groups or not all(_is_rate(rate) for rate in rates):
        raise ValueError(f"is damaged: it must hold {groups} learning rates, found {rates!r}")
    try:
        return copy.deepcopy(_merged(stored.get("state"), schedule.state_dict(), type(schedule).__name__))
    except TypeError as error:
        raise ValueError(f"is of another learning-rate schedule: {error}") from error


def check_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Make sure that random states can be set.

    Raises:
        ValueError: a state that no generator has.
    """
    if not {"cpu"} <= states.keys() <= {"cpu", "cuda"}:
        raise ValueError(f"is damaged: it must hold the random state of cpu, found {', '.join(states)}")
    for name, state in states.items():
        if name != device.type and name != "cpu":
            continue  # of a GPU, and the training goes on without one
        try:
            torch.Generator(name).set_state(state)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f"is damaged: the random state of {name} is none ({error})") from error


def _check_steps(method: Mapping[str, Tensor], done: int, trainer: Trainer) -> None:
    """Make sure that the method's count of steps is that of the training; it may have had some before."""
    before = trainer.method.steps_done - trainer.steps_done
    steps = method.get("steps")
    if steps is None or steps.numel() != 1 or steps.is_floating_point() or int(steps) != done + before:
        found = "no number" if steps is None or steps.numel() != 1 else steps.item()
        raise ValueError(f"is damaged: its method has done {found} steps, the training {done}")


def _is_rate(rate: Any) -> bool:
    return type(rate) in (int, float) and 0 <= rate < math.inf


def _merged(stored: Any, present: Any, where: str) -> Any:
    """Return a stored value with the types that the present one has: JSON turns keys to text, and tuples to lists.

    Raises:
        TypeError: another kind of value.
    """
    plain = json.loads(json.dumps(present))
    if stored == plain and type(stored) is type(plain):
        return present
    if isinstance(plain, dict) and isinstance(stored, dict) and all(isinstance(key, str) for key in present):
        # Names with an underscore are torch's own business, and differ between its versions.
        if wrong := sorted(key for key in stored.keys() ^ plain.keys() if not key.startswith("_")):
            raise TypeError(f"{where} has no {wrong[0]}" if wrong[0] in stored else f"{where} needs {wrong[0]}")
        return {k: _merged(v, present[k], f"{where}.{k}") if k in plain else v for k, v in stored.items()}
    if isinstance(plain, list) and isinstance(stored, list) and len(plain) == len(stored):
        return type(present)(_merged(*pair, where) for pair in zip(stored, present, strict=True))
    numbers = (int, float)
    if type(stored) is type(plain) and not isinstance(plain, dict | list) and not isinstance(plain, str):
        return stored
    if type(stored) in numbers and type(plain) in numbers:
        return stored
    raise TypeError(f"{where} is {stored!r}, expected such as {plain!r}")
