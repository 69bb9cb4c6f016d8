"""Soft Deep R: all strengths walk with noise, the dormant ones too, down to a floor."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..draws import generator
from ..errors import InputError
from .base import Moved, prior_step
from .registry import register
from .strengths import Strengths


@register("softdeepr")
class SoftDeepR(Strengths):
    r"""Soft Deep Rewiring: what is dormant comes back by chance alone.

    Bellec, Kappel, Maass, Legenstein: "Deep Rewiring: Training very sparse deep networks", ICLR 2018, algorithm 2. As
    Grad R a weight is :math:`w = s\, relu(\theta)`; but the gradient moves only synapses that exist, and noise moves
    all:

    .. math:: \theta \leftarrow \max(\theta - 1_{\theta > 0}\, \eta\, s\, \partial L/\partial w - \eta\,\alpha
        + \sqrt{2 \eta T}\,\nu,\ \theta_{min})

    With `alpha` the sparsity is an outcome of pressure, noise and floor. With `density`, ours, a closed loop does the
    work of the pressure: every 100 steps the weakest strengths are made dormant, by exact rank, on a cubic schedule.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        temperature: T of the noise, above 0.
        floor: theta_min, at most 0; None: T ln(1 - p) / alpha, which keeps the share p dormant under pressure and noise
            alone: their stationary law is exp(-alpha theta / T) above the floor. p is `sparsity`, or 1 - `density`.
        seed: of the noise.
        options: as `GradR`, without `power`.

    Raises:
        InputError: a value outside its range, or as `GradR`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        temperature: float = 1e-6,
        floor: float | None = None,
        seed: int = 0,
        **options: Any,
    ) -> None:
        if not temperature > 0:
            raise InputError(f"temperature must be above 0: without noise nothing comes back; found {temperature}")
        if floor is not None and floor > 0:
            raise InputError(f"floor must be 0 or less, found {floor}")
        super().__init__(network, optimizer, **options)
        share = 1 - self.density if self.density else options.get("sparsity") or 0.95
        self.floor = temperature * math.log(max(1 - share, 1e-9)) / self.alpha if floor is None else floor
        self.temperature, self.seed = temperature, seed
        self.mu = -torch.inf  # the prior presses everywhere in one direction

    def _before(self, moved: Sequence[Moved]) -> None:
        if not self.frozen:
            for entry in moved:
                assert entry.parameter.grad is not None
                entry.parameter.grad.mul_(entry.parameter != 0)
        super()._before(moved)

    def _after(self, moved: Sequence[Moved]) -> None:
        super()._after(moved)
        if self.frozen:
            return
        for entry in moved:
            hidden, sign = self.state["hidden"][entry.name], self.state["sign"][entry.name]
            rate = prior_step(self.optimizer, entry.group, entry.parameter)
            hidden.add_(self._noise(entry.name) * (2 * rate * self.temperature) ** 0.5)
            hidden.mul_(sign).clamp_(min=self.floor).mul_(sign)
        hidden, sign = self._of(moved, "hidden"), self._of(moved, "sign")
        self._reveal(hidden, sign, [entry.parameter.data for entry in moved])

    def _noise(self, name: str) -> Tensor:
        """The same for the same step, so that a resumed run draws it again."""
        like = self.parameters[name]
        numbers = generator(self.seed, self.steps, list(self.parameters).index(name), device=like.device)
        drawn = torch.randn(like.shape, generator=numbers, device=like.device)
        return torch.empty_like(like, requires_grad=False).copy_(drawn)
