"""Soft Deep R: noise moves the strengths of existing and dormant synapses, down to a floor."""

import math
from collections.abc import Collection, Sequence
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...compiling import compiled
from ...options import Interval, Seed, Share, Steps
from ...seeding import generator
from ...synapses import Exclude, Include, entries_of
from ..base import Phase, Trained
from ..optimizer_state import prior_step
from ..registry import register
from .hidden_strength import (
    SEEDLING,
    SETTLE,
    Alpha,
    HiddenStrength,
    Sparsity,
    check_sparsity_options,
    initial_signs,
    keep_best,
    mask_dormant_grad_,
    noisy_step_,
    reveal,
)

Temperature = Annotated[float, Interval(above=0, words="above 0, since only noise regrows synapses")]
Floor = Annotated[float, Interval(most=0)]


@register("softdeepr")
class SoftDeepR(HiddenStrength):
    r"""Soft Deep Rewiring: dormant synapses regrow by noise alone.

    Bellec, Kappel, Maass, Legenstein: "Deep Rewiring: Training very sparse deep networks", ICLR 2018, algorithm 2. As
    in Grad R a weight is :math:`w = s\, relu(\theta)`, but the gradient moves only existing synapses, and noise moves
    all. The optimizer's moments (Adam's mean, momentum) of a synapse that has just become dormant still move it for a
    while; the paper's optimizer has none.

    .. math:: \theta \leftarrow \max(\theta - 1_{\theta > 0}\, \eta\, s\, \partial L/\partial w - \eta\,\alpha
        + \sqrt{2 \eta T}\,\nu,\ \theta_{min})

    With `alpha` the sparsity is an outcome of prior, noise and floor. With `density`, ours, a closed loop replaces the
    prior: every 100 steps the weakest strengths are set to 0, by exact rank, on a cubic schedule.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        temperature: T of the noise, above 0.
        floor: theta_min, at most 0; None: T ln(1 - p) / alpha, which keeps the share p dormant under prior and noise
            alone, whose stationary distribution is exp(-alpha theta / T) above the floor. p is `sparsity`, or
            1 - `density`. With a density there is no prior: alpha is 0.01 in this formula, and the floor only limits
            how far below 0 a dormant strength can be, to a few hundred steps of the noise.
        alpha, sparsity, density, steps, settle, scope, draw_zero_signs, exclude, include: as `GradR`.
        seed: of the noise and of random signs.

    Raises:
        InputError: a value outside its range, or as `GradR`.
    """

    INSTEAD_OF_DENSITY = ("alpha", "sparsity")

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        temperature: Temperature = 1e-6,
        floor: Floor | None = None,
        alpha: Alpha | None = None,
        sparsity: Sparsity | None = None,
        density: Share | None = None,
        steps: Steps | None = None,
        settle: Share = SETTLE,
        scope: Literal["global", "layer"] = "global",
        draw_zero_signs: bool = True,
        seed: Seed = 0,
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        check_sparsity_options(alpha, sparsity, density, steps)
        super().__init__(
            network,
            optimizer,
            density=density,
            steps=steps,
            settle=None if density is None else settle,
            exclude=entries_of(exclude, include),
        )
        pressure = 1e-2 if alpha is None else alpha
        dormant = (sparsity or 0.95) if density is None else 1 - density
        self.alpha = pressure if density is None else 0.0
        self.floor = temperature * math.log(max(1 - dormant, 1e-9)) / pressure if floor is None else floor
        self.temperature = temperature
        self.scope = scope
        self.draw_zero_signs = draw_zero_signs
        self.seed = seed
        self._mask_dormant_grad = mask_dormant_grad_
        self._noisy_step = noisy_step_

    # --- One step

    def _start(self) -> None:
        hidden = self._copy_weights()
        signs = initial_signs(hidden, draw_zeros=self.draw_zero_signs, seed=self.seed)
        self._note_start()
        self.state = {"hidden": hidden, "sign": signs}

    def _before(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._before(trained)
        self._mask_dormant_grad([entry.gradient for entry in trained], [entry.parameter.data for entry in trained])
        return self._hide_weights(trained)

    def _after(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._after(trained)
        weights = self._restore_weights(trained)
        for entry, weight in zip(trained, weights, strict=True):
            self._draw_noise(entry.name, weight)  # weights are written last: until then their memory holds the noise
        rates = [prior_step(self.optimizer, entry.group, entry.parameter) for entry in trained]
        force = [rate * self.alpha for rate in rates]
        spread = [(2 * rate * self.temperature) ** 0.5 for rate in rates]
        hidden, sign = self._state_of("hidden", trained), self._state_of("sign", trained)
        return self._noisy_step(hidden, sign, weights, force, spread, self.floor)

    def _imply(self, name: str, out: Tensor) -> bool:
        if self.phase is Phase.FIXED:
            return super()._imply(name, out)
        reveal([self.state["hidden"][name]], [self.state["sign"][name]], [out])
        return True

    def _adopt(self, name: str, implied: Tensor) -> None:
        if self.phase is Phase.FIXED:
            super()._adopt(name, implied)
        else:
            self._adopt_signed(name, implied)

    def _hidden_kinds(self) -> Collection[str]:
        return ("hidden", "sign")

    def _draw_noise(self, name: str, out: Tensor) -> None:
        """Draw standard normal numbers, the same ones for the same step, so that a resumed run repeats them."""
        numbers = generator(self.seed, self.steps_done, list(self.parameters).index(name), device=out.device)
        if out.is_contiguous():
            out.normal_(generator=numbers)
        else:  # in the order of the indices, so that the memory layout does not change the numbers
            out.copy_(torch.randn(out.shape, generator=numbers, dtype=out.dtype, device=out.device))

    def compile(self) -> None:
        """Compile the arithmetic of a step: two passes over memory instead of nine."""
        self._mask_dormant_grad = compiled(mask_dormant_grad_)
        self._noisy_step = compiled(noisy_step_)

    # --- With a density

    def _select(self, density: float) -> None:
        for name, keep in self._strongest(density).items():
            hidden, sign = self.state["hidden"][name], self.state["sign"][name]
            hidden.masked_fill_((hidden * sign > 0).logical_and_(~keep), 0)
            reveal([hidden], [sign], [self.parameters[name].data])

    def _strongest(self, density: float) -> dict[str, Tensor]:
        strengths = {name: hidden * self.state["sign"][name] for name, hidden in self.state["hidden"].items()}
        self._findings.check_ranked(strengths, self.steps_done)
        return keep_best(strengths, density, self.scope)

    def _end_search(self) -> None:
        assert self.target_density is not None
        alive = self._strongest(self.target_density)
        for name, parameter in self.parameters.items():
            sign = self.state["sign"][name]
            parameter.data.copy_((self.state["hidden"][name] * sign).clamp_(min=SEEDLING).mul_(sign))
        self._fix(alive)
