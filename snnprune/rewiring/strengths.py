"""Hidden strengths: a weight is a fixed sign times what of its strength is above 0."""

import logging
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..errors import InputError
from ..schedules import Polynomial
from ..selection import keep_largest
from ..synapses import Exclude
from .base import Moved
from .decay import shield_dormant
from .settling import Settling

logger = logging.getLogger(__name__)

# The closed loop's constants, chosen on a validation split of MNIST (docs/gradr.md has the figures).
INTERVAL = 100  # steps between two selections; less in a short training, so that the ramp has at least 50 of them
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
        exclude: Exclude = (),
    ) -> None:
        _check_options(alpha, sparsity, density, steps, settle, scope)
        super().__init__(network, optimizer, exclude=exclude)
        self.density, self.scope, self.draw_zero_signs = density, scope, draw_zero_signs
        self.total_steps = steps or 0
        self.settled_at = max(1, round(settle * self.total_steps))
        every = min(INTERVAL, max(1, self.settled_at // 50))
        self.schedule = None if density is None else Polynomial(density=density, end=self.settled_at, every=every)
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

    def _update(self) -> None:
        if not self.schedule or self.frozen:
            return
        if self.steps >= self.settled_at:
            self._freeze()
        elif self.schedule.updates_at(self.steps):
            self._select(self.schedule.density_at(self.steps))

    @abstractmethod
    def _select(self, density: float) -> None:
        """Let the strongest live on; the others are dormant, for now."""

    def _best(self, scores: dict[str, Tensor], density: float) -> dict[str, Tensor]:
        """The masks of the highest scores, of all tensors together or of each."""
        groups = [scores] if self.scope == "global" else [{name: score} for name, score in scores.items()]
        kept: dict[str, Tensor] = {}
        for group in groups:
            kept |= keep_largest(group, max(1, round(density * sum(score.numel() for score in group.values()))))
        return kept

    def _signs(self, name: str, hidden: Tensor) -> Tensor:
        signs = hidden.sign()
        zeros = signs == 0
        if self.draw_zero_signs and (count := int(zeros.sum())):
            drawn = torch.empty_like(signs).bernoulli_(0.5).mul_(2).sub_(1)
            signs = torch.where(zeros, drawn, signs)
            logger.warning(
                "%s: drew the sign of %d synapse(s) whose weight starts at exactly 0 and that could else never grow "
                "(draw_zero_signs=False keeps the published behaviour)",
                name,
                count,
            )
        return signs


def _check_options(
    alpha: float | None, sparsity: float | None, density: float | None, steps: int | None, settle: float, scope: str
) -> None:
    if alpha is not None and not (alpha > 0 and math.isfinite(alpha)):
        raise InputError(f"alpha must be a positive number, found {alpha}")
    if sparsity is not None and not 0.5 <= sparsity < 1:
        raise InputError(f"sparsity must be in [0.5, 1): the prior's centre is ln(2 (1 - sparsity)); found {sparsity}")
    if not 0 < settle <= 1:
        raise InputError(f"settle must be in (0, 1], found {settle}")
    if scope not in ("global", "layer"):
        raise InputError(f"scope must be 'global' or 'layer', found {scope!r}")
    if density is None:
        return
    if not 0 < density <= 1:
        raise InputError(f"density must be in (0, 1], found {density}")
    if alpha is not None or sparsity is not None:
        raise InputError(
            "give density, or alpha (with sparsity), not both: each decides how sparse the network becomes"
        )
    if steps is None or steps < 1:
        raise InputError(f"density needs steps, the optimizer steps of the whole training; found {steps}")
