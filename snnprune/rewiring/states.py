"""What a rewiring is saved as: named tensors, and the checks when they come back."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError


class Origin(NamedTuple):
    """Whose state it is: the name of the method's class, and the density that is asked for, if any."""

    method: str
    density: float | None


class State(NamedTuple):
    """Steps done; kind -> parameter name -> tensor; and name -> number."""

    steps: int
    tensors: dict[str, dict[str, Tensor]]
    numbers: dict[str, int | Tensor]


def pack(origin: Origin, state: State) -> dict[str, Tensor]:
    """All of it as tensors with plain names, as a file takes them."""
    tensors = {f"{kind}/{name}": tensor for kind, named in state.tensors.items() for name, tensor in named.items()}
    return {
        "method": torch.tensor(list(origin.method.encode()), dtype=torch.uint8),
        "density": torch.tensor(origin.density or 0.0, dtype=torch.float64),
        "steps": torch.tensor(state.steps),
        **{name: torch.as_tensor(value) for name, value in state.numbers.items()},
        **tensors,
    }


def unpack(
    packed: Mapping[str, Tensor], origin: Origin, parameters: Mapping[str, nn.Parameter], free: Collection[str]
) -> State:
    """What was packed, in new memory that lies as the parameters' does.

    Args:
        packed: of `pack`.
        origin: of the rewiring that goes on with it.
        parameters: name -> its synapses.
        free: kinds of tensors that have shapes of their own, and that not every parameter has.

    Raises:
        InputError: something else, the state of another method or density, or tensors of another network.
    """
    _check_origin(packed, origin)
    tensors: dict[str, dict[str, Tensor]] = {}
    for key, tensor in packed.items():
        kind, slash, name = key.partition("/")
        if not slash:
            continue  # a number
        if name not in parameters:
            raise InputError(f"the state holds {name}, the network's synapses are {', '.join(parameters)}")
        tensors.setdefault(kind, {})[name] = _own(tensor, name, parameters[name], free=kind in free)
    for kind, named in tensors.items():
        if kind not in free and (missing := parameters.keys() - named.keys()):
            raise InputError(f"the state has no {kind} for {', '.join(sorted(missing))}: it is of another network")
    device = next(iter(parameters.values())).device
    numbers = {
        key: value.clone().to(device) if value.is_floating_point() else int(value)
        for key, value in packed.items()
        if "/" not in key and key not in ("method", "density", "steps")
    }
    return State(int(packed["steps"]), tensors, numbers)


def _own(tensor: Tensor, name: str, parameter: nn.Parameter, *, free: bool) -> Tensor:
    if free:
        return tensor.clone().to(parameter.device)
    if parameter.shape != tensor.shape:
        raise InputError(
            f"the state of {name} has shape {tuple(tensor.shape)}, the network's is {tuple(parameter.shape)}"
        )
    # empty_like keeps the parameter's memory layout (channels last), which a file does not
    return torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def _check_origin(packed: Mapping[str, Tensor], origin: Origin) -> None:
    for wanted in ("method", "density", "steps"):
        if wanted not in packed:
            raise InputError(
                f"this is no state of a rewiring: {wanted!r} is missing, found {', '.join(packed) or 'nothing'}"
            )
    method, density = bytes(packed["method"].tolist()).decode(errors="replace"), float(packed["density"])
    found = Origin(method, density or None)
    if found.method != origin.method:
        raise InputError(f"the state is of {found.method}, this rewiring is {origin.method}")
    if found.density != origin.density:
        saved, wanted = ("no density" if d is None else f"density {d:g}" for d in (found.density, origin.density))
        raise InputError(f"the state is of a training to {saved}, this one is to {wanted}")
