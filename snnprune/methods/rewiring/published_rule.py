"""Grad R as published: a prior lowers the hidden strengths, and the sparsity is an outcome."""

import math
from collections.abc import Collection, Sequence

from torch import Tensor

from ...compiling import compiled
from ...connectivity import Connectivity
from ..base import Trained
from ..optimizer_state import prior_step
from .hidden_strength import HiddenStrength, apply_prior_, initial_signs, prior_direction_, reveal


class PublishedRule:
    r"""The update of Grad R (IJCAI 2021, equations 8 to 12), with a Laplace prior around mu.

    .. math:: \theta \leftarrow \theta - \eta\, s\, \partial L / \partial w - \eta\, \alpha\, sign(\theta - \mu),
        \quad \mu = \ln(2 (1 - p)) / \alpha

    The optimizer computes the first part of that step, with its own treatment of gradients; :math:`\eta` of the second
    part is its learning rate, bias-corrected for the Adam family as in the published code. The search never ends.

    Args:
        method: the method whose state is updated.
        alpha: strength of the prior, above 0.
        sparsity: the published target p, in [0.5, 1).
        draw_zero_signs: draw random signs for weights that start at exactly 0.
        seed: of those signs.
    """

    def __init__(
        self, method: HiddenStrength, *, alpha: float, sparsity: float, draw_zero_signs: bool, seed: int
    ) -> None:
        self.method = method
        self.alpha = alpha
        self.mu = math.log(2 * (1 - sparsity)) / alpha
        self.draw_zero_signs = draw_zero_signs
        self.seed = seed
        self._prior_direction = prior_direction_
        self._apply_prior = apply_prior_

    def start(self) -> None:
        """Initialise strengths and signs from the weights."""
        hidden = self.method._copy_weights()
        signs = initial_signs(hidden, draw_zeros=self.draw_zero_signs, seed=self.seed)
        self.method.state = {"hidden": hidden, "sign": signs}

    def before(self, trained: Sequence[Trained]) -> None:
        """Swap the strengths in, and store the direction of the prior at the strengths before the step."""
        self.method._hide_weights(trained)
        # The weights' memory is unused during the step: it holds the direction.
        self._prior_direction(*self._strengths(trained), self.mu, self.method._weights)

    def after(self, trained: Sequence[Trained], weights: list[Tensor]) -> None:
        """Add the prior's part of the step, and write the weights."""
        optimizer = self.method.optimizer
        force = [self.alpha * prior_step(optimizer, entry.group, entry.parameter) for entry in trained]
        self._apply_prior(*self._strengths(trained), weights, weights, force)

    def undo(self, trained: Sequence[Trained], weights: list[Tensor]) -> None:
        """Restore the weights that `before` overwrote with directions."""
        if weights:
            reveal(*self._strengths(trained), weights)

    def compile(self) -> None:
        """Compile the arithmetic of a step: one pass over memory instead of four."""
        self._prior_direction = compiled(prior_direction_)
        self._apply_prior = compiled(apply_prior_)

    def existing(self) -> Connectivity:
        """Return the synapses that exist now."""
        return Connectivity({name: weight.detach() != 0 for name, weight in self.method.parameters.items()})

    def imply(self, name: str, out: Tensor) -> None:
        """Write the weights that the strengths imply."""
        reveal([self.method.state["hidden"][name]], [self.method.state["sign"][name]], [out])

    def adopt(self, name: str, implied: Tensor) -> None:
        """Take changed weights as the strengths of existing synapses, with their signs; set the others to 0."""
        self.method._adopt_signed(name, implied)

    def kinds(self) -> Collection[str]:
        """Return the kinds of state during the search."""
        return ("hidden", "sign")

    def _strengths(self, trained: Sequence[Trained]) -> tuple[list[Tensor], list[Tensor]]:
        return self.method._state_of("hidden", trained), self.method._state_of("sign", trained)
