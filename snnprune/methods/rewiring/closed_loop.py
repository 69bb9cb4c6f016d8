"""Grad R to a density: selections at intervals keep exactly the number of synapses of a schedule."""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from ...connectivity import Connectivity
from ..base import Trained
from ..exact import keep_, masked
from ..optimizer_state import add_squares, gradient_sizes, keeps_squares
from .hidden_strength import SEEDLING, HiddenStrength

# (scores, density) -> masks.
Choice = Callable[[dict[str, Tensor], float], dict[str, Tensor]]


class ClosedLoop:
    r"""Hidden strengths with selections by exact rank; no prior acts, and signs are free.

    A selection ranks the strengths of dormant and existing synapses together, by :math:`|\theta|\, v^{p/2}` with v the
    mean squared gradient (`optimizer_state.gradient_sizes`) and p = `power`. Synapses that are not kept are dormant
    until the next selection: their strength starts from 0 and the gradient moves it, in either direction, while the
    weight is 0. A dormant synapse that is selected starts with weight 0, not with its strength: all dormant synapses of
    a neuron follow the same gradient, and their accumulated strengths, added at once, can make a training diverge.

    Args:
        method: the method whose state is updated.
        power: exponent of the gradients' root mean square in the ranking, 0 or more.
        choose: selects masks from scores and a density.
    """

    def __init__(self, method: HiddenStrength, *, power: float, choose: Choice) -> None:
        self.method = method
        self.power = power
        self.choose = choose

    def start(self) -> None:
        """Initialise the strengths with the weights; synapses whose weight is not 0 are present."""
        method = self.method
        method.state["hidden"] = method._copy_weights()
        present = method._note_start()
        method.state["present"] = {name: mask.to(method.parameters[name].dtype) for name, mask in present.items()}
        if not keeps_squares(method.optimizer):
            method.state["square"] = method._full(0, precise=True)

    def before(self, trained: Sequence[Trained]) -> None:
        """Update the mean squared gradients, if the optimizer keeps none, and swap the strengths in."""
        if "square" in self.method.state:
            add_squares(self.method.state["square"], trained)
        self.method._hide_weights(trained)

    def after(self, trained: Sequence[Trained], weights: list[Tensor]) -> None:
        """Write the weights: strengths where a synapse is present, 0 elsewhere."""
        hidden, present = (self.method._state_of(kind, trained) for kind in ("hidden", "present"))
        for h, mask, weight in zip(hidden, present, weights, strict=True):
            masked(h, mask, out=weight)

    def undo(self, trained: Sequence[Trained], weights: list[Tensor]) -> None:
        """Do nothing: `before` did not use the weights' memory."""

    def compile(self) -> None:
        """Do nothing: the arithmetic of a step is a single pass over memory."""

    def existing(self) -> Connectivity:
        """Return the synapses that exist now; those selected last may still have weight 0."""
        return Connectivity({name: present != 0 for name, present in self.method.state["present"].items()})

    def imply(self, name: str, out: Tensor) -> None:
        """Write the weights that strengths and presence imply; nan where an absent strength is infinite."""
        torch.mul(self.method.state["hidden"][name], self.method.state["present"][name], out=out)

    def adopt(self, name: str, implied: Tensor) -> None:
        """Take changed weights as the strengths of present synapses, and set those of the others to 0."""
        hidden, present = self.method.state["hidden"][name], self.method.state["present"][name] != 0
        weight = self.method.parameters[name].data
        self.method._zero_absent(name, present)
        hidden.copy_(torch.where(present, weight, hidden))

    def kinds(self) -> Collection[str]:
        """Return the kinds of state during the search."""
        return ("hidden", "present") if keeps_squares(self.method.optimizer) else ("hidden", "present", "square")

    # --- Selections

    def select(self, density: float) -> None:
        """Keep the strongest at this density until the next selection."""
        for name, keep in self.strongest(density).items():
            hidden, present = self.method.state["hidden"][name], self.method.state["present"][name]
            keep_(hidden, present)
            present.copy_(keep)
            self.method.parameters[name].data.copy_(keep_(hidden, present))

    def end(self, density: float) -> dict[str, Tensor]:
        """Write the weights of the strongest at this density, and return their masks."""
        alive = self.strongest(density)
        for name, parameter in self.method.parameters.items():
            hidden = keep_(self.method.state["hidden"][name], self.method.state["present"][name])
            parameter.data.copy_(hidden.masked_fill_(alive[name] & (hidden == 0), SEEDLING))
        return alive

    def strongest(self, density: float) -> dict[str, Tensor]:
        """Return the masks of the synapses that a selection keeps."""
        method = self.method
        means = method.state.get("square") if method.steps_done else None
        sizes = gradient_sizes(method.optimizer, method.parameters, means)
        # |strength| * size^power, in place to save memory.
        scores = {name: size.pow_(self.power).mul_(method.state["hidden"][name]).abs_() for name, size in sizes.items()}
        method._findings.check_ranked(scores, method.steps_done)
        return self.choose(scores, density)
