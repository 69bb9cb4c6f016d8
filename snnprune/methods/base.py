"""The base of all methods, attached to an optimizer by step hooks; the network's modules and shapes never change."""

import html
import logging
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..errors import InputError
from ..options import Share, Steps, checked
from ..synapses import EXPECTED, Exclude, Include, entries_of, shown_unpruned, unpruned
from . import clipping, exact
from .attachment import Trained
from .saved import Phase, Saved

logger = logging.getLogger(__name__)


class Method(Saved):
    """Decides, step by step, which synapses of a network exist while an optimizer trains it.

    The constructor attaches the method to the optimizer (`register_step_pre_hook` and `register_step_post_hook`); the
    training loop needs no other change. After every step the weight of an absent synapse is exactly 0. The network is
    never wrapped: `network.state_dict()` has its plain keys at any moment.

    A subclass overrides `_before` and `_after`, which get only parameters that have a gradient, and keeps its tensors
    in `self.state[kind][parameter name]` and its numbers in `self.numbers[name]` (an int, or a tensor without
    dimensions). Both run without autograd, read nothing back from a device and have no shapes that depend on data, so
    that a GPU never waits for Python; work that is done at intervals belongs in `_update`. `_finish` completes a
    training that is stopped early. Override `_existing` if an existing synapse may have weight 0, and `_imply` and
    `_adopt` if the state holds values of which the weights are made.

    Weights that are changed between two steps (clamped, averaged, loaded) are taken in before the next one. Method,
    network and optimizer can be copied or pickled together; the copies go on by themselves.

    Args:
        network: any module with synapses (see `find_synapses`).
        optimizer: any torch optimizer that holds them, minimizes, and takes no closure.
        density: share of the synapses to end with, in (0, 1], if there is such a target.
        steps: optimizer steps of the whole training, if the method depends on it.
        exclude: synapses to leave dense, as in `find_synapses`.
        include: parameters to take as synapses, as in `find_synapses`; its entries travel with those of `exclude`.

    Attributes:
        network: the argument.
        optimizer: the argument.
        exclude: the argument, as a tuple.
        parameters: name -> weight of each tensor of synapses.
        target_density: the argument `density`.
        total_steps: the argument `steps`.
        steps_done: optimizer steps so far.
        phase: the current phase.
        state: kind -> parameter name -> tensor; saved by `state_dict`.
        numbers: name -> number; saved likewise.

    Raises:
        InputError: no synapses; an optimizer that does not hold them, maximizes, or needs closures; synapses that
            another method holds already, through this optimizer or another; or a density that leaves none. In training:
            weights that are not finite at the start or when they must be ranked, or a network that has changed.
    """

    # Options that decide how sparse the network becomes where no density is given.
    INSTEAD_OF_DENSITY: ClassVar[tuple[str, ...]] = ()

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
        include: Include = (),
    ) -> None:
        super().__init__(network, optimizer, density=density, steps=steps, exclude=entries_of(exclude, include))
        self._result: Connectivity | None = None
        self._check_target()
        self._attach()
        self._warn_unpruned()

    # --- To be overridden

    def _start(self) -> None:
        """Make the state; called once before the first step, when the initial weights are final."""

    def _update(self) -> None:
        """Do work at intervals; called after each step, when `steps_done` has been increased."""

    def _finish(self) -> None:
        """Complete a training that was stopped early; called once by `finalize`."""

    def _existing(self) -> Connectivity:
        """Return the synapses that exist now, between two steps."""
        return Connectivity({name: parameter.detach() != 0 for name, parameter in self.parameters.items()})

    def _imply(self, name: str, out: Tensor) -> bool:
        """Write the weights of a tensor that the state implies into `out`; return False if any weights are right."""
        return False

    def _adopt(self, name: str, implied: Tensor) -> None:
        """Take in the weights of a tensor that are not what the state implies, without reading anything back.

        The state takes the weights of existing synapses; those of absent ones are set to 0, and noted in
        `self._findings`. Where weights are as implied, nothing changes.
        """

    def _zero_absent(self, name: str, exists: Tensor) -> None:
        """Set weights of a tensor to 0 where no synapse is, and note those that were not 0; for `_adopt`."""
        weight = self.parameters[name].data
        self._findings.add_foreign(name, ((weight != 0) & ~exists).sum())
        weight.copy_(torch.where(exists, weight, torch.zeros_like(weight)))

    def compile(self) -> None:
        """Compile the arithmetic of a step, if there is any, with torch.compile; for a compiled training."""

    # --- Helpers for subclasses

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
        """Return the synapses that exist now, or existed when `finalize` was called.

        Weights of absent synapses that are not 0, because they were changed since the last step, are reported as a
        warning; a step, or `finalize`, sets them to 0.

        Raises:
            InputError: scores that could not be ranked, on a device where that is not reported at once.
        """
        if self._result is not None:
            return self._result
        self._clean_up()
        existing = self._existing()
        for name, mask in existing.items():
            weight = self.parameters[name].detach()
            self._findings.add_foreign(name, ((weight != 0) & ~mask).sum())
        self._findings.report(self.steps_done)
        return existing

    @torch.no_grad()
    def clip_grad_norm_(self, max_norm: float, *, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
        """Clip gradients by the norm of what exists; call it between `backward` and `optimizer.step`.

        `torch.nn.utils.clip_grad_norm_` also counts the gradients of absent synapses, which are most of a sparse
        network. Here the norm is that of existing synapses and of all other parameters of the optimizer. All gradients
        are scaled by the same factor, those of absent synapses as well, by which methods regrow them.

        Args:
            max_norm: largest norm after the call.
            norm_type: p of the norm; may be infinity.
            error_if_nonfinite: raise a RuntimeError if the norm is nan or infinity.

        Returns:
            The norm before the call, without dimensions, on the device of the gradients.
        """
        self._start_once()
        masks = {id(self.parameters[name]): mask for name, mask in self._existing().items()}
        return clipping.clip_grad_norm_(
            self.optimizer, masks, max_norm, norm_type=norm_type, error_if_nonfinite=error_if_nonfinite
        )

    @torch.no_grad()
    def finalize(self) -> Connectivity:
        """End the method: detach, drop the state, and return the connectivity of the network.

        If the training was stopped before the target density was reached, the network is pruned to it now, which costs
        accuracy. This is logged as a warning, as are layers without any synapse, weights of absent synapses that were
        not 0 (now they are), and weights that are not finite. A second call changes nothing.

        Raises:
            InputError: the network has changed, or weights or scores that must be ranked are not finite.
        """
        if self._result is None:
            self._clean_up()  # first: after an interrupted step the parameters still point at other tensors
            self._check_network()
            self._start_once()
            self._take_in()
            self._finish()
            self._findings.report(self.steps_done)
            self.detach()
            self._result = self._existing()
            self.state = {}
            self._last.forget()
            self.phase = Phase.ENDED
            if bad := [name for name, parameter in self.parameters.items() if not bool(parameter.isfinite().all())]:
                logger.warning("weights of %s are not finite (nan or infinity)", ", ".join(bad))
            if empty := [name for name, row in self._result.layers().items() if not row["nonzero"]]:
                logger.warning("no synapse is left in %s: this layer passes on no spikes", ", ".join(empty))
        return self._result

    # --- Steps

    def _begin_step(self) -> None:
        self._start_once()
        self._take_in()

    def _end_step(self) -> None:
        self.steps_done += 1
        if self.total_steps is not None and self.steps_done == self.total_steps + 1:
            logger.warning(
                "training continues past the %d steps given to %s; its schedule has already ended",
                self.total_steps,
                type(self).__name__,
            )
        self._update()
        if self.state:  # dense training has none, and takes any weights
            self._last.remember(self.parameters)

    def _start_once(self) -> None:
        if self.phase is Phase.WAITING:
            self._findings.check_weights(self.parameters, 0)
            self.phase = Phase.SEARCHING
            self._network_then.remember_kinds()
            self._start()

    def _take_in(self) -> None:
        """Take in weights that were changed since the last step.

        On a CPU the weights are compared with a copy that the last step left, which costs two passes over memory. On
        other devices a comparison would have to be read back: the passes that take changes in are always done.
        """
        for name, parameter in self.parameters.items():
            if self._last.unchanged(name, parameter.data):
                continue
            implied = torch.empty_like(parameter.data)
            if self._imply(name, implied) and not (exact.on_host(implied) and exact.same_bits(parameter.data, implied)):
                self._adopt(name, implied)
        if exact.on_host(*self.parameters.values()):
            self._findings.report_foreign()

    # --- Checks of the arguments

    def _warn_unpruned(self) -> None:
        """Log which parameters of two or more axes are not pruned although nobody has excluded them."""
        every = unpruned(self.network, exclude=self.exclude)
        if left := {name: entry for name, entry in every.items() if entry.reason not in EXPECTED}:
            logger.warning("%s does not prune %s", type(self).__name__, shown_unpruned(left))

    def _check_target(self) -> None:
        if self.target_density is not None:
            total = sum(parameter.numel() for parameter in self.parameters.values())
            if self.target_density * total < 0.5:
                raise InputError(f"density {self.target_density:g} leaves none of the {total:,} synapses")
