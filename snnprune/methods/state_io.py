"""The saved state of a method as named tensors, and the checks of a state that is loaded."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..shapes import check_shapes, shapes_of

# Version of the layout of a saved state. Version 0, of snnprune 0.1.0 and before, has neither "version" nor "phase".
VERSION = 1
# Keys that describe the state itself; all others without a slash are the method's numbers.
_OWN_KEYS = ("version", "method", "density", "steps", "phase")


class Origin(NamedTuple):
    """Origin of a state: the name of the method's class, and its target density, if any."""

    method: str
    density: float | None


class State(NamedTuple):
    """The state of a method.

    Attributes:
        steps_done: optimizer steps so far.
        phase: name of the phase; "" if the file does not contain it.
        tensors: kind -> parameter name -> tensor.
        numbers: name -> number.
    """

    steps_done: int
    phase: str
    tensors: dict[str, dict[str, Tensor]]
    numbers: dict[str, int | Tensor]


def pack(origin: Origin, state: State) -> dict[str, Tensor]:
    """Return a state as one mapping of named tensors, ready for a file."""
    tensors = {f"{kind}/{name}": tensor for kind, named in state.tensors.items() for name, tensor in named.items()}
    return {
        "version": torch.tensor(VERSION),
        "method": _from_text(origin.method),
        "density": torch.tensor(origin.density or 0.0, dtype=torch.float64),
        "steps": torch.tensor(state.steps_done),
        "phase": _from_text(state.phase),
        **{name: torch.as_tensor(value) for name, value in state.numbers.items()},
        **tensors,
    }


def unpack(
    packed: Mapping[str, Tensor],
    origin: Origin,
    parameters: Mapping[str, nn.Parameter],
    free_kinds: Collection[str],
    renamed_kinds: Mapping[str, str],
) -> State:
    """Return the state of a mapping made by `pack`, in new memory with the layout of the parameters.

    Args:
        packed: as `pack` returns it.
        origin: of the method that the state is loaded into.
        parameters: name -> synapses of that method.
        free_kinds: kinds whose tensors may have any shape, and may be missing for some parameters.
        renamed_kinds: old name -> new name of kinds, for states of version 0.

    Raises:
        InputError: not a state, a newer version, the state of another method or density, or tensors of another network.
    """
    _check_origin(packed, origin)
    stored: dict[str, dict[str, Tensor]] = {}
    for key, tensor in packed.items():
        kind, slash, name = key.partition("/")
        if slash:  # all other tensors are numbers
            stored.setdefault(renamed_kinds.get(kind, kind), {})[name] = tensor
    tensors: dict[str, dict[str, Tensor]] = {}
    for kind, named in stored.items():
        free = kind in free_kinds
        expected = {name: named[name] for name in named if name in parameters} if free else parameters
        check_shapes(shapes_of(named), shapes_of(expected), what=f"the state {kind!r}", where="the network")
        tensors[kind] = {name: _as_parameter(tensor, parameters[name], free=free) for name, tensor in named.items()}
    device = next(iter(parameters.values())).device
    numbers = {
        key: value.clone().to(device) if value.is_floating_point() else int(value)
        for key, value in packed.items()
        if "/" not in key and key not in _OWN_KEYS
    }
    phase = _to_text(packed["phase"]) if "phase" in packed else ""
    return State(int(packed["steps"]), phase, tensors, numbers)


def _as_parameter(tensor: Tensor, parameter: nn.Parameter, *, free: bool) -> Tensor:
    if free:
        return tensor.clone().to(parameter.device)
    # empty_like keeps the parameter's memory layout (channels last), which a file does not
    return torch.empty_like(parameter, dtype=tensor.dtype, requires_grad=False).copy_(tensor)


def _check_origin(packed: Mapping[str, Tensor], origin: Origin) -> None:
    for key in ("method", "density", "steps"):
        if key not in packed:
            raise InputError(
                f"this is not the state of a method: {key!r} is missing, found {', '.join(packed) or 'nothing'}"
            )
    if (version := int(packed.get("version", torch.tensor(0)))) > VERSION:
        raise InputError(
            f"the state has version {version}, this snnprune reads up to version {VERSION}: install a newer snnprune"
        )
    found = Origin(_to_text(packed["method"]), float(packed["density"]) or None)
    if found.method != origin.method:
        raise InputError(
            f"the state is of {found.method}, this method is {origin.method}: load it into the same method"
        )
    if found.density != origin.density:
        saved, expected = ("no density" if d is None else f"density {d:g}" for d in (found.density, origin.density))
        raise InputError(f"the state is of a training to {saved}, this one is to {expected}: give the same density")


def _from_text(text: str) -> Tensor:
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def _to_text(codes: Tensor) -> str:
    return bytes(codes.tolist()).decode(errors="replace")
