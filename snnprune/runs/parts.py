"""From a config's names to the objects of a run."""

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from .. import methods
from ..errors import InputError
from ..synapses import places, probing
from ..training import Data
from .config import Config
from .repository import load_typed, repository_models

# Arguments of a function that may stay empty.
_REST = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def pick_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises:
        InputError: not a device, or CUDA is named and absent.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"--device {name!r} is not a device: take cpu, cuda or cuda:N") from error
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
    find_method(config.method)
    if ":" not in config.model:
        repository_models().check_name(config.model)


def check_goal(config: Config) -> None:
    """Make sure that it is decided how sparse the network becomes.

    In Python some methods have a default for that (Grad R: alpha = 0.01); a script asks, since such a training is
    seldom what was meant.

    Raises:
        InputError: the method can be given a density or something in its place, and neither is given.
    """
    others = find_method(config.method).INSTEAD_OF_DENSITY
    given = {name for name in ("density", "alpha") if getattr(config, name) is not None} | config.options.keys()
    if others and given.isdisjoint(("density", *others)):
        listed = " or ".join("--alpha" if name == "alpha" else f"--option {name}=..." for name in others)
        raise InputError(f"{config.method} needs --density, such as --density 0.05, or {listed}: found neither")


def find_method(name: str) -> type[methods.Method]:
    """As `methods.find`; one of the user's own may lie in the current folder."""
    if ":" in name:
        load_typed(name, "--method")  # from now on the module is known
    return methods.find(name)


def network_factory(named: str) -> Callable[..., nn.Module]:
    """A function of timesteps, neuron and classes that makes a network.

    Args:
        named: a network of the repository, or `package.module:factory` as the user typed it; that is called with those
            of the three that it takes.

    Raises:
        InputError: unknown, or it cannot be imported.
    """
    if ":" not in named:
        return partial(repository_models().build, named)
    factory = load_typed(named, "--model")
    try:
        taken = inspect.signature(factory).parameters
    except (TypeError, ValueError) as error:
        raise InputError(f"--model {named} must be a function that makes a network: {error}") from error
    given = ("timesteps", "neuron", "classes")
    if missing := [n for n, p in taken.items() if n not in given and p.default is p.empty and p.kind not in _REST]:
        raise InputError(f"--model {named} needs {', '.join(missing)}, it is given {', '.join(given)} alone")
    return lambda **options: factory(**{name: value for name, value in options.items() if name in taken})


def build_network(config: Config, classes: int) -> nn.Module:
    """The config's network, freshly initialised, on the CPU.

    It takes images [B, C, H, W] and gives outputs [T, B, classes].

    Raises:
        InputError: as `network_factory`, or a factory that returns no module with synapses.
    """
    try:
        network = network_factory(config.model)(timesteps=config.timesteps, neuron=config.neuron, classes=classes)
    except (RuntimeError, MemoryError, OverflowError) as error:  # such as more weights than there is memory for
        reason, _, _ = str(error).partition("\n")
        raise InputError(f"--model {config.model[:100]} cannot be made: {reason}") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"--model {config.model} must return a torch module, found {type(network).__name__}")
    if not places(network):
        raise InputError(f"{type(network).__name__} has no synapses, and --model must return a network that has some")
    return network


def build_optimizer(config: Config, network: nn.Module) -> Optimizer:
    """Adam, or AdamW with weight decay; fused, which is the fastest kind on CPU and CUDA alike."""
    if config.weight_decay:
        return AdamW(network.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=True)
    return Adam(network.parameters(), lr=config.lr, fused=True)


def example_of(data: Data, network: nn.Module) -> Tensor:
    """One input, as the network takes it."""
    return data.prepare(data.train.images[:1].to(next(network.parameters()).device))


def check_outputs(network: nn.Module, data: Data, name: str) -> None:
    """Find a network that does not fit the data before anything is trained.

    Args:
        network: on its device.
        data: whose inputs it gets.
        name: of the network, for error messages.

    Raises:
        InputError: its forward pass fails, or the outputs are not one for each class.
    """
    images = example_of(data, network)
    shape = "x".join(map(str, data.shape))
    problem = f"{name} does not fit the {shape} inputs and {data.classes} classes of {data.name}"
    with torch.no_grad(), torch.random.fork_rng(), probing(network):
        try:
            outputs = network(images)
        except (RuntimeError, ValueError) as error:
            reason, _, _ = str(error).partition("\n")
            raise InputError(f"{problem}: {reason}") from error
    if not isinstance(outputs, Tensor) or outputs.shape[-2:] != (1, data.classes):
        found = list(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise InputError(
            f"{problem}: outputs must be [T, 1, {data.classes}] or [1, {data.classes}] for one input, found {found}"
        )
