"""STDS: synapses as dendritic spines, which exist if a hidden parameter is outside of a dead zone around 0."""

import math
from collections.abc import Collection, Sequence
from functools import reduce
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ...errors import InputError
from ...options import Positive, Share, Steps
from ...selection import keep_share
from ...synapses import Exclude, Include, entries_of
from .. import exact
from ..base import Phase, Trained
from ..registry import register
from ..search import Search


@register("stds")
class STDS(Search):
    r"""State Transition of Dendritic Spines (Chen, Yu, Fang, Ma, Huang, Tian, ICML 2022).

    .. math:: w = sign(\theta) \max(|\theta| - d, 0), \quad \partial L/\partial\theta := \partial L/\partial w

    The gradient moves :math:`\theta` inside the dead zone :math:`|\theta| \le d` too, so that a synapse can regrow,
    with either sign. The half width d of the zone grows over the training. Weight decay acts on :math:`\theta`, dormant
    or not.

    There are two ways to set the sparsity:

    - `width`: the published rule. d grows to `width`, in units of the weights, on half a sine or on a line over all
      steps. The sparsity is an outcome, and depends on the scale of the initial weights.
    - `density`: our closed loop. Every 100 steps d is set so that exactly the number of synapses of a cubic schedule is
      outside of the zone; after the share `settle` of the steps the connectivity is fixed and the weights are trained.

    Memory: one tensor the size of the weights.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        steps: optimizer steps of the whole training.
        width: final half width d, above 0. Excludes `density`.
        growth: of d up to `width`: "sine" or "linear".
        density: share of the synapses to end with, in (0, 1].
        settle: share of `steps` after which the closed loop ends, in (0, 1].
        exclude: synapses to leave dense.
        include: parameters to take as synapses, as in `find_synapses`.

    Raises:
        InputError: a value outside its range, neither or both of `width` and `density`, or as `Method`.
    """

    INSTEAD_OF_DENSITY = ("width",)

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        steps: Steps,
        width: Positive | None = None,
        growth: Literal["sine", "linear"] = "sine",
        density: Share | None = None,
        settle: Share = 0.65,
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        if (width is None) == (density is None):
            found = "neither" if width is None else "both"
            raise InputError(f"give either density or width, found {found}: each sets the sparsity")
        super().__init__(
            network,
            optimizer,
            density=density,
            steps=steps,
            settle=None if density is None else settle,
            exclude=entries_of(exclude, include),
        )
        self.final_width = width
        self.growth = growth

    @property
    def dead_zone(self) -> Tensor:
        """The current half width d of the zone in which synapses are dormant; without dimensions."""
        width = self.numbers["width"]
        assert isinstance(width, Tensor)
        return width

    def width_at(self, step: int) -> float:
        """Return the published d after `step` steps."""
        assert self.final_width is not None
        assert self.total_steps is not None
        done = min(step / self.total_steps, 1.0)
        return self.final_width * (done if self.growth == "linear" else (1 + math.sin(math.pi * (done - 0.5))) / 2)

    # --- One step

    def _start(self) -> None:
        self._note_start()
        self.state["hidden"] = self._copy_weights()
        # In the widest dtype of the weights: rounded down, d would leave synapses outside of the zone by mistake.
        first, *others = (parameter.dtype for parameter in self.parameters.values())
        dtype = reduce(torch.promote_types, others, torch.promote_types(first, torch.float32))
        self.numbers["width"] = torch.zeros((), dtype=dtype, device=next(iter(self.parameters.values())).device)

    def _before(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._before(trained)
        return self._swap_in(trained, [self.state["hidden"][entry.name] for entry in trained])

    def _after(self, trained: Sequence[Trained]) -> None:
        if self.phase is Phase.FIXED:
            return super()._after(trained)
        if self.final_width is not None:
            self.dead_zone.fill_(self.width_at(self.steps_done + 1))
        for entry, weight in zip(trained, self._restore_weights(trained), strict=True):
            _reveal(self.state["hidden"][entry.name], self.dead_zone, weight)
        return None

    def _imply(self, name: str, out: Tensor) -> bool:
        if self.phase is Phase.FIXED:
            return super()._imply(name, out)
        if self.parameters[name].requires_grad:
            _reveal(self.state["hidden"][name], self.dead_zone, out)
        else:  # frozen weights are not shrunk by d
            out.copy_(self.state["hidden"][name])
        return True

    def _adopt(self, name: str, implied: Tensor) -> None:
        if self.phase is Phase.FIXED:
            return super()._adopt(name, implied)
        hidden, weight = self.state["hidden"][name], self.parameters[name].data
        if not self.parameters[name].requires_grad:
            hidden.copy_(weight)
            return None
        exists = implied != 0
        self._zero_absent(name, exists)
        changed = exists & (weight != implied)
        hidden.copy_(torch.where(changed, weight + weight.sign() * self.dead_zone.to(weight.dtype), hidden))
        return None

    def _hidden_kinds(self) -> Collection[str]:
        return ("hidden",)

    def _numbers_in(self, phase: Phase) -> Collection[str]:
        return () if phase is Phase.WAITING else ("width",)

    def _select(self, density: float) -> None:
        self._widen(density)

    def _widen(self, density: float) -> dict[str, Tensor]:
        """Set the dead zone and the weights to this density, and return the masks of existing synapses."""
        sizes = {name: hidden.abs() for name, hidden in self.state["hidden"].items()}
        self._findings.check_ranked(sizes, self.steps_done)
        alive = keep_share(sizes, density)
        dormant = [size.masked_fill_(alive[name], 0).amax() for name, size in sizes.items()]
        self.dead_zone.copy_(torch.stack(dormant).amax())
        for name, parameter in self.parameters.items():
            if parameter.requires_grad:  # frozen weights are not shrunk by d
                _reveal(self.state["hidden"][name], self.dead_zone, parameter.data)
        return alive

    def _end_search(self) -> None:
        assert self.target_density is not None
        self._fix(self._widen(self.target_density))


def _reveal(hidden: Tensor, width: Tensor, weight: Tensor) -> None:
    """Write weight = sign(hidden) * max(|hidden| - width, 0)."""
    if exact.on_host(width):
        torch.ops.aten.softshrink.out(hidden, width.item(), out=weight)
    else:  # the same without reading the width back
        torch.clamp(hidden, -width, width, out=weight)
        torch.sub(hidden, weight, out=weight)
