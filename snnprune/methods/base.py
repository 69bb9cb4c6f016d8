"""The base of all methods: it hangs on the optimizer's step and never changes the network's modules or shapes."""

import html
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..errors import InputError
from ..synapses import Exclude, find_synapses
from .checks import check_share, check_steps
from .state_io import Origin, State, pack, unpack

logger = logging.getLogger(__name__)


class Phase(StrEnum):
    """State of a method in the course of a training.

    Attributes:
        WAITING: before the first step; it has not looked at the weights yet.
        WARMUP: weights are trained and nothing is decided; only methods that start late have this phase.
        SEARCHING: the connectivity may change.
        FIXED: the connectivity stays as it is, and the weights that are left are trained.
        ENDED: `finalize` was called.
    """

    WAITING = "waiting"
    WARMUP = "warmup"
    SEARCHING = "searching"
    FIXED = "fixed"
    ENDED = "ended"


class Trained(NamedTuple):
    """A tensor of synapses that the optimizer updates in this step, with its parameter group."""

    name: str
    parameter: nn.Parameter
    group: dict[str, Any]

    @property
    def gradient(self) -> Tensor:
        """Gradient of the loss; a method may change it in place."""
        assert self.parameter.grad is not None, "a parameter without a gradient is not updated"
        return self.parameter.grad


class Method(ABC):
    """Decides, step by step, which synapses of a network exist while an optimizer trains it.

    Constructing one hangs it on the optimizer (`register_step_pre_hook` and `register_step_post_hook`); the training
    loop stays as it is. After every step the weight of an absent synapse is exactly 0. The network is never wrapped:
    `network.state_dict()` has its plain keys at any moment.

    A subclass overrides `_before` and `_after`, which see only parameters that have a gradient, and keeps its tensors
    in `self.state[kind][parameter name]` and its numbers in `self.numbers[name]` (int, or a tensor without
    dimensions). Both run without gradients, read nothing back from a device and have no shapes that depend on data, so
    that a GPU never waits for Python; work that is done at intervals goes into `_update`. A training that is stopped
    early is completed by `_finish`. Where `weight != 0` does not say what exists, override `_existing`.

    Args:
        network: any module with synapses (see `find_synapses`).
        optimizer: any torch optimizer that holds them, minimizes, and takes no closure.
        density: share of the synapses to end with, in (0, 1], if there is such a target.
        steps: optimizer steps of the whole training, if the method needs to know.
        exclude: synapses to leave dense, as in `find_synapses`.

    Attributes:
        parameters: name -> weight of each tensor of synapses.
        optimizer: the one that was given.
        target_density: `density`.
        total_steps: `steps`.
        steps_done: optimizer steps so far.
        phase: what the method is doing.
        state: kind -> parameter name -> tensor; saved by `state_dict`.
        numbers: name -> number; saved likewise.

    Raises:
        InputError: no synapses, an optimizer that does not hold them, maximizes, or works with closures, synapses that
            another method holds already, or a density that leaves none.
    """

    # Kinds of state whose tensors have shapes of their own, and that not every parameter has.
    FREE_KINDS: ClassVar[tuple[str, ...]] = ()
    # Options that decide how sparse the network becomes where no density is given.
    INSTEAD_OF_DENSITY: ClassVar[tuple[str, ...]] = ()
    # Old name -> new name of kinds of state, for files of earlier versions.
    RENAMED_KINDS: ClassVar[Mapping[str, str]] = {}

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
            raise InputError(f"optimizer must be a torch optimizer, found {type(optimizer).__name__}")
        self.parameters = {name: entry.parameter for name, entry in find_synapses(network, exclude=exclude).items()}
        self.optimizer = optimizer
        self.target_density = density
        self.total_steps = steps
        self.steps_done = 0
        self.phase = Phase.WAITING
        self.state: dict[str, dict[str, Tensor]] = {}
        self.numbers: dict[str, int | Tensor] = {}
        self._result: Connectivity | None = None
        self._trained: list[Trained] = []
        self._weights: list[Tensor] = []
        self._names = {id(parameter): name for name, parameter in self.parameters.items()}
        self._check_optimizer()
        self._check_target()
        self._handles = [
            optimizer.register_step_pre_hook(self._pre_hook),
            optimizer.register_step_post_hook(self._post_hook),
        ]

    # --- To be overridden

    @abstractmethod
    def _before(self, trained: Sequence[Trained]) -> None:
        """Called before the optimizer updates these parameters."""

    @abstractmethod
    def _after(self, trained: Sequence[Trained]) -> None:
        """Called after the optimizer updated them; leaves exact zeros at absent synapses."""

    def _start(self) -> None:
        """Called once before the first step, when the initial weights are final: makes the state."""

    def _update(self) -> None:
        """Called after each step, with `steps_done` counted up."""

    def _finish(self) -> None:
        """Called once by `finalize`: completes a training that was stopped early."""

    def _existing(self) -> Connectivity:
        """The synapses that exist now, between two steps."""
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    def _undo_before(self, trained: Sequence[Trained]) -> None:
        """Called when the optimizer's step failed (Ctrl-C, out of memory): undoes what `_before` did."""
        self._restore_weights(trained)

    def _infer_phase(self) -> Phase:
        """The phase of a loaded state whose file, of an earlier version, does not name it."""
        return Phase.SEARCHING

    def compile(self) -> None:
        """Compile the arithmetic of a step with torch.compile, where there is any; for a compiled training."""

    # --- Helpers for subclasses

    def _swap_in(self, trained: Sequence[Trained], hidden: Sequence[Tensor]) -> None:
        """Let the optimizer update these tensors in place of the weights.

        Nothing is copied: the parameters point at them during the step, and at their own memory otherwise.
        """
        self._weights = [entry.parameter.data for entry in trained]
        for entry, tensor in zip(trained, hidden, strict=True):
            entry.parameter.data = tensor

    def _restore_weights(self, trained: Sequence[Trained]) -> list[Tensor]:
        """Let the parameters point at the weights' memory again, and return it; empty if they already do."""
        weights, self._weights = self._weights, []
        for entry, weight in zip(trained, weights, strict=False):
            entry.parameter.data = weight
        return weights

    def _full(self, value: float, *, precise: bool = False) -> dict[str, Tensor]:
        """A tensor full of `value` for each parameter, of its shape and layout; `precise`: in float32 at least."""
        return {
            name: torch.full_like(
                parameter,
                value,
                dtype=torch.promote_types(parameter.dtype, torch.float32) if precise else parameter.dtype,
                requires_grad=False,
            )
            for name, parameter in self.parameters.items()
        }

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def _state_of(self, kind: str, trained: Sequence[Trained]) -> list[Tensor]:
        """The state of these parameters."""
        return [self.state[kind][entry.name] for entry in trained]

    def _warn_early(self) -> None:
        """Warn that the training was stopped before the connectivity had its density."""
        end = "the search ends here"
        if self.target_density is not None:
            end = f"pruning to density {self.target_density:g} at once"
        logger.warning("finalize() after %d of %d steps: %s", self.steps_done, self.total_steps, end)

    # --- Public

    def __repr__(self) -> str:
        goal = "" if self.target_density is None else f"to density {self.target_density:g}, "
        steps = (
            f"{self.steps_done} steps" if self.total_steps is None else f"{self.steps_done} of {self.total_steps} steps"
        )
        # In the middle of a step the parameters may hold something else than weights.
        now = "" if self._trained else f", {self.connectivity()!r}"
        return f"<{type(self).__name__} {goal}{self.phase} after {steps}{now}>"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.connectivity()._repr_html_()}"

    def connectivity(self) -> Connectivity:
        """The synapses that exist now; after `finalize` those that were left."""
        if self._result is not None:
            return self._result
        self._clean_up()
        return self._existing()

    def detach(self) -> None:
        """Let go of the optimizer. Weights stay as they are; absent synapses are no longer held at zero."""
        self._clean_up()
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def finalize(self) -> Connectivity:
        """End the method: detach, drop the state, and return the connectivity of the plain network that is left.

        A training that was stopped before its connectivity had its density is pruned to it now, which costs accuracy.
        That is logged as a warning, and so are layers without any synapse. A second call changes nothing.
        """
        if self._result is None:
            self.detach()  # first of all: a step that was interrupted left the parameters pointing elsewhere
            self._start_once()
            self._finish()
            self._result, self.state, self.phase = self._existing(), {}, Phase.ENDED
            if empty := [name for name, row in self._result.layers().items() if not row["nonzero"]]:
                logger.warning("no synapse is left in %s: this layer passes on no spikes", ", ".join(empty))
        return self._result

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs besides network and optimizer, as named tensors.

        Raises:
            InputError: `finalize` was called.
        """
        if self._result is not None:
            raise InputError("finalize() has ended this method: there is no state to save; save the connectivity")
        self._clean_up()
        return pack(self._origin, State(self.steps_done, self.phase, self.state, self.numbers))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`; load the network and the optimizer as well.

        Raises:
            InputError: the state of another method, of another density, or a tensor of another network (both sides are
                named); nothing is then loaded.
        """
        loaded = unpack(state, self._origin, self.parameters, self.FREE_KINDS, self.RENAMED_KINDS)
        self.steps_done, self.state, self.numbers = loaded.steps_done, loaded.tensors, loaded.numbers
        waiting = not (self.steps_done or self.state)
        self.phase = Phase(loaded.phase or (Phase.WAITING if waiting else self._infer_phase()))

    @property
    def _origin(self) -> Origin:
        return Origin(type(self).__name__, self.target_density)

    # --- Hooks

    @torch.no_grad()
    def _pre_hook(self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if kwargs.get("closure") is not None or any(callable(argument) for argument in args[1:]):
            raise InputError(
                "optimizer.step(closure) cannot be used with a method: the closure would run the network in the middle "
                "of a step; compute the loss first and call optimizer.step()"
            )
        if getattr(self.optimizer, "found_inf", None) is not None:
            raise InputError(
                "GradScaler lets a fused optimizer skip a step, which a method cannot see: make the optimizer with "
                "fused=False, or train in bf16, which needs no scaler"
            )
        self._clean_up()
        self._start_once()
        self._trained = self._find_trained()
        try:
            self._before(self._trained)
        except BaseException:
            self._clean_up()
            raise

    @torch.no_grad()
    def _post_hook(self, _optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self._after(self._trained)
        self._trained = []
        self.steps_done += 1
        if self.total_steps is not None and self.steps_done == self.total_steps + 1:
            logger.warning(
                "training continues past the %d steps given to %s; its schedule has already ended",
                self.total_steps,
                type(self).__name__,
            )
        self._update()

    def _start_once(self) -> None:
        if self.phase is Phase.WAITING:
            self.phase = Phase.SEARCHING
            self._start()

    def _clean_up(self) -> None:
        if self._trained:
            trained, self._trained = self._trained, []
            self._undo_before(trained)

    def _find_trained(self) -> list[Trained]:
        """The synapses that the optimizer updates in this step: those with a gradient."""
        return [
            Trained(self._names[id(parameter)], parameter, group)
            for group in self.optimizer.param_groups
            for parameter in group["params"]
            if id(parameter) in self._names and parameter.grad is not None
        ]

    # --- Checks of the arguments

    def _check_target(self) -> None:
        if self.total_steps is not None:
            check_steps(self.total_steps)
        if self.target_density is not None:
            check_share("density", self.target_density)
            total = sum(parameter.numel() for parameter in self.parameters.values())
            if self.target_density * total < 0.5:
                raise InputError(f"density {self.target_density:g} leaves none of the {total:,} synapses")

    def _check_optimizer(self) -> None:
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise InputError(
                "LBFGS cannot be used with a method: its closure runs the network in the middle of a step; use a "
                "first-order optimizer such as Adam or SGD"
            )
        if any(group.get("maximize") for group in self.optimizer.param_groups):
            raise InputError("an optimizer with maximize=True cannot be used with a method: minimize the negative")
        held = {id(parameter) for group in self.optimizer.param_groups for parameter in group["params"]}
        if missing := [name for name, parameter in self.parameters.items() if id(parameter) not in held]:
            raise InputError(
                f"the optimizer does not hold the network's synapses {', '.join(missing)}: "
                "give it network.parameters(), or name them in exclude"
            )
        for hook in self.optimizer._optimizer_step_pre_hooks.values():
            other = getattr(hook, "__self__", None)
            if isinstance(other, Method) and not other._names.keys().isdisjoint(self._names):
                raise InputError(
                    f"{type(other).__name__} holds these synapses already: call its detach() or finalize() first"
                )
