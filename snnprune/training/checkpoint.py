"""Checkpoints: the whole state of a training in one safetensors file. Loading one never runs code from it."""

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import InputError
from ..shapes import check_shapes, shapes_of
from ..storage import read_tensors, write_tensors
from .trainer import Trainer

# Old name -> new name of a part, for files of snnprune 0.1.0 and before.
_RENAMED = {"rewiring": "method"}


def save_checkpoint(path: str | os.PathLike[str], trainer: Trainer) -> None:
    """Write network, optimizer, method, position in the training and random state, atomically.

    Equal states give equal bytes. The network's tensors are stored as `network/<plain name>`.

    Raises:
        InputError: the file cannot be written there.
    """
    optimizer, numbers = _optimizer_tensors(trainer.optimizer)
    parts = {
        "network": trainer.network.state_dict(),
        "optimizer": optimizer,
        "method": trainer.method.state_dict(),
        "progress": {"losses": trainer.losses, "correct": trainer.correct},
        "random": _random_state(trainer.device),
    }
    tensors = {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    position = {"epoch": trainer.epoch, "batch": trainer.batch, "optimizer": numbers}
    if isinstance(trainer.schedule, LRScheduler):
        rates = [float(group["lr"]) for group in trainer.optimizer.param_groups]
        position["schedule"] = {"rates": rates, "state": trainer.schedule.state_dict()}
    write_tensors(path, tensors, kind="checkpoint", metadata=position)


def load_checkpoint(path: str | os.PathLike[str], trainer: Trainer) -> None:
    """Restore the state of a trainer from a file of `save_checkpoint`.

    Raises:
        InputError: no such file, or one that is damaged or of another network or method; the trainer is unchanged.
    """
    tensors, position = read_tensors(path, kind="checkpoint")
    parts: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        part, _, name = key.partition("/")
        parts.setdefault(_RENAMED.get(part, part), {})[name] = tensor
    _check_network(path, parts.get("network", {}), trainer.network)
    if parts["progress"]["losses"].shape != trainer.losses.shape:
        raise InputError(
            f"{path} is of a training with {len(parts['progress']['losses'])} steps an epoch, "
            f"this one has {len(trainer.losses)}: use the same data and batch size"
        )
    if isinstance(trainer.schedule, LRScheduler) != ("schedule" in position):
        raise InputError(f"{path} is of a training with another kind of learning-rate schedule: take the same")
    trainer.method.load_state_dict(parts["method"])
    trainer.network.load_state_dict(parts["network"])
    _load_optimizer(trainer.optimizer, parts.get("optimizer", {}), position["optimizer"])
    if isinstance(trainer.schedule, LRScheduler):
        trainer.schedule.load_state_dict(position["schedule"]["state"])
        for group, rate in zip(trainer.optimizer.param_groups, position["schedule"]["rates"], strict=True):
            group["lr"] = rate
    trainer.losses.copy_(parts["progress"]["losses"])
    trainer.correct.copy_(parts["progress"]["correct"])
    trainer.epoch, trainer.batch = position["epoch"], position["batch"]
    _set_random_state(parts["random"], trainer.device)


def load_network(path: str | os.PathLike[str], network: nn.Module) -> None:
    """Load only a checkpoint's weights into a plain network.

    Raises:
        InputError: no such file, or one that is damaged or of another network; the message says what both have.
    """
    tensors, _ = read_tensors(path, kind="checkpoint")
    prefix = "network/"
    state = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    _check_network(path, state, network)
    network.load_state_dict(state)


def _check_network(path: str | os.PathLike[str], state: Mapping[str, Tensor], network: nn.Module) -> None:
    own = shapes_of(network.state_dict())
    try:
        check_shapes(shapes_of(state), own, what="the file", where=type(network).__name__)
    except InputError as error:
        raise InputError(f"{path} is of another network: {error}") from error


def _optimizer_tensors(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimizer's state into tensors and values for JSON."""
    tensors, numbers = {}, {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            (tensors if isinstance(value, Tensor) else numbers)[f"{index}/{key}"] = value
    return tensors, numbers


def _load_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    plain = optimizer.state_dict()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **numbers}.items():
        index, _, key = name.partition("/")
        parameter = parameters[int(index)]
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            # Fused optimizers need the memory layout of the parameter (channels last), which a file does not keep.
            value = torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": plain["param_groups"]})


def _random_state(device: torch.device) -> dict[str, Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_state(states: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
