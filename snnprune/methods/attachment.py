"""Attachment to an optimizer: the hooks around its step, the weights that it trains, and copies of all that."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from ..synapses import Exclude, entries_of, find_synapses
from . import holders
from .guards import SameNetwork, check_optimizer, check_step, check_trainable


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


class Attached(ABC):
    """The synapses of a network, and the hooks around the steps of the optimizer that trains them.

    Can be copied and pickled together with network and optimizer; the copies go on by themselves.

    Args:
        network: any module with synapses (see `find_synapses`).
        optimizer: any torch optimizer that holds them, minimizes, and takes no closure.
        exclude: synapses to leave out, as in `find_synapses`.

    Raises:
        InputError: no synapses; an optimizer that does not hold them, maximizes, or needs closures; or synapses that
            are held already, through this optimizer or another.
    """

    _given: dict[str, Any]

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Keep the options as they were given; a saved state can only be loaded with the same."""
        attached = super().__new__(cls)
        attached._given = given
        return attached

    def __init__(self, network: nn.Module, optimizer: Optimizer, *, exclude: Exclude = ()) -> None:
        self.network = network
        self.optimizer = optimizer
        self.exclude = entries_of(exclude)
        self.parameters = {n: entry.parameter for n, entry in find_synapses(network, exclude=self.exclude).items()}
        self._trained: list[Trained] = []
        self._weights: list[Tensor] = []
        self._handles: list[RemovableHandle] = []
        self._step: FrameType | None = None
        self._depth = 0
        self._note_network()
        check_trainable(network, self.parameters)
        check_optimizer(optimizer, self.parameters)

    # --- To be overridden

    def _begin_step(self) -> None:
        """Do what comes before `_before`, for all parameters."""

    @abstractmethod
    def _before(self, trained: Sequence[Trained]) -> None:
        """Prepare these parameters for the optimizer's update."""

    @abstractmethod
    def _after(self, trained: Sequence[Trained]) -> None:
        """Complete the optimizer's update of these parameters; must leave exact zeros at absent synapses."""

    def _end_step(self) -> None:
        """Do what comes after `_after`, for all parameters."""

    def _undo_before(self, trained: Sequence[Trained]) -> None:
        """Undo `_before`; called when the optimizer's step did not complete (Ctrl-C, out of memory)."""
        self._restore_weights(trained)

    # --- Swapping

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

    # --- Attaching and detaching

    def _attach(self) -> None:
        """Take hold of the weights, and register the hooks."""
        holders.check_free(self.parameters)
        self._handles = [
            self.optimizer.register_step_pre_hook(self._pre_hook),
            self.optimizer.register_step_post_hook(self._post_hook),
        ]
        holders.hold(self)

    def _note_network(self) -> None:
        self._names = {id(parameter): name for name, parameter in self.parameters.items()}
        self._network_then = SameNetwork(self.network, self.exclude, self.parameters)

    def _check_network(self) -> None:
        """Make sure that the network still has the synapses that it had.

        Raises:
            InputError: as `SameNetwork.check`.
        """
        self._network_then.check(type(self).__name__)

    def detach(self) -> None:
        """Remove the hooks from the optimizer. Weights do not change, but absent synapses are no longer held at 0."""
        self._clean_up()
        for handle in self._handles:
            handle.remove()
        self._handles = []
        holders.release(self)

    # --- Copies

    def __getstate__(self) -> dict[str, Any]:
        self._clean_up()
        attached = bool(self._handles)
        return {**self.__dict__, "_handles": attached, "_names": {}, "_network_then": None, "_step": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        attached, self._handles = self._handles, []
        self._note_network()
        if attached:
            self._attach()

    # --- Hooks

    # An optimizer whose `step` calls that of its base class fires the hooks for both, if the base class was ever used
    # by itself in this process. The outermost is the step. An inner one is told from a new step after an interrupted
    # one by the frame of the outer one, which must still be running.

    def _pre_hook(self, _optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._step is not None and _is_running(self._step):
            self._depth += 1
            return
        check_step(self.optimizer, args, kwargs)
        self._step, self._depth = sys._getframe(1), 1
        with torch.no_grad():
            self._clean_up()
            self._check_network()
            self._begin_step()
            self._trained = self._find_trained()
            try:
                self._before(self._trained)
            except BaseException:
                self._clean_up()
                raise

    def _post_hook(self, _optimizer: Optimizer, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> None:
        self._depth -= 1
        if self._depth:
            return
        self._step = None
        with torch.no_grad():
            self._after(self._trained)
            self._trained = []
            self._end_step()

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


def _is_running(frame: FrameType) -> bool:
    """Return whether a call is among those that have led here."""
    caller: FrameType | None = sys._getframe(1)
    while caller is not None and caller is not frame:
        caller = caller.f_back
    return caller is frame
