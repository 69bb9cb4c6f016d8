"""What every rewiring method shares: it hangs on the optimizer's step and never changes the network's shape."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..errors import InputError
from ..synapses import Exclude, find_synapses

logger = logging.getLogger(__name__)


class Moved(NamedTuple):
    """A tensor of synapses that the optimizer moves in this step, with its parameter group."""

    name: str
    parameter: nn.Parameter
    group: dict[str, Any]

    @property
    def gradient(self) -> Tensor:
        """Of the loss by the tensor; a method may change it in place."""
        assert self.parameter.grad is not None, "what has no gradient is not moved"
        return self.parameter.grad


class Rewiring(ABC):
    """Decides, step by step, which synapses of a network exist while an optimizer trains it.

    Constructing one hangs it on the optimizer (`register_step_pre_hook` and `register_step_post_hook`); the training
    loop stays as it is. After every step the weight of an absent synapse is exactly 0. The network is never wrapped:
    `network.state_dict()` has its plain keys at any moment.

    A method overrides `_before` and `_after`, which see only parameters that have a gradient, and keeps its tensors in
    `self.state[kind][parameter name]`, its numbers in `self.numbers[name]` (int, or a tensor without dimensions). Both
    run without gradients, read nothing back from a device and have no shapes that depend on data, so that a training
    step can be captured as a CUDA graph; work that is done every so many steps goes into `_update`.

    Args:
        network: any module with synapses (see `find_synapses`).
        optimizer: any torch optimizer that holds them and takes no closure.
        exclude: synapses to leave dense, as in `find_synapses`.

    Raises:
        InputError: no synapses, an optimizer that does not hold them or works with closures, or synapses that
            another rewiring holds already.
    """

    # Kinds of state whose tensors have shapes of their own, and that not every parameter has.
    FREE: ClassVar[tuple[str, ...]] = ()

    def __init__(self, network: nn.Module, optimizer: Optimizer, *, exclude: Exclude = ()) -> None:
        self.parameters = {name: entry.parameter for name, entry in find_synapses(network, exclude=exclude).items()}
        self.optimizer = optimizer
        self.steps = 0
        self.state: dict[str, dict[str, Tensor]] = {}
        self.numbers: dict[str, int | Tensor] = {}
        self._moved: list[Moved] = []
        self._weights: list[Tensor] = []
        self._names = {id(parameter): name for name, parameter in self.parameters.items()}
        self._check_optimizer()
        self._handles = [
            optimizer.register_step_pre_hook(self._pre_hook),
            optimizer.register_step_post_hook(self._post_hook),
        ]

    # --- What a method answers

    @abstractmethod
    def _before(self, moved: Sequence[Moved]) -> None:
        """Called before the optimizer moves these parameters."""

    @abstractmethod
    def _after(self, moved: Sequence[Moved]) -> None:
        """Called after the optimizer moved them; leaves exact zeros where no synapse is."""

    def _abandon(self, moved: Sequence[Moved]) -> None:
        """Called when the optimizer raised between the two (Ctrl-C, out of memory): undo what `_before` did."""
        self._point_back(moved)

    def _point_at(self, moved: Sequence[Moved], hidden: Sequence[Tensor]) -> None:
        """Let the optimizer move these tensors in the place of the weights.

        Nothing is copied: the parameters point at them during the step, and at their own memory otherwise.
        """
        self._weights = [entry.parameter.data for entry in moved]
        for entry, tensor in zip(moved, hidden, strict=True):
            entry.parameter.data = tensor

    def _point_back(self, moved: Sequence[Moved]) -> list[Tensor]:
        """Let the parameters point at the weights' memory again; returns that, or nothing if they do already."""
        weights, self._weights = self._weights, []
        for entry, weight in zip(moved, weights, strict=False):
            entry.parameter.data = weight
        return weights

    def _start(self) -> None:
        """Called once before the first step, when the weights are final: makes the state."""

    def _update(self) -> None:
        """Called after each step, with `self.steps` counted up."""

    def compile(self) -> None:
        """Compile the arithmetic of a step with torch.compile, where there is any; for a compiled training."""

    # --- What everybody may call

    def connectivity(self) -> Connectivity:
        """The synapses that exist now."""
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    def detach(self) -> None:
        """Let go of the optimizer. Weights stay as they are; from now on nothing holds absent synapses at zero."""
        self._clear_up()
        for handle in self._handles:
            handle.remove()

    def finalize(self) -> Connectivity:
        """End the rewiring: detach, forget the state, and return the connectivity of the plain network that is left.

        Warns (in the log) of layers that have no synapse left.
        """
        self.detach()
        connectivity = self.connectivity()
        self.state = {}
        if empty := [name for name, row in connectivity.layers().items() if not row["nonzero"]]:
            logger.warning("no synapse is left in %s: nothing passes through this layer any more", ", ".join(empty))
        return connectivity

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs besides network and optimizer, as named tensors."""
        tensors = {f"{kind}/{name}": tensor for kind, named in self.state.items() for name, tensor in named.items()}
        numbers = {name: torch.as_tensor(value) for name, value in self.numbers.items()}
        return {"steps": torch.tensor(self.steps), **numbers, **tensors}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`; load the network and the optimizer as well.

        Raises:
            InputError: a tensor of another network (both sides are named); nothing is then loaded.
        """
        if "steps" not in state:
            raise InputError(
                f"this is no state of a rewiring: 'steps' is missing, found {', '.join(state) or 'nothing'}"
            )
        loaded: dict[str, dict[str, Tensor]] = {}
        for key, tensor in state.items():
            kind, slash, name = key.partition("/")
            if not slash:
                continue  # a number
            parameter = self.parameters.get(name)
            if parameter is None:
                raise InputError(f"the state holds {name}, the network's synapses are {', '.join(self.parameters)}")
            if kind in self.FREE:
                loaded.setdefault(kind, {})[name] = tensor.clone().to(parameter.device)
                continue
            if parameter.shape != tensor.shape:
                raise InputError(
                    f"the state of {name} has shape {tuple(tensor.shape)}, the network's is {tuple(parameter.shape)}"
                )
            # empty_like keeps the parameter's memory layout (channels last), which a file does not
            loaded.setdefault(kind, {})[name] = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        for kind, named in loaded.items():
            if kind not in self.FREE and (missing := self.parameters.keys() - named.keys()):
                raise InputError(f"the state has no {kind} for {', '.join(sorted(missing))}: it is of another network")
        device = next(iter(self.parameters.values())).device
        numbers = {key: value for key, value in state.items() if "/" not in key}
        self.steps, self.state = int(numbers.pop("steps")), loaded
        self.numbers = {
            key: value.clone().to(device) if value.is_floating_point() else int(value) for key, value in numbers.items()
        }

    def _tell_early(self, total_steps: int, density: float | None) -> None:
        """Warn that a training was stopped before its connectivity had its density."""
        end = "the search ends here" if density is None else f"pruned to density {density:g} at once"
        logger.warning("finalize() after %d of %d steps: %s", self.steps, total_steps, end)

    # --- Hooks

    @torch.no_grad()
    def _pre_hook(self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("closure") is not None or any(callable(argument) for argument in args[1:]):
            raise InputError(
                "optimizer.step(closure) cannot be rewired: the closure would run the network in the middle of a step; "
                "compute the loss first and call optimizer.step()"
            )
        self._clear_up()
        if self.steps == 0 and not self.state:
            self._start()
        self._moved = self._moving()
        self._before(self._moved)

    @torch.no_grad()
    def _post_hook(self, _optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self._after(self._moved)
        self._moved = []
        self.steps += 1
        self._update()

    def _clear_up(self) -> None:
        if self._moved:
            moved, self._moved = self._moved, []
            self._abandon(moved)

    def _moving(self) -> list[Moved]:
        """The synapses that the optimizer moves in this step: those with a gradient."""
        return [
            Moved(self._names[id(parameter)], parameter, group)
            for group in self.optimizer.param_groups
            for parameter in group["params"]
            if id(parameter) in self._names and parameter.grad is not None
        ]

    def _check_optimizer(self) -> None:
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise InputError(
                "LBFGS cannot be rewired: its closure runs the network in the middle of a step; use a first-order "
                "optimizer such as Adam or SGD"
            )
        held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        if missing := [name for name, parameter in self.parameters.items() if id(parameter) not in held]:
            raise InputError(
                f"the optimizer does not hold the network's synapses {', '.join(missing)}: "
                "give it network.parameters(), or name them in exclude"
            )
        for hook in self.optimizer._optimizer_step_pre_hooks.values():
            other = getattr(hook, "__self__", None)
            if isinstance(other, Rewiring) and not other._names.keys().isdisjoint(self._names):
                raise InputError(
                    f"{type(other).__name__} rewires these synapses already: call its detach() or finalize() first"
                )


def prior_step(optimizer: Optimizer, group: dict[str, Any], parameter: nn.Parameter) -> float | Tensor:
    """The step size that a prior's constant force is scaled with, after `parameter` was moved.

    For the Adam family it is lr / (1 - beta1^t), the bias-corrected step of the first moment (as the published Grad R
    code does); for all others it is lr. A tensor only where the optimizer keeps lr or t on a device, so that nothing
    is read back from there.
    """
    lr, betas = group["lr"], group.get("betas")
    count = optimizer.state[parameter].get("step")
    if betas is None or count is None:
        return _plain(lr)
    return _plain(lr) / (1 - _plain(betas[0]) ** _plain(count))


def hold_gradients(moved: Sequence[Moved], masks: Mapping[str, Tensor]) -> None:
    """Take the gradient of absent synapses away, before a step, so that no moment builds up for them.

    Args:
        moved: what the optimizer is about to move.
        masks: parameter name -> 1 or 0, in the parameter's dtype: a product with it is several times as fast as
            filling by a boolean mask.
    """
    for entry in moved:
        entry.gradient.mul_(masks[entry.name])


def hold_weights(moved: Sequence[Moved], masks: Mapping[str, Tensor]) -> None:
    """Set the weight of absent synapses to 0, after a step, whatever the optimizer did; arguments as above."""
    for entry in moved:
        entry.parameter.mul_(masks[entry.name])


def clear_moments(optimizer: Optimizer, parameter: nn.Parameter, mask: Tensor) -> None:
    """Set to zero, where `mask` (1 or 0, the parameter's dtype) is 0, whatever the optimizer remembers of a parameter.

    These are all tensors of its shape: momentum buffers, first and second moments, their maxima.
    """
    for moment in moments_of(optimizer, parameter):
        moment.mul_(mask)


def moments_of(optimizer: Optimizer, parameter: nn.Parameter) -> list[Tensor]:
    """What an optimizer remembers of each element of a parameter: all tensors of its shape."""
    values = optimizer.state.get(parameter, {}).values()
    return [value for value in values if isinstance(value, Tensor) and value.shape == parameter.shape]


def in_memory_order(tensor: Tensor) -> Tensor:
    """A view of a dense tensor's elements in the order in which they lie in memory (channels last, for example)."""
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def forget(optimizer: Optimizer, parameter: nn.Parameter) -> None:
    """Let an optimizer begin anew with a parameter: no moments, no count of steps, as before its first step."""
    optimizer.state.pop(parameter, None)


def _plain(value: float | Tensor) -> float | Tensor:
    """A Python number where that costs no synchronisation."""
    return value.item() if isinstance(value, Tensor) and value.device.type == "cpu" else value
