"""From a config's names to the objects of a run."""

import importlib
import inspect

import torch
from torch import nn
from torch.optim import Adam, AdamW, Optimizer

import models

from .. import InputError, find_synapses, methods
from .config import Config


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises:
        InputError: not a device, or CUDA is asked for and absent.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"--device {name!r} is no device: take cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device {name!r} is not supported: take cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; take --device cpu"
        )
    return device


def check_names(config: Config) -> None:
    """Find a wrong name before any data set is fetched.

    Raises:
        InputError: unknown model or method.
    """
    methods.find(config.method)
    if ":" not in config.model:
        models.check_name(config.model)


def build_network(config: Config, classes: int) -> nn.Module:
    """The config's network, freshly initialised, on the CPU.

    A factory of the user's own (`package.module:factory`) is called with those of `timesteps`, `neuron` and `classes`
    that it takes; the module that it returns takes images [B, C, H, W] and gives outputs [T, B, classes].

    Raises:
        InputError: unknown model, or a factory that cannot be imported or returns no module with synapses.
    """
    options = {"timesteps": config.timesteps, "neuron": config.neuron, "classes": classes}
    if ":" not in config.model:
        return models.build(config.model, **options)
    module_name, _, attribute = config.model.partition(":")
    try:
        factory = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"--model {config.model} cannot be imported: {error}") from error
    taken = inspect.signature(factory).parameters
    network = factory(**{name: value for name, value in options.items() if name in taken})
    if not isinstance(network, nn.Module):
        raise InputError(f"--model {config.model} returned {type(network).__name__}, a torch module is wanted")
    find_synapses(network)
    return network


def build_optimizer(config: Config, network: nn.Module) -> Optimizer:
    """Adam, or AdamW with weight decay; fused, which is the fastest kind on CPU and CUDA alike."""
    if config.weight_decay:
        return AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    return Adam(network.parameters(), lr=config.lr, fused=True)
