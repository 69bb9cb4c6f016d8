"""Controls: dense training, and a connectivity that is given and never changes."""

import os
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..errors import InputError
from ..seeding import generator
from ..synapses import Exclude
from .base import Method, Phase, Trained
from .masked import Masked
from .registry import register


@register("dense")
class Dense(Method):
    """Dense training: the baseline that other methods are compared with."""

    def __init__(self, network: nn.Module, optimizer: Optimizer, *, exclude: Exclude = ()) -> None:
        super().__init__(network, optimizer, exclude=exclude)

    def _start(self) -> None:
        self.phase = Phase.FIXED

    def _before(self, trained: Sequence[Trained]) -> None:
        """Nothing to do."""

    def _after(self, trained: Sequence[Trained]) -> None:
        """Nothing to do."""

    def _existing(self) -> Connectivity:
        return Connectivity(
            {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in self.parameters.items()}
        )


@register("fixed")
class Fixed(Masked):
    """Trains a given connectivity from the first step on.

    With a fresh network these are the controls of a comparison: the connectivity that a method found, trained from
    scratch (Liu et al., "Rethinking the Value of Network Pruning", ICLR 2019), and the same number of synapses in each
    layer drawn at random (Su et al., "Sanity-Checking Pruning Methods", NeurIPS 2020). With weights as well it is
    fine-tuning.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        connectivity: of that network, or the file that holds it. Synapses that it does not name stay dense.
        shuffle: draw the same number of synapses in each layer at random instead.
        seed: of that drawing.
        exclude: synapses to leave dense; the connectivity must not name them.

    Raises:
        InputError: the connectivity is of another network, or as `Method`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Optimizer,
        *,
        connectivity: Connectivity | str | os.PathLike[str],
        shuffle: bool = False,
        seed: int = 0,
        exclude: Exclude = (),
    ) -> None:
        given = connectivity if isinstance(connectivity, Connectivity) else Connectivity.load(connectivity)
        given.check(network)
        super().__init__(network, optimizer, exclude=exclude)
        if excluded := [name for name in given if name not in self.parameters]:
            raise InputError(f"the connectivity names {', '.join(excluded)}, which exclude takes out")
        self.given = shuffled(given, seed) if shuffle else given

    def _start(self) -> None:
        super()._start()
        self._keep({name: mask.to(self.parameters[name].device) for name, mask in self.given.items()})
        self.phase = Phase.FIXED


def shuffled(connectivity: Connectivity, seed: int = 0) -> Connectivity:
    """A connectivity with as many synapses in each tensor, at positions drawn uniformly; on the CPU."""
    numbers = generator(seed)
    masks = {}
    for name, mask in connectivity.items():
        order = torch.randperm(mask.numel(), generator=numbers)
        masks[name] = mask.cpu().reshape(-1)[order].view(mask.shape)
    return Connectivity(masks)
