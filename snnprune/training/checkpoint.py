"""Checkpoints: the whole state of a training in one safetensors file. Loading one never runs code from it."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from ..errors import InputError
from ..shapes import check_shapes, shapes_of
from ..storage import canonical_json, read_tensors, write_tensors
from .checkpoint_checks import check_progress, check_random_state, restored_schedule, rows_of, split_parts
from .optimizer_state import join_state, load_state, split_state
from .rows import Row, timeless
from .trainer import Trainer


def save_checkpoint(
    path: str | os.PathLike[str],
    trainer: Trainer,
    *,
    config: Mapping[str, Any] | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Write network, optimizer, method, position in the training and random state, atomically.

    Equal states give equal bytes. The network's tensors are stored as `network/<plain name>`.

    Args:
        path: the file to replace.
        trainer: between two steps.
        config: of the run, plain values; its digest is stored, so that a resumed run cannot have another.
        rows: of the epochs that are done, as `Trainer.finish_epoch` returns them; stored without their `seconds`.

    Raises:
        InputError: the file cannot be written there.
    """
    optimizer, numbers = split_state(trainer.optimizer)
    progress = {"losses": trainer.losses, "correct": trainer.correct}
    if rows is not None:
        text = json.dumps([timeless(row) for row in rows], allow_nan=False)
        progress["rows"] = torch.tensor(list(text.encode()), dtype=torch.uint8)
    parts = {
        "network": trainer.network.state_dict(),
        "optimizer": optimizer,
        "method": trainer.method.state_dict(),
        "progress": progress,
        "random": _random_state(trainer.device),
    }
    tensors = {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    position: dict[str, Any] = {"epoch": trainer.epoch, "batch": trainer.batch, "optimizer": numbers}
    if config is not None:
        position["config"] = _digest(config)
    if isinstance(trainer.schedule, LRScheduler):
        rates = [float(group["lr"]) for group in trainer.optimizer.param_groups]
        position["schedule"] = {"rates": rates, "state": trainer.schedule.state_dict()}
    write_tensors(path, tensors, kind="checkpoint", metadata=position)


def load_checkpoint(
    path: str | os.PathLike[str], trainer: Trainer, *, config: Mapping[str, Any] | None = None
) -> list[Row] | None:
    """Restore the state of a trainer from a file of `save_checkpoint`.

    Args:
        path: of the file.
        trainer: with network, optimizer, method, data and recipe as they were.
        config: of the run; its digest must be that in the file, if that has one.

    Returns:
        the rows of the epochs that are done, without `seconds`; None where the file has none.

    Raises:
        InputError: no such file, or one that is damaged, of another network, method or config, or with a state that no
            training can have; the trainer is unchanged.
    """
    tensors, position = read_tensors(path, kind="checkpoint")
    try:
        parts = split_parts(tensors, position)
        _check_network(parts["network"], trainer.network)
        check_progress(parts, position, trainer)
        _check_config(position, config)
        rows = rows_of(parts["progress"], position["epoch"], trainer.steps_per_epoch)
        states = join_state(parts["optimizer"], position["optimizer"], trainer.optimizer)
        schedule = restored_schedule(position.get("schedule"), trainer)
        check_random_state(parts["random"], trainer.device)
        _load_method(trainer, parts["method"])
    except ValueError as error:
        raise InputError(f"{path} {error}") from error
    trainer.network.load_state_dict(parts["network"])
    load_state(trainer.optimizer, states)
    if schedule is not None and isinstance(trainer.schedule, LRScheduler):
        trainer.schedule.load_state_dict(schedule)
        for group, rate in zip(trainer.optimizer.param_groups, position["schedule"]["rates"], strict=True):
            group["lr"] = rate
    trainer.losses.copy_(parts["progress"]["losses"])
    trainer.correct.copy_(parts["progress"]["correct"])
    trainer.epoch, trainer.batch = position["epoch"], position["batch"]
    _set_random_state(parts["random"], trainer.device)
    return rows


def load_network(path: str | os.PathLike[str], network: nn.Module) -> None:
    """Load only a checkpoint's weights into a plain network.

    Raises:
        InputError: no such file, or one that is damaged, of another network (the message says what both have), or with
            weights that are not finite; the network is unchanged.
    """
    tensors, _ = read_tensors(path, kind="checkpoint")
    prefix = "network/"
    state = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    try:
        _check_network(state, network, dtypes=False)
    except ValueError as error:
        raise InputError(f"{path} {error}") from error
    network.load_state_dict(state)


def check_config(path: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
    """Make sure that a config is that of the training whose checkpoint this is; earlier versions wrote no digest.

    Raises:
        InputError: another config, no such file, or one that is damaged.
    """
    _, position = read_tensors(path, kind="checkpoint")
    try:
        _check_config(position, config)
    except ValueError as error:
        raise InputError(f"{path} {error}") from error


def _check_config(position: Mapping[str, Any], config: Mapping[str, Any] | None) -> None:
    if config is not None and position.get("config", _digest(config)) != _digest(config):
        raise ValueError(
            "is of a run with another config: config.json was changed since, undo that or start in another --out"
        )


def _digest(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(config).encode()).hexdigest()


def _check_network(state: Mapping[str, Tensor], network: nn.Module, *, dtypes: bool = True) -> None:
    own = network.state_dict()
    try:
        check_shapes(shapes_of(state), shapes_of(own), what="the file", where=type(network).__name__)
    except InputError as error:
        raise ValueError(f"is of another network: {error}") from error
    for name, tensor in state.items():
        right = tensor.dtype == own[name].dtype if dtypes else torch.can_cast(tensor.dtype, own[name].dtype)
        if not right:
            raise ValueError(f"is of another network: {name} is {tensor.dtype}, expected {own[name].dtype}")
    trained = {name for name, _ in network.named_parameters(remove_duplicate=False)}
    if bad := [name for name in state if name in trained and not bool(state[name].isfinite().all())]:
        raise ValueError(f"holds weights that are not finite, in {', '.join(bad)}: use an earlier copy")


def _load_method(trainer: Trainer, state: Mapping[str, Tensor]) -> None:
    """Load the method's state, after everything else was checked; it checks that itself."""
    before = {name: tensor.clone() for name, tensor in trainer.method.state_dict().items()}
    try:
        trainer.method.load_state_dict(state)
    except Exception as error:
        trainer.method.load_state_dict(before)
        if isinstance(error, InputError):
            raise ValueError(f"does not fit the method: {error}") from error
        raise ValueError(f"holds a state that {type(trainer.method).__name__} cannot load ({error!r})") from error


def _random_state(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
