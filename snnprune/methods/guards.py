"""Checks of the optimizer, of a step, and of the network that a method belongs to."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ..errors import InputError
from ..synapses import Exclude, find_synapses


def refuse_inference_mode() -> None:
    """Make sure that tensors can be changed later: those made in inference mode cannot.

    Raises:
        InputError: torch.inference_mode() is on.
    """
    if torch.is_inference_mode_enabled():
        raise InputError("a method cannot be used in torch.inference_mode(): make and train it outside")


def check_trainable(network: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
    """Make sure that a network can be trained by a method.

    Args:
        network: any module.
        parameters: name -> its synapses.

    Raises:
        InputError: inference mode, parameters that were made in it, or synapses on several devices.
    """
    refuse_inference_mode()
    if frozen := [name for name, parameter in network.named_parameters() if parameter.is_inference()]:
        raise InputError(
            f"{', '.join(frozen[:3])} cannot be trained, made in torch.inference_mode(): make the network outside"
        )
    devices = dict.fromkeys(str(parameter.device) for parameter in parameters.values())
    if len(devices) > 1:
        raise InputError(
            f"the synapses are on several devices, {', '.join(devices)}: move them to one, or exclude the others"
        )


def check_optimizer(optimizer: Any, parameters: Mapping[str, nn.Parameter]) -> None:
    """Make sure that an optimizer can train these weights under a method.

    Raises:
        InputError: it needs closures, maximizes, or does not hold the weights.
    """
    if isinstance(optimizer, torch.optim.LBFGS):
        raise InputError(
            "LBFGS cannot be used with a method: its closure runs the network in the middle of a step; use a "
            "first-order optimizer such as Adam or SGD"
        )
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise InputError("an optimizer with maximize=True cannot be used with a method: minimize the negative")
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if missing := [name for name, parameter in parameters.items() if id(parameter) not in held]:
        raise InputError(
            f"the optimizer does not hold the network's synapses {', '.join(missing)}: "
            "give it network.parameters(), or name them in exclude"
        )


def check_step(optimizer: Optimizer, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Make sure that a step is one that a method can follow.

    Args:
        optimizer: whose step it is.
        args: of `optimizer.step`, the optimizer first.
        kwargs: of `optimizer.step`.

    Raises:
        InputError: inference mode, a step with a closure, or one that a GradScaler may skip inside a fused kernel.
    """
    refuse_inference_mode()
    if kwargs.get("closure") is not None or any(callable(argument) for argument in args[1:]):
        raise InputError(
            "optimizer.step(closure) cannot be used with a method: the closure would run the network in the middle "
            "of a step; call backward() first, then optimizer.step()"
        )
    if getattr(optimizer, "found_inf", None) is not None:
        raise InputError(
            "GradScaler lets a fused optimizer skip a step, which a method cannot detect: make the optimizer with "
            "fused=False, or train in bf16, which needs no scaler"
        )


class SameNetwork:
    """Check that a network still has the weights that a method was made for, and of their kind.

    Args:
        network: the network.
        exclude: synapses that the method leaves out.
        parameters: name -> weight, as found when the method was made.
    """

    def __init__(self, network: nn.Module, exclude: Exclude, parameters: Mapping[str, nn.Parameter]) -> None:
        self.network = network
        self.exclude = exclude
        self.parameters = parameters
        self._kinds: dict[str, tuple[Any, ...]] = {}
        self._remember_modules()

    def _remember_modules(self) -> None:
        self._modules = _identities(self.network)
        found = find_synapses(self.network, exclude=self.exclude)
        self._places = [(entry.module, entry.attribute, entry.parameter) for entry in found.values()]

    def remember_kinds(self) -> None:
        """Note shapes, dtypes and devices, which must not change from now on."""
        self._kinds = {name: _kind(parameter) for name, parameter in self.parameters.items()}

    def check(self, what: str) -> None:
        """Make sure that synapses, shapes, dtypes and devices are as they were.

        Args:
            what: name of the method, for the message.

        Raises:
            InputError: a layer was added, removed or replaced, or weights were converted or moved after the first step;
                the message names both sides.
        """
        # Quick: the same modules with the same weights; only otherwise the synapses are looked for again.
        same = all(module._parameters.get(name) is parameter for module, name, parameter in self._places)
        if not same or _identities(self.network) != self._modules:
            self._check_synapses(what)
        for name, kind in self._kinds.items():
            if (now := _kind(self.parameters[name])) != kind:
                raise InputError(
                    f"{name} is {_shown(now)} now and was {_shown(kind)} when {what} began: convert or move a network "
                    "before its first step"
                )

    def _check_synapses(self, what: str) -> None:
        found = {name: entry.parameter for name, entry in find_synapses(self.network, exclude=self.exclude).items()}
        lists = {
            "new": [name for name in found if name not in self.parameters],
            "gone": [name for name in self.parameters if name not in found],
            "replaced": [
                name for name, p in found.items() if name in self.parameters and p is not self.parameters[name]
            ],
        }
        if changes := [f"{', '.join(names)} {kind}" for kind, names in lists.items() if names]:
            raise InputError(
                f"the network has changed since {what} was made: {'; '.join(changes)} "
                f"(then {', '.join(self.parameters)}; now {', '.join(found)}): "
                "make the method, and its optimizer, when the network is complete"
            )
        self._remember_modules()


def _identities(network: nn.Module) -> list[int]:
    """Return what tells modules apart; a tenth of the time of `network.modules()`, since it is asked at each step."""
    found, waiting = [], [network]
    while waiting:
        module = waiting.pop()
        found.append(id(module))
        waiting.extend(child for child in module._modules.values() if child is not None)
    return found


def _kind(parameter: nn.Parameter) -> tuple[Any, ...]:
    return tuple(parameter.shape), parameter.dtype, parameter.device


def _shown(kind: tuple[Any, ...]) -> str:
    shape, dtype, device = kind
    return f"{dtype} {list(shape)} on {device}"
