"""The base of all methods, attached to an optimizer by step hooks; the network's modules and shapes never change."""

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
from ..options import Share, Steps, checked
from ..synapses import Exclude, find_synapses
from .checks import check_training, refuse_inference_mode
from .state_io import Origin, State, pack, unpack

logger = logging.getLogger(__name__)


class Phase(StrEnum):
    """The phase of a method.

    Attributes:
        WAITING: before the first step; the weights have not been read yet.
        WARMUP: weights are trained densely; only methods with a late start have this phase.
        SEARCHING: the connectivity may change.
        FIXED: the connectivity is final, and the remaining weights are trained.
        ENDED: `finalize` was called.
    """

    WAITING = "waiting"
    WARMUP = "warmup"
    SEARCHING = "searching"
    FIXED = "fixed"
    ENDED = "ended"


class Trained(NamedTuple):
    """A tensor of synapses that the optimizer updates in the current step, with its parameter group."""

    name: str
    parameter: nn.Parameter
    group: dict[str, Any]

    @property
    def gradient(self) -> Tensor:
        """The gradient of the loss; a method may change it in place."""
        assert self.parameter.grad is not None, "a parameter without a gradient is not updated"
        return self.parameter.grad


class Method(ABC):
    """Decides, step by step, which synapses of a network exist while an optimizer trains it.

    The constructor attaches the method to the optimizer (`register_step_pre_hook` and `register_step_post_hook`); the
    training loop needs no other change. After every step the weight of an absent synapse is exactly 0. The network is
    never wrapped: `network.state_dict()` has its plain keys at any moment.

    A subclass overrides `_before` and `_after`, which get only parameters that have a gradient, and keeps its tensors
    in `self.state[kind][parameter name]` and its numbers in `self.numbers[name]` (an int, or a tensor without
    dimensions). Both run without autograd, read nothing back from a device and have no shapes that depend on data, so
    that a GPU never waits for Python; work that is done at intervals belongs in `_update`. `_finish` completes a
    training that is stopped early. Override `_existing` if an existing synapse may have weight 0.

    Args:
        network: any module with synapses (see `find_synapses`).
        optimizer: any torch optimizer that holds them, minimizes, and takes no closure.
        density: share of the synapses to end with, in (0, 1], if there is such a target.
        steps: optimizer steps of the whole training, if the method depends on it.
        exclude: synapses to leave dense, as in `find_synapses`.

    Attributes:
        parameters: name -> weight of each tensor of synapses.
        optimizer: the argument.
        target_density: the argument `density`.
        total_steps: the argument `steps`.
        steps_done: optimizer steps so far.
        phase: the current phase.
        state: kind -> parameter name -> tensor; saved by `state_dict`.
        numbers: name -> number; saved likewise.

    Raises:
        InputError: no synapses; an optimizer that does not hold them, maximizes, or needs closures; synapses that
            another method holds already; or a density that leaves none.
    """

    # Kinds of state whose tensors may have any shape, and may be missing for some parameters.
    FREE_KINDS: ClassVar[tuple[str, ...]] = ()
    # Options that decide how sparse the network becomes where no density is given.
    INSTEAD_OF_DENSITY: ClassVar[tuple[str, ...]] = ()
    # Old name -> new name of kinds of state, for files of earlier versions.
    RENAMED_KINDS: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let the constructor of every subclass check its options by their annotations (`options.checked`)."""
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = checked(cls.__init__)

    @checked
    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: Share | None = None,
        steps: Steps | None = None,
        exclude: Exclude = (),
    ) -> None:
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
        check_training(network, self.parameters)
        self._check_optimizer()
        self._check_target()
        self._handles = [
            optimizer.register_step_pre_hook(self._pre_hook),
            optimizer.register_step_post_hook(self._post_hook),
        ]

    # --- To be overridden

    @abstractmethod
    def _before(self, trained: Sequence[Trained]) -> None:
        """Prepare these parameters for the optimizer's update."""

    @abstractmethod
    def _after(self, trained: Sequence[Trained]) -> None:
        """Complete the optimizer's update of these parameters; must leave exact zeros at absent synapses."""

    def _start(self) -> None:
        """Make the state; called once before the first step, when the initial weights are final."""

    def _update(self) -> None:
        """Do work at intervals; called after each step, when `steps_done` has been increased."""

    def _finish(self) -> None:
        """Complete a training that was stopped early; called once by `finalize`."""

    def _existing(self) -> Connectivity:
        """Return the synapses that exist now, between two steps."""
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    def _undo_before(self, trained: Sequence[Trained]) -> None:
        """Undo `_before`; called when the optimizer's step did not complete (Ctrl-C, out of memory)."""
        self._restore_weights(trained)

    def _infer_phase(self) -> Phase:
        """Return the phase of a loaded state from an earlier version, whose file does not contain it."""
        return Phase.SEARCHING

    def compile(self) -> None:
        """Compile the arithmetic of a step, if there is any, with torch.compile; for a compiled training."""

    # --- Helpers for subclasses

    def _swap_in(self, trained: Sequence[Trained], hidden: Sequence[Tensor]) -> None:
        """Let the optimizer update these tensors instead of the weights.

        Nothing is copied: the parameters point at these tensors during the step, and at their own memory otherwise.
        """
        self._weights = [entry.parameter.data for entry in trained]
        for entry, tensor in zip(trained, hidden, strict=True):
            entry.parameter.data = tensor

    def _restore_weights(self, trained: Sequence[Trained]) -> list[Tensor]:
        """Let the parameters point at the weights' memory again, and return the weights; empty if they already do."""
        weights, self._weights = self._weights, []
        for entry, weight in zip(trained, weights, strict=False):
            entry.parameter.data = weight
        return weights

    def _full(self, value: float, *, precise: bool = False) -> dict[str, Tensor]:
        """Return a tensor full of `value` for each parameter, of its shape and layout, and of its dtype.

        With `precise` half-precision parameters get float32: a running sum or mean would lose small terms.
        """
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
        """Return one kind of state for each of these parameters."""
        return [self.state[kind][entry.name] for entry in trained]

    def _warn_early(self) -> None:
        """Warn that the training was stopped before the search had ended."""
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
        """Return the synapses that exist now, or existed when `finalize` was called."""
        if self._result is not None:
            return self._result
        self._clean_up()
        return self._existing()

    def detach(self) -> None:
        """Remove the hooks from the optimizer. Weights do not change, but absent synapses are no longer held at 0."""
        self._clean_up()
        for handle in self._handles:
            handle.remove()

    @torch.no_grad()
    def finalize(self) -> Connectivity:
        """End the method: detach, drop the state, and return the connectivity of the network.

        If the training was stopped before the target density was reached, the network is pruned to it now, which costs
        accuracy. This is logged as a warning, as are layers without any synapse. A second call changes nothing.
        """
        if self._result is None:
            self.detach()  # first: after an interrupted step the parameters still point at other tensors
            self._start_once()
            self._finish()
            self._result = self._existing()
            self.state = {}
            self.phase = Phase.ENDED
            if empty := [name for name, row in self._result.layers().items() if not row["nonzero"]]:
                logger.warning("no synapse is left in %s: this layer passes on no spikes", ", ".join(empty))
        return self._result

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that a resumed run needs besides network and optimizer, as named tensors.

        Raises:
            InputError: `finalize` was called.
        """
        if self._result is not None:
            raise InputError("finalize() has ended this method, its state is gone: save the connectivity instead")
        self._clean_up()
        return pack(self._origin, State(self.steps_done, self.phase, self.state, self.numbers))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a `state_dict`, to resume a training; network and optimizer must be loaded as well.

        Raises:
            InputError: the state of another method or another density, or of another network (the message says what
                both have); nothing is loaded.
        """
        refuse_inference_mode()
        loaded = unpack(state, self._origin, self.parameters, self.FREE_KINDS, self.RENAMED_KINDS)
        self.steps_done = loaded.steps_done
        self.state = loaded.tensors
        self.numbers = loaded.numbers
        waiting = not (self.steps_done or self.state)
        self.phase = Phase(loaded.phase or (Phase.WAITING if waiting else self._infer_phase()))

    @property
    def _origin(self) -> Origin:
        return Origin(type(self).__name__, self.target_density)

    # --- Hooks

    @torch.no_grad()
    def _pre_hook(self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        refuse_inference_mode()
        if kwargs.get("closure") is not None or any(callable(argument) for argument in args[1:]):
            raise InputError(
                "optimizer.step(closure) cannot be used with a method: the closure would run the network in the middle "
                "of a step; call backward() first, then optimizer.step()"
            )
        if getattr(self.optimizer, "found_inf", None) is not None:
            raise InputError(
                "GradScaler lets a fused optimizer skip a step, which a method cannot detect: make the optimizer with "
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
        """Return the synapses that the optimizer updates in this step: those with a gradient."""
        return [
            Trained(self._names[id(parameter)], parameter, group)
            for group in self.optimizer.param_groups
            for parameter in group["params"]
            if id(parameter) in self._names and parameter.grad is not None
        ]

    # --- Checks of the arguments

    def _check_target(self) -> None:
        if self.target_density is not None:
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
