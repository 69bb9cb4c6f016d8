"""Grad R to a density: selections at intervals keep exactly as many synapses as a schedule says."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...connectivity import Connectivity
from ..base import Trained
from ..optimizer_state import add_squares, gradient_sizes, keeps_squares
from .hidden_strength import SEEDLING, HiddenStrength

# (scores, density) -> masks
Choice = Callable[[dict[str, Tensor], float], dict[str, Tensor]]


class ClosedLoop:
    r"""Hidden strengths under an exact rank; no prior acts, and signs are free.

    A selection ranks dormant and living strengths together, by :math:`|\theta|\, v^{p/2}` with v the mean squared
    gradient (`optimizer_state.gradient_sizes`) and p = `power`. Those that are not kept are dormant until the next
    selection: their strength starts from 0 and the gradient moves it, in either direction, while the weight is 0. A
    dormant synapse that is selected comes back with weight 0: dormant synapses of one neuron gather the same step many
    times over, and all of them acting at once with what they gathered can blow a network up.

    Args:
        method: whose state this works on.
        power: of the gradients' root mean square in the ranking, 0 or more.
        choose: what a selection keeps, from scores and a density.
    """

    def __init__(self, method: HiddenStrength, *, power: float, choose: Choice) -> None:
        self.method, self.power, self.choose = method, power, choose

    def start(self) -> None:
        """Take strengths from the weights; every synapse is present."""
        method = self.method
        method.state["hidden"] = method._copy_weights()
        method.state["present"] = method._full(1)
        if not keeps_squares(method.optimizer):
            method.state["square"] = method._full(0, precise=True)

    def before(self, trained: Sequence[Trained]) -> None:
        """Keep squared gradients where the optimizer does not, and swap the strengths in."""
        if "square" in self.method.state:
            add_squares(self.method.state["square"], trained)
        self.method._hide_weights(trained)

    def after(self, trained: Sequence[Trained], weights: list[Tensor]) -> None:
        """Write the weights: strengths where a synapse is present, 0 elsewhere."""
        hidden, present = (self.method._state_of(kind, trained) for kind in ("hidden", "present"))
        for h, there, weight in zip(hidden, present, weights, strict=True):
            torch.mul(h, there, out=weight)

    def undo(self, trained: Sequence[Trained], weights: list[Tensor]) -> None:
        """Nothing to do: the weights' memory was not used."""

    def compile(self) -> None:
        """Nothing to do: the arithmetic of a step is one pass over memory already."""

    def existing(self) -> Connectivity:
        """The synapses that exist now; one that came back at the last selection may still have weight 0."""
        return Connectivity({name: present != 0 for name, present in self.method.state["present"].items()})

    # --- Selections

    def select(self, density: float) -> None:
        """Keep the strongest at this density until the next selection."""
        for name, keep in self.strongest(density).items():
            hidden, present = self.method.state["hidden"][name], self.method.state["present"][name]
            hidden.mul_(present)
            present.copy_(keep)
            self.method.parameters[name].data.copy_(hidden.mul_(present))

    def end(self, density: float) -> dict[str, Tensor]:
        """Write the weights of the strongest at this density, and return their masks."""
        alive = self.strongest(density)
        for name, parameter in self.method.parameters.items():
            hidden = self.method.state["hidden"][name].mul_(self.method.state["present"][name])
            parameter.data.copy_(hidden.masked_fill_(alive[name] & (hidden == 0), SEEDLING))
        return alive

    def strongest(self, density: float) -> dict[str, Tensor]:
        """Masks of the synapses that a selection keeps."""
        method = self.method
        means = method.state.get("square") if method.steps_done else None
        sizes = gradient_sizes(method.optimizer, method.parameters, means)
        # In place, for the memory: |strength| size^power.
        scores = {name: size.pow_(self.power).mul_(method.state["hidden"][name]).abs_() for name, size in sizes.items()}
        return self.choose(scores, density)
