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
from .checks import check_share, check_steps
from .states import Origin, State, pack, unpack

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
    run without gradients, read nothing back from a device and have no shapes that depend on data, so that a GPU never
    waits for Python; work that is done every so many steps goes into `_update`. What is left to do when a training is
    stopped early goes into `_finish`, and where `weight != 0` does not say what exists, `_existing` does.

    Args:
        network: any module with synapses (see `find_synapses`).
        optimizer: any torch optimizer that holds them, minimizes, and takes no closure.
        density: share of the synapses to end with, in (0, 1], if one is asked for.
        steps: optimizer steps of the whole training, if the method asks for them.
        exclude: synapses to leave dense, as in `find_synapses`.

    Raises:
        InputError: no synapses, an optimizer that does not hold them, maximizes, or works with closures, synapses that
            another rewiring holds already, or a density that leaves none.
    """

    # Kinds of state whose tensors have shapes of their own, and that not every parameter has.
    FREE: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: float | None = None,
        steps: int | None = None,
        exclude: Exclude = (),
    ) -> None:
        if not isinstance(optimizer, Optimizer):
            raise InputError(f"a torch optimizer is wanted, found {type(optimizer).__name__}")
        self.parameters = {name: entry.parameter for name, entry in find_synapses(network, exclude=exclude).items()}
        self.optimizer, self._asked, self._length = optimizer, density, steps
        self.steps = 0
        self.state: dict[str, dict[str, Tensor]] = {}
        self.numbers: dict[str, int | Tensor] = {}
        self._ended: Connectivity | None = None
        self._moved: list[Moved] = []
        self._weights: list[Tensor] = []
        self._names = {id(parameter): name for name, parameter in self.parameters.items()}
        self._check_optimizer()
        self._check_density()
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

    def _finish(self) -> None:
        """Called once at the end: what is still to be done in a training that was stopped early."""

    def _existing(self) -> Connectivity:
        """The synapses that exist now, between two steps."""
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    def compile(self) -> None:
        """Compile the arithmetic of a step with torch.compile, where there is any; for a compiled training."""

    def _full(self, value: float, *, precise: bool = False) -> dict[str, Tensor]:
        """A tensor like each of the parameters, full of this value; in float32 at least if it must be `precise`."""
        return {
            name: torch.full_like(
                parameter,
                value,
                dtype=torch.promote_types(parameter.dtype, torch.float32) if precise else parameter.dtype,
                requires_grad=False,
            )
            for name, parameter in self.parameters.items()
        }

    # --- What everybody may call

    def connectivity(self) -> Connectivity:
        """The synapses that exist now; after `finalize` those that were left."""
        if self._ended is not None:
            return self._ended
        self._clear_up()
        return self._existing()

    def detach(self) -> None:
        """Let go of the optimizer. Weights stay as they are; from now on nothing holds absent synapses at zero."""
        self._clear_up()
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def finalize(self) -> Connectivity:
        """End the rewiring: detach, forget the state, and return the connectivity of the plain network that is left.

        A training that was stopped before its connectivity had its density is brought to it now, which costs accuracy.
        Warns (in the log) of that, and of layers that have no synapse left. A second call changes nothing.
        """
        if self._ended is None:
            self.detach()  # first of all: a step that was interrupted left the parameters pointing elsewhere
            if self.steps == 0 and not self.state:
                self._start()
            self._finish()
            self._ended, self.state = self._existing(), {}
            if empty := [name for name, row in self._ended.layers().items() if not row["nonzero"]]:
                logger.warning("no synapse is left in %s: nothing passes through this layer any more", ", ".join(empty))
        return self._ended

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs besides network and optimizer, as named tensors.

        Raises:
            InputError: `finalize` has ended it.
        """
        if self._ended is not None:
            raise InputError("this rewiring was ended by finalize(): there is nothing left to go on with")
        self._clear_up()
        return pack(self._origin, State(self.steps, self.state, self.numbers))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`; load the network and the optimizer as well.

        Raises:
            InputError: the state of another method, of another density, or a tensor of another network (both sides are
                named); nothing is then loaded.
        """
        self.steps, self.state, self.numbers = unpack(state, self._origin, self.parameters, self.FREE)

    @property
    def _origin(self) -> Origin:
        return Origin(type(self).__name__, self._asked)

    def _tell_early(self) -> None:
        """Warn that a training was stopped before its connectivity had its density."""
        end = "the search ends here" if self._asked is None else f"pruned to density {self._asked:g} at once"
        logger.warning("finalize() after %d of %d steps: %s", self.steps, self._length, end)

    # --- Hooks

    @torch.no_grad()
    def _pre_hook(self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("closure") is not None or any(callable(argument) for argument in args[1:]):
            raise InputError(
                "optimizer.step(closure) cannot be rewired: the closure would run the network in the middle of a step; "
                "compute the loss first and call optimizer.step()"
            )
        if getattr(self.optimizer, "found_inf", None) is not None:
            raise InputError(
                "GradScaler leaves it to a fused optimizer to skip a step, which a rewiring cannot see: make the "
                "optimizer with fused=False, or train in bf16, which needs no scaler"
            )
        self._clear_up()
        if self.steps == 0 and not self.state:
            self._start()
        self._moved = self._moving()
        try:
            self._before(self._moved)
        except BaseException:
            self._clear_up()
            raise

    @torch.no_grad()
    def _post_hook(self, _optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self._after(self._moved)
        self._moved = []
        self.steps += 1
        if self._length is not None and self.steps == self._length + 1:
            logger.warning(
                "the training goes on after the %d steps that %s was told: what it does was spread over these",
                self._length,
                type(self).__name__,
            )
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

    def _check_density(self) -> None:
        if self._length is not None:
            check_steps(self._length)
        if self._asked is not None:
            check_share("density", self._asked)
            total = sum(parameter.numel() for parameter in self.parameters.values())
            if self._asked * total < 0.5:
                raise InputError(f"density {self._asked:g} leaves none of the {total:,} synapses")

    def _check_optimizer(self) -> None:
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise InputError(
                "LBFGS cannot be rewired: its closure runs the network in the middle of a step; use a first-order "
                "optimizer such as Adam or SGD"
            )
        if any(group.get("maximize") for group in self.optimizer.param_groups):
            raise InputError("an optimizer with maximize=True cannot be rewired: minimize the negative instead")
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
