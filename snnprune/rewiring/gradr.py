"""Grad R: each synapse has a hidden strength that the gradient moves even while the synapse is dormant."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .. import allocation as allocations
from ..allocation import Allocation
from ..compiling import compiled
from ..connectivity import Connectivity
from ..errors import InputError
from ..synapses import Exclude, entries_of, geometry
from .base import Moved
from .moments import prior_step
from .registry import register
from .squares import add_squares, gradient_sizes, keeps_squares
from .strength import aim, press, reveal
from .strengths import SEEDLING, SETTLE, Strengths


@register("gradr")
class GradR(Strengths):
    r"""Gradient rewiring (Chen, Yu, Fang, Huang, Tian: "Pruning of Deep Spiking Neural Networks through Gradient
    Rewiring", IJCAI 2021).

    A weight is :math:`w = s \cdot relu(\theta)` with a sign s drawn once and a hidden strength
    :math:`\theta`. A synapse with :math:`\theta \le 0` is dormant, its weight is 0. The gradient
    :math:`\partial L / \partial\theta := s \cdot \partial L / \partial w` is used for dormant synapses too,
    so that they can grow back. A Laplace prior around :math:`\mu = \ln(2 (1 - p)) / \alpha` presses strengths down:

    .. math:: \theta \leftarrow \theta - \eta\, s\, \partial L / \partial w - \eta\, \alpha\, sign(\theta - \mu)

    The optimizer takes the first part of that step, whatever it does with a gradient (momentum, Adam's scaling).

    Two ways to say how sparse the network shall be:

    - `alpha` (and `sparsity`): the published rule. With Adam alpha is a threshold on the gradient's signal-to-noise
      ratio, with SGD on the gradient itself. The sparsity is an outcome. The published target p=`sparsity` only acts
      where :math:`\mu` is within reach, which it rarely is: at alpha=1e-2 in the published settings 0.8, 0.95 and 0.99
      all end at the same sparsity.
    - `density` and `steps`: ours. Every 100 steps a selection keeps so many synapses, by exact rank, that the density
      falls on a cubic schedule (Zhu and Gupta 2017) over the first 65 % of `steps`. The others are dormant until the
      next selection: their strength starts from 0 and the gradient moves it, in either direction, while their weight is
      0. A selection ranks dormant and living strengths together (those that come back live from weight 0 on), by
      :math:`|\theta|\, v^{p/2}` with v the mean squared gradient (`squares.gradient_sizes`) and p = `power`. No prior
      acts. Then the connectivity is frozen, at exactly `density`, and the weights that are left train on.

    Strengths are taken from the weights at the first step. Memory: two tensors the size of the weights; with a density
    and an optimizer that keeps no squared gradients (SGD), three.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        alpha: the prior's pressure, > 0. Default 1e-2 when no density is given.
        sparsity: the published target p, in [0.5, 1). Default 0.95 when no density is given.
        density: share of the synapses to end with, in (0, 1]. Excludes `alpha` and `sparsity`.
        steps: optimizer steps of the whole training; needed with `density`, unused without.
        settle: share of `steps` after which the connectivity is frozen, in (0, 1].
        scope: "global" ranks all synapses together, "layer" gives every tensor the same density.
        allocation: how many synapses each layer and neuron keeps, in place of `scope`: a name such as "lamp" or
            "fan-in=32", or a function, as `allocation.find`.
        power: of the gradients' root mean square in the ranking, 0 or more; 0 ranks by strength alone.
        draw_zero_signs: a weight that starts at exactly 0 has no sign and could never grow under the published rule;
            it gets a random one. False keeps the published behaviour. With a density signs are free, and it is unused.
        seed: of those signs.
        exclude: synapses to leave dense.

    Raises:
        InputError: a value outside its range, `density` with `alpha` or `sparsity`, `density` without `steps`,
            or as `Rewiring`.
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
        power: float = 0.5,
        allocation: str | Mapping[str, float] | Allocation | None = None,
        draw_zero_signs: bool = True,
        seed: int = 0,
        exclude: Exclude = (),
    ) -> None:
        if not power >= 0:
            raise InputError(f"power must be 0 or more, found {power}")
        if allocation is not None and (density is None or scope != "global"):
            raise InputError("an allocation needs a density, and takes the place of scope")
        super().__init__(
            network,
            optimizer,
            alpha=alpha,
            sparsity=sparsity,
            density=density,
            steps=steps,
            settle=settle,
            scope=scope,
            draw_zero_signs=draw_zero_signs,
            seed=seed,
            exclude=entries_of(exclude),
        )
        self.power, self.network, self.exclude = power, network, entries_of(exclude)
        self.allocation = None if allocation is None else allocations.find(allocation)
        self.mu = math.log(2 * (1 - (0.95 if sparsity is None else sparsity))) / self.alpha
        self._aim, self._press = aim, press

    def _start(self) -> None:
        if self.density is None:
            return super()._start()
        self.state["hidden"] = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        self.state["present"] = self._full(1)
        if not keeps_squares(self.optimizer):
            self.state["square"] = self._full(0, precise=True)
        return None

    # --- One step

    def _before(self, moved: Sequence[Moved]) -> None:
        if "square" in self.state:
            add_squares(self.state["square"], moved)
        super()._before(moved)
        if self.density is None:
            # The weights' memory, unused during the step, holds the prior's direction.
            self._aim(self._of(moved, "hidden"), self._of(moved, "sign"), self.mu, self._weights)

    def _after(self, moved: Sequence[Moved]) -> None:
        if self.frozen:
            return super()._after(moved)
        weights, hidden = self._point_back(moved), self._of(moved, "hidden")
        if self.density is None:
            force = [self.alpha * prior_step(self.optimizer, entry.group, entry.parameter) for entry in moved]
            return self._press(hidden, self._of(moved, "sign"), weights, weights, force)
        for h, there, weight in zip(hidden, self._of(moved, "present"), weights, strict=True):
            torch.mul(h, there, out=weight)
        return None

    def _abandon(self, moved: Sequence[Moved]) -> None:
        weights = self._point_back(moved)
        if weights and self.density is None:
            reveal(self._of(moved, "hidden"), self._of(moved, "sign"), weights)

    def compile(self) -> None:
        """Compile the arithmetic of a step: one pass over memory instead of four."""
        self._aim, self._press = compiled(aim), compiled(press)

    # --- With a density

    def _select(self, density: float) -> None:
        # Who comes back starts from 0: dormant synapses of one neuron gather the same step many times over, and to let
        # all of them act at once with what they gathered can blow a network up.
        for name, keep in self._strongest(density).items():
            hidden, present = self.state["hidden"][name], self.state["present"][name]
            hidden.mul_(present)
            present.copy_(keep)
            self.parameters[name].data.copy_(hidden.mul_(present))

    def _strongest(self, density: float) -> dict[str, Tensor]:
        means = self.state.get("square") if self.steps else None
        sizes = gradient_sizes(self.optimizer, self.parameters, means)
        # In place, for the memory: |strength| size^power.
        scores = {name: size.pow_(self.power).mul_(self.state["hidden"][name]).abs_() for name, size in sizes.items()}
        if self.allocation is None:
            return self._best(scores, density)
        return dict(self.allocation(scores, density, geometry(self.network, exclude=self.exclude)))

    def _freeze(self) -> None:
        assert self.density is not None
        alive = self._strongest(self.density)
        for name, parameter in self.parameters.items():
            hidden = self.state["hidden"][name].mul_(self.state["present"][name])
            parameter.data.copy_(hidden.masked_fill_(alive[name] & (hidden == 0), SEEDLING))
        self._settle(alive)

    def _existing(self) -> Connectivity:
        # One that came back at the last selection may still have weight 0.
        if "present" not in self.state:
            return super()._existing()
        return Connectivity({name: present != 0 for name, present in self.state["present"].items()})
