"""Grad R: each synapse has a hidden strength that the gradient moves even while the synapse is dormant."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from ... import allocation as allocations
from ...allocation import Allocation
from ...connectivity import Connectivity
from ...errors import InputError
from ...options import NonNegative, Seed, Share, Steps
from ...synapses import Exclude, Include, entries_of, geometry
from ..base import Phase, Trained
from ..registry import register
from .closed_loop import Choice, ClosedLoop
from .hidden_strength import SETTLE, Alpha, HiddenStrength, Sparsity, check_sparsity_options, keep_best
from .published_rule import PublishedRule


@register("gradr")
class GradR(HiddenStrength):
    r"""Gradient rewiring: synapses are pruned by a prior, or by selections, and regrow by their gradient.

    Chen, Yu, Fang, Huang, Tian: "Pruning of Deep Spiking Neural Networks through Gradient Rewiring", IJCAI 2021. A
    weight is :math:`w = s \cdot relu(\theta)` with a sign s drawn once and a hidden strength :math:`\theta`. A synapse
    with :math:`\theta \le 0` is dormant: its weight is 0. The gradient
    :math:`\partial L / \partial\theta := s \cdot \partial L / \partial w` is used for dormant synapses too, so that
    they can regrow. A Laplace prior around :math:`\mu = \ln(2 (1 - p)) / \alpha` lowers the strengths:

    .. math:: \theta \leftarrow \theta - \eta\, s\, \partial L / \partial w - \eta\, \alpha\, sign(\theta - \mu)

    The optimizer computes the first part of that step, with its own treatment of gradients (momentum, Adam's scaling).

    There are two ways to set the sparsity:

    - `alpha` (and `sparsity`): the published rule, `PublishedRule`. With Adam alpha is a threshold on the gradient's
      signal-to-noise ratio, with SGD on the gradient itself. The sparsity is an outcome. The published target
      p = `sparsity` acts only if strengths reach :math:`\mu`, which is rare: in the published settings with
      alpha = 1e-2, targets of 0.8, 0.95 and 0.99 all end at the same sparsity.
    - `density` and `steps`: our closed loop, `ClosedLoop`. Every 100 steps a selection keeps the synapses with the
      largest :math:`|\theta|\, v^{p/2}`, dormant or not, with v the mean squared gradient and p = `power`. Their number
      follows a cubic schedule (Zhu and Gupta 2017) over the first 65 % of `steps`. No prior acts. Then the connectivity
      is fixed, at exactly `density`, and the remaining weights are trained.

    Strengths are initialised with the weights at the first step. Memory: two tensors the size of the weights; with a
    density and an optimizer that keeps no squared gradients (SGD), three.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        alpha: strength of the prior, above 0. 1e-2 if neither it nor a density is given.
        sparsity: the published target p, in [0.5, 1). 0.95 if neither it nor a density is given.
        density: share of the synapses to end with, in (0, 1]. Excludes `alpha` and `sparsity`.
        steps: optimizer steps of the whole training; needed with `density`, unused without.
        settle: share of `steps` after which the connectivity is fixed, in (0, 1].
        scope: "global" ranks all synapses together, "layer" gives every tensor the same density.
        allocation: rule for the number of synapses of each layer or neuron, instead of `scope`: a name such as "lamp"
            or "fan-in=32", or a function, as in `allocation.find`.
        power: exponent of the gradients' root mean square in the ranking, 0 or more; 0 ranks by strength alone.
        draw_zero_signs: give weights that start at exactly 0 a random sign: without a sign they could never grow under
            the published rule. False keeps the published behaviour. Unused with a density, where signs are free.
        seed: of those signs.
        exclude: synapses to leave dense.
        include: parameters to take as synapses, as in `find_synapses`.

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
        alpha: Alpha | None = None,
        sparsity: Sparsity | None = None,
        density: Share | None = None,
        steps: Steps | None = None,
        settle: Share = SETTLE,
        scope: Literal["global", "layer"] = "global",
        power: NonNegative = 0.5,
        allocation: str | Mapping[str, float] | Allocation | None = None,
        draw_zero_signs: bool = True,
        seed: Seed = 0,
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        check_sparsity_options(alpha, sparsity, density, steps)
        if allocation is not None and (density is None or scope != "global"):
            raise InputError("allocation needs a density and replaces scope: give density, and leave scope out")
        exclude = entries_of(exclude, include)
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
        super().__init__(
            network,
            optimizer,
            density=density,
            steps=steps,
            settle=None if density is None else settle,
            exclude=exclude,
        )

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
        """Compile the arithmetic of a step, if that saves passes over memory."""
        self.rule.compile()

    def _existing(self) -> Connectivity:
        if self.phase is Phase.SEARCHING:
            return self.rule.existing()
        return super()._existing()

    def _imply(self, name: str, out: Tensor) -> bool:
        if self.phase is Phase.FIXED:
            return super()._imply(name, out)
        self.rule.imply(name, out)
        return True

    def _adopt(self, name: str, implied: Tensor) -> None:
        if self.phase is Phase.FIXED:
            super()._adopt(name, implied)
        else:
            self.rule.adopt(name, implied)

    def _hidden_kinds(self) -> Collection[str]:
        return self.rule.kinds()

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
    """Return the rule of a selection: an allocation, or the rank within `scope`."""
    if allocation is None:
        return partial(keep_best, scope=scope)
    return partial(_allocated, network, exclude, allocations.find(allocation))


def _allocated(
    network: nn.Module, exclude: Exclude, allocate: Allocation, scores: dict[str, Tensor], density: float
) -> dict[str, Tensor]:
    return dict(allocate(scores, density, geometry(network, exclude=exclude)))
