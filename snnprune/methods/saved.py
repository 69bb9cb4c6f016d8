"""State that can be saved and loaded: the phase of a method, its steps, its tensors and its numbers."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import InputError
from ..synapses import Exclude
from . import exact
from .attachment import Attached
from .findings import Findings
from .given import plain_options
from .guards import refuse_inference_mode
from .state_io import Origin, State, pack, unpack


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


def phase_of(name: str) -> Phase | None:
    """Return the phase of a name; None for "".

    Raises:
        InputError: unknown name; the known ones are listed.
    """
    if name and name not in list(Phase):
        raise InputError(f"unknown phase {name!r} in the state of a method: known are {', '.join(Phase)}")
    return Phase(name) if name else None


class Saved(Attached):
    """Attachment with a state that is saved, loaded, and carried along by copies.

    Arguments and attributes as `Method`.
    """

    # Kinds of state whose tensors may have any shape, and may be missing for some parameters.
    FREE_KINDS: ClassVar[tuple[str, ...]] = ()
    # Old name -> new name of kinds of state, for files of earlier versions.
    RENAMED_KINDS: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: float | None,
        steps: int | None,
        exclude: Exclude,
    ) -> None:
        super().__init__(network, optimizer, exclude=exclude)
        self.target_density = density
        self.total_steps = steps
        self.steps_done = 0
        self.phase = Phase.WAITING
        self.state: dict[str, dict[str, Tensor]] = {}
        self.numbers: dict[str, int | Tensor] = {}
        self._findings = Findings()
        self._last = exact.LastWeights()

    # --- To be overridden

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        """Return the kinds of state that a loaded state must have in a phase."""
        return ()

    def _numbers_in(self, phase: Phase) -> Collection[str]:
        """Return the numbers that a loaded state must have in a phase."""
        return ()

    def _infer_phase(self) -> Phase:
        """Return the phase of a loaded state from an earlier version, whose file does not contain it."""
        return Phase.SEARCHING

    # --- Saving and loading

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that a resumed run needs besides network and optimizer, as named tensors.

        Raises:
            InputError: `finalize` was called.
        """
        if self.phase is Phase.ENDED:
            raise InputError("finalize() has ended this method, its state is gone: save the connectivity instead")
        self._clean_up()
        return pack(self._origin, State(self.steps_done, self.phase, self.state, self.numbers))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a `state_dict`, to resume a training; network and optimizer must be loaded as well.

        Raises:
            InputError: the state of another method, density, number of steps or option, or of another network (the
                message says what both have), or values that no method writes; nothing is loaded.
        """
        refuse_inference_mode()
        self._clean_up()
        loaded = unpack(state, self._origin, self.parameters, self.FREE_KINDS, self.RENAMED_KINDS)
        before = self.steps_done, self.state, self.numbers, self.phase
        self.steps_done, self.state, self.numbers = loaded.steps_done, loaded.tensors, loaded.numbers
        try:
            waiting = not (self.steps_done or self.state)
            self.phase = phase_of(loaded.phase) or (Phase.WAITING if waiting else self._infer_phase())
            self._check_complete()
        except BaseException:
            self.steps_done, self.state, self.numbers, self.phase = before
            raise
        self._findings = Findings()
        self._last.forget()
        self._network_then.remember_kinds()

    def _check_complete(self) -> None:
        """Make sure that a loaded state has everything that its phase needs.

        Raises:
            InputError: it does not.
        """
        for kind in self.FREE_KINDS:  # a kind without any tensor is not in the file
            if kind in self._kinds_in(self.phase, self.steps_done):
                self.state.setdefault(kind, {})
        needed = [*self._kinds_in(self.phase, self.steps_done), *self._numbers_in(self.phase)]
        if missing := [name for name in needed if name not in self.state and name not in self.numbers]:
            raise InputError(f"the state of {type(self).__name__} ({self.phase}) lacks {', '.join(missing)}")
        if self.phase is Phase.ENDED or (self.phase is Phase.WAITING and self.steps_done):
            raise InputError(f"the state is {self.phase} after {self.steps_done} steps, which no method saves")

    @property
    def _origin(self) -> Origin:
        return Origin(type(self).__name__, self.target_density, plain_options(type(self), self._given))

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._handles and self.phase is not Phase.WAITING:
            self._network_then.remember_kinds()
