r"""Hidden strengths: a weight is :math:`w = s\, relu(\theta)`, with a sign s drawn once and a strength theta.

A synapse with a strength at or below 0 is dormant: its weight is 0, but its strength still changes. Tensors called
`hidden` hold :math:`s \theta`, which equals the weight of a synapse that is not dormant. The functions work in place
and take lists with one entry for each tensor of synapses, so that one compiled call updates them all.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated

import torch
from torch import Tensor

from ...errors import InputError
from ...options import Interval
from ...seeding import generator, uniform
from ...selection import keep_share
from ..base import Trained
from ..optimizer_state import shield_dormant
from ..search import Search

logger = logging.getLogger(__name__)

# Share of a training after which the closed loop ends; chosen on a validation split of MNIST (docs/gradr.md).
SETTLE = 0.65
# Weight of a dormant synapse that the last selection keeps: it exists, so its weight must not be 0.
SEEDLING = 1e-8

Alpha = Annotated[float, Interval(above=0, words="a positive number")]
Sparsity = Annotated[float, Interval(least=0.5, below=1, words="in [0.5, 1), so that the prior's mean is 0 or below")]


class HiddenStrength(Search):
    """Base of Grad R and soft Deep R: the optimizer updates `state["hidden"]` instead of the weights."""

    def _hide_weights(self, trained: Sequence[Trained]) -> None:
        """Let the optimizer update the strengths, while its weight decay acts on the weights."""
        hidden = self._state_of("hidden", trained)
        for entry, h in zip(trained, hidden, strict=True):
            shield_dormant(self.optimizer, entry.group, entry.parameter, h)
        self._swap_in(trained, hidden)

    def _adopt_signed(self, name: str, implied: Tensor) -> None:
        """Take changed weights as s * theta of existing synapses, with their sign as s; set those of others to 0."""
        hidden, sign = self.state["hidden"][name], self.state["sign"][name]
        weight = self.parameters[name].data
        exists = implied != 0
        self._zero_absent(name, exists)
        changed = exists & (weight != implied)
        hidden.copy_(torch.where(changed, weight, hidden))
        sign.copy_(torch.where(changed & (weight.abs() > 0), weight.sign(), sign))


# --- Arithmetic


def reveal(hidden: Sequence[Tensor], sign: Sequence[Tensor], weight: Sequence[Tensor]) -> None:
    """Write weight = s * relu(theta): the hidden value where its sign is s, 0 elsewhere."""
    for h, s, w in zip(hidden, sign, weight, strict=True):
        torch.mul(h, s, out=w).clamp_(min=0).mul_(s)


def prior_direction_(hidden: Sequence[Tensor], sign: Sequence[Tensor], mu: float, out: Sequence[Tensor]) -> None:
    """Write out = s * sign(theta - mu), which is sign(hidden - s * mu); the prior moves `hidden` against it."""
    for h, s, direction in zip(hidden, sign, out, strict=True):
        torch.add(h, s, alpha=-mu, out=direction).sign_()


def apply_prior_(
    hidden: Sequence[Tensor],
    sign: Sequence[Tensor],
    direction: Sequence[Tensor],
    weight: Sequence[Tensor],
    force: Sequence[float | Tensor],
) -> None:
    """Do the prior's part of a step, hidden -= force * direction; then write the weights, as `reveal`.

    Args:
        hidden: already updated by the optimizer.
        sign: s, 1 or -1.
        direction: of `prior_direction_`; may be the memory of `weight`.
        weight: written.
        force: numbers, or 0-dim tensors that must not be read back from a device.
    """
    for h, d, f in zip(hidden, direction, force, strict=True):
        add_scaled_(h, d, -f)
    reveal(hidden, sign, weight)


def noisy_step_(
    hidden: Sequence[Tensor],
    sign: Sequence[Tensor],
    noise: Sequence[Tensor],
    force: Sequence[float | Tensor],
    spread: Sequence[float | Tensor],
    floor: float,
) -> None:
    """Set theta to max(theta - force + spread * noise, floor); then write the weights into the memory of the noise.

    Args:
        hidden: already updated by the optimizer.
        sign: s, 1 or -1.
        noise: standard normal numbers; the weights afterwards.
        force: numbers, or 0-dim tensors that must not be read back from a device.
        spread: likewise.
        floor: at most 0.
    """
    for h, s, w, f, width in zip(hidden, sign, noise, force, spread, strict=True):
        add_scaled_(h, w, width)  # symmetric noise has the same effect on s * theta as on theta
        h.mul_(s).sub_(f).clamp_(min=floor)
        torch.clamp(h, min=0, out=w).mul_(s)
        h.mul_(s)


def mask_dormant_grad_(gradient: Sequence[Tensor], weight: Sequence[Tensor]) -> None:
    """Set the gradient of dormant synapses, whose weight is 0, to 0; also an infinite one."""
    for g, w in zip(gradient, weight, strict=True):
        g.masked_fill_(w == 0, 0)


def add_scaled_(values: Tensor, direction: Tensor, factor: float | Tensor) -> None:
    """Add factor * direction to `values`; a factor on a device is not read back."""
    if isinstance(factor, Tensor):
        values.addcmul_(direction, factor)
    else:
        values.add_(direction, alpha=factor)


# --- Signs, selection, checks


def initial_signs(hidden: Mapping[str, Tensor], *, draw_zeros: bool, seed: int) -> dict[str, Tensor]:
    """Return the signs s of initial weights.

    Args:
        hidden: name -> weights.
        draw_zeros: draw random signs for weights that are exactly 0, and log a warning; otherwise these signs are 0.
        seed: of the random signs.
    """
    signs = {}
    for index, (name, weight) in enumerate(hidden.items()):
        sign = weight.sign()
        zeros = sign == 0
        if draw_zeros and (count := int(zeros.sum())):
            chance = uniform(sign.shape, generator(seed, index))
            sign = torch.where(zeros, torch.where(chance < 0.5, 1, -1).to(sign), sign)
            logger.warning(
                "%s: drew random signs for %d synapse(s) whose weight starts at exactly 0 and which could otherwise "
                "never grow (draw_zero_signs=False keeps the published behaviour)",
                name,
                count,
            )
        signs[name] = sign
    return signs


def keep_best(scores: dict[str, Tensor], density: float, scope: str) -> dict[str, Tensor]:
    """Return masks of the highest scores, of all tensors together (scope "global") or of each ("layer")."""
    groups = [scores] if scope == "global" else [{name: score} for name, score in scores.items()]
    kept: dict[str, Tensor] = {}
    for group in groups:
        kept |= keep_share(group, density)
    return kept


def check_sparsity_options(
    alpha: float | None, sparsity: float | None, density: float | None, steps: int | None
) -> None:
    """Make sure that the sparsity is set in one way only.

    Raises:
        InputError: `density` with `alpha` or `sparsity`, or `density` without `steps`.
    """
    if density is not None and (alpha is not None or sparsity is not None):
        raise InputError("give either density or alpha (with sparsity), found both: each sets the sparsity")
    if density is not None and steps is None:
        raise InputError("density needs steps, found None: give the optimizer steps of the whole training")
