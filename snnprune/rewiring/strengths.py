"""Hidden strengths: a weight is a fixed sign times what of its strength is above 0."""

import logging
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..draws import generator
from ..errors import InputError
from ..selection import keep_share
from ..synapses import Exclude
from .base import Moved
from .checks import check_scope
from .decay import shield_dormant
from .settling import Settling

logger = logging.getLogger(__name__)

# Share of a training after which the closed loop ends; chosen on a validation split of MNIST (docs/gradr.md).
SETTLE = 0.65
# Strength given to a dormant synapse that the exact rank lets in at the end: it exists, so its weight is not zero.
SEEDLING = 1e-8


class Strengths(Settling):
    r"""Base of Grad R and soft Deep R: :math:`w = s\, relu(\theta)`, with a sign s drawn once and a strength
    :math:`\theta` that moves even while the synapse is dormant, at :math:`\theta \le 0`.

    With `alpha` a prior presses strengths down, and the sparsity is an outcome. With `density` no prior acts: every 100
    steps the weakest strengths are made dormant, by exact rank, so that the density falls on a cubic schedule over the
    first `settle` of `steps`; then the connectivity is frozen.

    Arguments as `GradR`, without `power` and `allocation`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        alpha: float | None = None,
        sparsity: float | None = None,
        density: float | None = None,
        steps: int | None = None,
        settle: float = SETTLE,
        scope: Literal["global", "layer"] = "global",
        draw_zero_signs: bool = True,
        seed: int = 0,
        exclude: Exclude = (),
    ) -> None:
        _check(alpha, sparsity, density, steps)
        check_scope(scope)
        super().__init__(network, optimizer, density=density, steps=steps, settle=settle, exclude=exclude)
        self.scope, self.draw_zero_signs, self.seed = scope, draw_zero_signs, seed
        self.alpha = 1e-2 if alpha is None else alpha

    # --- One step

    def _start(self) -> None:
        hidden = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.state = {"hidden": hidden, "sign": {name: self._signs(name, h) for name, h in hidden.items()}}

    def _before(self, moved: Sequence[Moved]) -> None:
        if self.frozen:
            return super()._before(moved)
        hidden = self._of(moved, "hidden")
        for entry, h in zip(moved, hidden, strict=True):
            shield_dormant(self.optimizer, entry.group, entry.parameter, h)
        return self._point_at(moved, hidden)

    def _of(self, moved: Sequence[Moved], kind: str) -> list[Tensor]:
        return [self.state[kind][entry.name] for entry in moved]

    # --- The closed loop

    def _best(self, scores: dict[str, Tensor], density: float) -> dict[str, Tensor]:
        """The masks of the highest scores, of all tensors together or of each."""
        groups = [scores] if self.scope == "global" else [{name: score} for name, score in scores.items()]
        kept: dict[str, Tensor] = {}
        for group in groups:
            kept |= keep_share(group, density)
        return kept

    def _signs(self, name: str, hidden: Tensor) -> Tensor:
        signs = hidden.sign()
        zeros = signs == 0
        if self.draw_zero_signs and (count := int(zeros.sum())):
            chance = torch.rand(signs.shape, generator=generator(self.seed, list(self.parameters).index(name)))
            signs = torch.where(zeros, (2.0 * (chance < 0.5) - 1).to(signs), signs)
            logger.warning(
                "%s: drew the sign of %d synapse(s) whose weight starts at exactly 0 and that could else never grow "
                "(draw_zero_signs=False keeps the published behaviour)",
                name,
                count,
            )
        return signs


def _check(alpha: float | None, sparsity: float | None, density: float | None, steps: int | None) -> None:
    if alpha is not None and not (alpha > 0 and math.isfinite(alpha)):
        raise InputError(f"alpha must be a positive number, found {alpha}")
    if sparsity is not None and not 0.5 <= sparsity < 1:
        raise InputError(f"sparsity must be in [0.5, 1): the prior's centre is ln(2 (1 - sparsity)); found {sparsity}")
    if density is not None and (alpha is not None or sparsity is not None):
        raise InputError(
            "give density, or alpha (with sparsity), not both: each decides how sparse the network becomes"
        )
    if density is not None and steps is None:
        raise InputError("density needs steps, the optimizer steps of the whole training: found None")
