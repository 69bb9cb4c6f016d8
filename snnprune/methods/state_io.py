"""The saved state of a method as named tensors, and the checks of a state that is loaded."""

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..shapes import check_shapes, shapes_of
from .given import different_options, to_json

# Version of the layout of a saved state. Version 0, of snnprune 0.1.0 and before, has neither "version" nor "phase";
# version 1 has no "options".
VERSION = 2
# Keys that describe the state itself; all others without a slash are the method's numbers.
_OWN_KEYS = ("version", "method", "density", "steps", "phase", "options")
# Kinds of state with few values.
_VALUES = {"mask": (0, 1), "present": (0, 1), "sign": (-1, 0, 1)}


class Origin(NamedTuple):
    """Origin of a state: the name of the method's class, its target density, if any, and its other plain options."""

    method: str
    density: float | None
    options: Mapping[str, Any]


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
        "version": torch.tensor(VERSION, device="cpu"),
        "method": _from_text(origin.method),
        "density": torch.tensor(origin.density or 0.0, dtype=torch.float64, device="cpu"),
        **({"options": _from_text(to_json(origin.options))} if origin.options else {}),
        "steps": torch.tensor(state.steps_done, device="cpu"),
        "phase": _from_text(state.phase),
        **{
            name: value if isinstance(value, Tensor) else torch.tensor(value, device="cpu")
            for name, value in state.numbers.items()
        },
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
        InputError: not a state, a newer version, the state of another method, density or option, tensors of another
            network, or values that no method writes.
    """
    _check_types(packed)
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
        _check_values(kind, named)
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


# --- Checks


def _check_types(packed: Mapping[str, Tensor]) -> None:
    """Make sure that every entry is a tensor of the kind that its key says."""
    if not isinstance(packed, Mapping):
        raise InputError(f"the state of a method must be a mapping of tensors, found {type(packed).__name__}")
    for key in ("method", "density", "steps"):
        if key not in packed:
            found = ", ".join(map(str, packed)) or "nothing"
            raise InputError(f"this is not the state of a method: {key!r} is missing, found {found}")
    for key, value in packed.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"the state of a method must hold tensors by name, found {value!r:.80} as {key!r:.80}")
        text = key in ("method", "phase", "options")
        plain = value.dtype == torch.uint8 and value.dim() == 1 if text else "/" in key or value.dim() == 0
        finite = value.dim() > 0 or not value.is_floating_point() or bool(value.isfinite())
        if not plain or not finite or value.is_complex() or value.is_meta:
            raise InputError(f"{key} of the state cannot be {value.dtype} of shape {tuple(value.shape)}")
    if int(packed["steps"]) < 0 or packed["steps"].is_floating_point():
        raise InputError(f"steps of the state must be 0 or more, found {packed['steps'].item()}")


def _check_values(kind: str, tensors: Mapping[str, Tensor]) -> None:
    """Make sure that values are finite, and for masks and signs among the few that there are."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise InputError(f"the state {kind!r} of {name} must be floating point, found {tensor.dtype}")
        if not bool(tensor.isfinite().all()):
            raise InputError(f"the state {kind!r} of {name} is not finite (nan or infinity)")
        if kind in _VALUES:
            known = torch.stack([tensor == value for value in _VALUES[kind]]).any(0)
            if not bool(known.all()):
                listed = " or ".join(map(str, _VALUES[kind]))
                raise InputError(f"the state {kind!r} of {name} must be {listed} everywhere, found other values")


def _check_origin(packed: Mapping[str, Tensor], origin: Origin) -> None:
    if (version := int(packed.get("version", 0))) > VERSION:
        raise InputError(
            f"the state has version {version}, this snnprune reads up to version {VERSION}: install a newer snnprune"
        )
    found = Origin(_to_text(packed["method"]), float(packed["density"]) or None, _options(packed))
    if found.method != origin.method:
        raise InputError(
            f"the state is of {found.method}, this method is {origin.method}: load it into the same method"
        )
    if found.density != origin.density:
        saved, expected = ("no density" if d is None else f"density {d:g}" for d in (found.density, origin.density))
        raise InputError(f"the state is of a training to {saved}, this one is to {expected}: give the same density")
    if different := different_options(found.options, origin.options):
        pairs = ", ".join(f"{name} {saved!r} (here {own!r})" for name, saved, own in different)
        raise InputError(f"the state is of {found.method} with {pairs}: make the method with the same options")


def _options(packed: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the options in a state; none in those of earlier versions."""
    if "options" not in packed:
        return {}
    try:
        options = json.loads(_to_text(packed["options"]))
    except (ValueError, RecursionError) as error:
        raise InputError(f"the options of the state are damaged ({error}): use another copy") from error
    if not isinstance(options, dict):
        raise InputError(f"the options of the state must be an object, found {type(options).__name__}")
    return options


def _from_text(text: str) -> Tensor:
    return torch.tensor(list(text.encode()), dtype=torch.uint8, device="cpu")


def _to_text(codes: Tensor) -> str:
    return bytes(codes.tolist()).decode(errors="replace")
