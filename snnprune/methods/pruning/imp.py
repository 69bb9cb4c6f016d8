"""Iterative magnitude pruning with rewinding (lottery tickets), with early stops in training and in time steps.

Early-Bird draws the ticket as soon as it is stable; Early-Time searches for it with fewer time steps.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from ... import schedules
from ...criteria import Batches
from ...errors import InputError
from ...options import Fraction, OpenFraction, Share, ShareOfSteps, Steps, checked
from ...probe import batches_of, inputs_of, run
from ...synapses import probing, reset_neurons
from ..base import Phase
from ..exact import masked
from ..optimizer_state import forget
from ..registry import register
from .pruning import Pruning

# Early-Bird: a ticket is stable if it differs by less than TOLERANCE of its synapses from each of the COMPARED before.
COMPARED = 5
TOLERANCE = 0.02


@register("imp")
class IterativeMagnitude(Pruning):
    """Prune a share of the remaining synapses by magnitude in every round, and rewind the others to an early step.

    Frankle, Dziugaite, Roy, Carbin: "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020; for
    spiking networks Kim et al., "Exploring Lottery Ticket Hypothesis in Spiking Neural Networks", ECCV 2022: 25 % a
    round, global. There every round is a full training; here the rounds share the steps up to `end`, and the ticket is
    trained in the remaining steps. Only the weights of the synapses are rewound; normalisation layers are not. Memory:
    one more tensor the size of the weights.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        density: share of the synapses to end with, in (0, 1].
        steps: optimizer steps of the whole training.
        rate: share of the remaining synapses that a round prunes, in (0, 1).
        rewind: share of the steps after which the rounds begin, and to which weights are rewound; None does not rewind.
        early_bird: draw the ticket once, as soon as it is stable, or at `end` (You et al., ICLR 2020), and continue
            with its current weights, instead of rounds and rewinding.
        early_time: search with fewer time steps (Kim et al. 2022), as many as `early_timesteps` returns at the
            rewinding step, or after 2 % of the steps if that is 0 or None; the network must have an attribute
            `timesteps` that can be set. Needs batches.
        end: share of the steps after which the search has ended.
        options: as `Pruning`.

    Raises:
        InputError: a value outside its range, `early_time` without batches or for a network without `timesteps`, or as
            `Pruning`.
    """

    CRITERION, ALLOCATION, SCHEDULE, END = "magnitude", "global", "rounds", 0.5

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        density: Share,
        steps: Steps,
        rate: OpenFraction = 0.25,
        rewind: ShareOfSteps | None = 0.2,
        early_bird: bool = False,
        early_time: bool = False,
        end: ShareOfSteps | None = None,
        **options: Any,
    ) -> None:
        if rewind is not None and not early_bird and rewind > (self.END if end is None else end):
            raise InputError(f"rewind must not be after end, found {rewind} and {self.END if end is None else end}")
        super().__init__(network, optimizer, density=density, steps=steps, end=end, **options)
        self.rewind = None if rewind is None or early_bird else round(rewind * steps)
        if options.get("schedule") is None:
            kind, begin = ("one-shot", 0) if early_bird else ("rounds", max(self.begin, self.rewind or 0))
            self.schedule = schedules.make(kind, density=density, begin=begin, end=self.end, rate=rate)
        if early_time and not self.batches:
            raise InputError("early_time needs data, found no batches: pass batches=[inputs, ...]")
        if early_time and not isinstance(getattr(network, "timesteps", None), int):
            raise InputError(
                f"early_time sets the attribute timesteps of the network, {type(network).__name__} has none: add it"
            )
        self.early_bird = early_bird
        self.early_time = early_time
        self.check_every = max(1, steps // 50)

    def _start(self) -> None:
        if self.rewind == 0:
            self._store_early_weights()
        super()._start()

    def _update(self) -> None:
        if self.phase is Phase.SEARCHING and self.steps_done == self.rewind:
            self._store_early_weights()
        if self.phase is Phase.SEARCHING and self.early_time and self.steps_done == (self.rewind or self.check_every):
            self._reduce_timesteps()
        if self.phase is Phase.SEARCHING and self.early_bird and self.steps_done % self.check_every == 0:
            self._prune_if_stable()
        super()._update()

    def _prune_to(self, density: float) -> None:
        if self.phase is not Phase.SEARCHING:
            return
        super()._prune_to(density)
        if "early" in self.state:
            for name, parameter in self.parameters.items():
                parameter.data.copy_(masked(self.state["early"][name], self.state["mask"][name]))
                forget(self.optimizer, parameter)
        if density <= self.density:
            self._end_search()

    def _store_early_weights(self) -> None:
        """Store the weights for rewinding."""
        self.state["early"] = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def _end_search(self) -> None:
        """Drop the state of the search, and restore the number of time steps."""
        self.phase = Phase.FIXED
        self.state = {"mask": self.state["mask"]}
        self._set_timesteps()

    # --- Early-Bird and Early-Time

    def _prune_if_stable(self) -> None:
        """Prune to the current ticket if it is nearly that of the last checks."""
        now = self._choose(self._scores(), self.density)
        seen = [self.state[kind] for kind in self.state if kind.startswith("seen")]
        if len(seen) == COMPARED and all(changed(before, now) < TOLERANCE for before in seen):
            self._prune_to(self.density)
            return
        kept = [*seen, {name: mask.to(self.parameters[name].dtype) for name, mask in now.items()}][-COMPARED:]
        self.state |= {f"seen{index}": masks for index, masks in enumerate(kept)}

    def _reduce_timesteps(self) -> None:
        network: Any = self.network
        self.numbers |= {"all_timesteps": network.timesteps, "timesteps": early_timesteps(network, self.batches)}
        self._set_timesteps()

    def _infer_phase(self) -> Phase:
        return Phase.FIXED if self.numbers.pop("found", 0) else Phase.SEARCHING

    def _set_timesteps(self) -> None:
        if "timesteps" in self.numbers:
            network: Any = self.network
            network.timesteps = self.numbers["timesteps" if self.phase is Phase.SEARCHING else "all_timesteps"]

    # --- The end

    def _finish(self) -> None:
        if self.phase is Phase.SEARCHING:
            self.state.pop("early", None)  # a training that was stopped early is not rewound: nothing would follow
            super()._finish()

    def detach(self) -> None:
        """Do as `Method.detach`, and restore the network's number of time steps."""
        super().detach()
        if "all_timesteps" in self.numbers:
            network: Any = self.network
            network.timesteps = self.numbers["all_timesteps"]

    def _kinds_in(self, phase: Phase, steps_done: int) -> Collection[str]:
        stored = phase is Phase.SEARCHING and self.rewind is not None and steps_done >= self.rewind
        return (*super()._kinds_in(phase, steps_done), *(("early",) if stored else ()))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Do as `Method.load_state_dict`, and set the network's number of time steps to that of the search, if any."""
        super().load_state_dict(state)
        self._set_timesteps()


@register("uticket")
class UTicket(IterativeMagnitude):
    """Prune as `IterativeMagnitude`, with synapses balanced over 16 processing elements in every round.

    Yin et al., "Workload-Balanced Pruning for Sparse Spiking Neural Networks", 2023. For 8 elements give
    `allocation="balanced=8"`; see `allocation.balanced`. Arguments as `IterativeMagnitude`.
    """

    ALLOCATION = "balanced=16"


# --- Early-Bird and Early-Time


def changed(before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> float:
    """Return the share of a ticket's synapses that are not in an earlier ticket, in [0, 1].

    The published distance (You et al., "Drawing Early-Bird Tickets", ICLR 2020) divides the differences by the number
    of all synapses; at a density of 1 % it is below 2 % for any two tickets. This one divides by those kept.

    Args:
        before: name -> 1 or 0, or boolean.
        now: name -> boolean, the same shapes.
    """
    new = sum(int((mask & (before[name] == 0)).sum()) for name, mask in now.items())
    return new / max(1, sum(int(mask.sum()) for mask in now.values()))


@checked
def early_timesteps(network: Any, batches: Batches, *, threshold: Fraction = 0.6) -> int:
    r"""Return the smallest number of time steps whose output is close to that of all T time steps (Early-Time).

    It is the first t with :math:`KL(P_t \| P_T) / KL(P_2 \| P_T)` below the threshold, where :math:`P_t` is the softmax
    of the output's mean over the first t steps (Kim et al., "Exploring Lottery Ticket Hypothesis in Spiking Neural
    Networks", ECCV 2022, section 4.2).

    Args:
        network: returns [T, B, classes]; unchanged afterwards.
        batches: inputs, with or without labels.
        threshold: in [0, 1].

    Returns:
        3 to T; T if no smaller number is close enough.

    Raises:
        InputError: no batches, or the output has no time axis.
    """
    batches = batches_of(batches)
    if not batches:
        raise InputError("Early-Time needs data, found no batches: pass batches=[inputs, ...]")
    divergence = torch.zeros(0, device="cpu")
    with torch.no_grad(), probing(network):
        for batch in batches:
            reset_neurons(network)
            output = run(network, inputs_of(batch), of=network).float()
            if output.dim() != 3:
                raise InputError(f"Early-Time needs outputs [T, B, classes], found shape {tuple(output.shape)}")
            found = _divergence(output).cpu()
            divergence = found + divergence if divergence.numel() else found
    timesteps = len(divergence)
    for t in range(3, timesteps):
        if divergence[t - 1] < threshold * divergence[1]:
            return t
    return timesteps


def _divergence(output: Tensor) -> Tensor:
    """Return KL(P_t || P_T) for t = 1 to T, summed over the batch."""
    steps = torch.arange(1, len(output) + 1, device=output.device)[:, None, None]
    logs = F.log_softmax(output.cumsum(0) / steps, dim=-1)
    return (logs.exp() * (logs - logs[-1])).sum((1, 2))
