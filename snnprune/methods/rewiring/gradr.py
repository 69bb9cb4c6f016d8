"""Grad R: each synapse has a hidden strength that the gradient moves even while the synapse is dormant."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from ... import allocation as allocations
from ...allocation import Allocation
from ...connectivity import Connectivity
from ...errors import InputError
from ...synapses import Exclude, entries_of, geometry
from ..base import Phase, Trained
from ..checks import check_scope
from ..registry import register
from .closed_loop import Choice, ClosedLoop
from .hidden_strength import SETTLE, HiddenStrength, check_sparsity_options, keep_best
from .published_rule import PublishedRule


@register("gradr")
class GradR(HiddenStrength):
    r"""Gradient rewiring (Chen, Yu, Fang, Huang, Tian: "Pruning of Deep Spiking Neural Networks through Gradient
    Method", IJCAI 2021).

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
    - `density` and `steps`: ours. Every 100 steps a selection keeps synapses by exact rank, so that the density
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
            or as `Method`.
    """

    INSTEAD_OF_DENSITY = ("alpha", "sparsity")

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
        check_sparsity_options(alpha, sparsity, density, steps)
        check_scope(scope)
        if not power >= 0:
            raise InputError(f"power must be 0 or more, found {power}")
        if allocation is not None and (density is None or scope != "global"):
            raise InputError("an allocation needs a density, and takes the place of scope")
        exclude = entries_of(exclude)
        self.rule: PublishedRule | ClosedLoop
        if density is None:
            self.rule = PublishedRule(
                self,
                alpha=1e-2 if alpha is None else alpha,
                sparsity=0.95 if sparsity is None else sparsity,
                draw_zero_signs=draw_zero_signs,
                seed=seed,
            )
        else:
            self.rule = ClosedLoop(self, power=power, choose=_choice(network, exclude, allocation, scope))
        ends = None if density is None else settle
        super().__init__(network, optimizer, density=density, steps=steps, settle=ends, exclude=exclude)

    # --- One step

    def _start(self) -> None:
        self.rule.start()

    def _before(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._before(trained)
        return self.rule.before(trained)

    def _after(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._after(trained)
        return self.rule.after(trained, self._restore_weights(trained))

    def _undo_before(self, trained: Sequence[Trained]) -> None:
        self.rule.undo(trained, self._restore_weights(trained))

    def compile(self) -> None:
        """Compile the arithmetic of a step, where that saves passes over memory."""
        self.rule.compile()

    def _existing(self) -> Connectivity:
        if self.phase is Phase.SEARCHING:
            return self.rule.existing()
        return super()._existing()

    # --- With a density

    def _select(self, density: float) -> None:
        self._closed_loop.select(density)

    def _end_search(self) -> None:
        assert self.target_density is not None
        self._fix(self._closed_loop.end(self.target_density))

    @property
    def _closed_loop(self) -> ClosedLoop:
        assert isinstance(self.rule, ClosedLoop), "without a density the search never ends"
        return self.rule


def _choice(
    network: nn.Module,
    exclude: Exclude,
    allocation: str | Mapping[str, float] | Allocation | None,
    scope: str,
) -> Choice:
    """The choice of a selection: by an allocation, or by rank within `scope`."""
    if allocation is None:
        return partial(keep_best, scope=scope)
    return partial(_allocated, network, exclude, allocations.find(allocation))


def _allocated(
    network: nn.Module, exclude: Exclude, allocate: Allocation, scores: dict[str, Tensor], density: float
) -> dict[str, Tensor]:
    return dict(allocate(scores, density, geometry(network, exclude=exclude)))
