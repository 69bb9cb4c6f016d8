"""Soft Deep R: all strengths walk with noise, the dormant ones too, down to a floor."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..compiling import compiled
from ..draws import generator
from ..errors import InputError
from .base import Moved
from .moments import prior_step
from .registry import register
from .strength import hush, reveal, walk
from .strengths import SEEDLING, Strengths


@register("softdeepr")
class SoftDeepR(Strengths):
    r"""Soft Deep Rewiring: what is dormant comes back by chance alone.

    Bellec, Kappel, Maass, Legenstein: "Deep Rewiring: Training very sparse deep networks", ICLR 2018, algorithm 2. As
    Grad R a weight is :math:`w = s\, relu(\theta)`; but the gradient moves only synapses that exist, and noise moves
    all. What the optimizer remembers of a synapse that has just become dormant (Adam's mean, a momentum) moves it on
    for a while; the paper's optimizer remembers nothing.

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
            With a density nothing presses, alpha stands here as 0.01, and the floor is only how deep a dormant
            strength can lie: a few hundred steps of the noise below 0.
        options: as `GradR`, without `power` and `allocation`.

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
        **options: Any,
    ) -> None:
        if not (temperature > 0 and math.isfinite(temperature)):
            raise InputError(f"temperature must be above 0: without noise nothing comes back; found {temperature}")
        if floor is not None and not floor <= 0:
            raise InputError(f"floor must be 0 or less, found {floor}")
        super().__init__(network, optimizer, **options)
        share = 1 - self.density if self.density else options.get("sparsity") or 0.95
        self.floor = temperature * math.log(max(1 - share, 1e-9)) / self.alpha if floor is None else floor
        self.temperature = temperature
        self._hush, self._walk = hush, walk

    # --- One step

    def _before(self, moved: Sequence[Moved]) -> None:
        if not self.frozen:
            self._hush([entry.gradient for entry in moved], [entry.parameter.data for entry in moved])
        super()._before(moved)

    def _after(self, moved: Sequence[Moved]) -> None:
        if self.frozen:
            return super()._after(moved)
        weights = self._point_back(moved)
        for entry, weight in zip(moved, weights, strict=True):
            self._draw_noise(entry.name, weight)  # the weights are written last: until then their memory is free
        rates = [prior_step(self.optimizer, entry.group, entry.parameter) for entry in moved]
        force = [rate * self.alpha if self.density is None else 0.0 for rate in rates]
        spread = [(2 * rate * self.temperature) ** 0.5 for rate in rates]
        return self._walk(self._of(moved, "hidden"), self._of(moved, "sign"), weights, force, spread, self.floor)

    def _draw_noise(self, name: str, out: Tensor) -> None:
        """Standard normal numbers, the same for the same step, so that a resumed run draws them again."""
        numbers = generator(self.seed, self.steps, list(self.parameters).index(name), device=out.device)
        if out.is_contiguous():
            out.normal_(generator=numbers)
        else:  # drawn in the order of the indices, whatever the order in memory
            out.copy_(torch.randn(out.shape, generator=numbers, dtype=out.dtype, device=out.device))

    def compile(self) -> None:
        """Compile the arithmetic of a step: two passes over memory instead of nine."""
        self._hush, self._walk = compiled(hush), compiled(walk)

    # --- With a density

    def _select(self, density: float) -> None:
        for name, keep in self._strongest(density).items():
            hidden, sign = self.state["hidden"][name], self.state["sign"][name]
            hidden.masked_fill_((hidden * sign > 0).logical_and_(~keep), 0)
            reveal([hidden], [sign], [self.parameters[name].data])

    def _strongest(self, density: float) -> dict[str, Tensor]:
        strengths = {name: hidden * self.state["sign"][name] for name, hidden in self.state["hidden"].items()}
        return self._best(strengths, density)

    def _freeze(self) -> None:
        assert self.density is not None
        alive = self._strongest(self.density)
        for name, parameter in self.parameters.items():
            sign = self.state["sign"][name]
            parameter.data.copy_((self.state["hidden"][name] * sign).clamp_(min=SEEDLING).mul_(sign))
        self._settle(alive)
