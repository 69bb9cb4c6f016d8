"""The controls of a comparison: dense training, and training of a given or a random connectivity."""

import os
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from ..connectivity import Connectivity
from ..errors import InputError
from ..options import Seed, checked
from ..seeding import generator
from ..synapses import Exclude, Include, entries_of
from .base import Method, Phase, Trained
from .masked import Masked
from .registry import register


@register("dense")
class Dense(Method):
    """Dense training: every synapse exists. The network that all others are compared with."""

    def __init__(
        self, network: nn.Module, optimizer: Optimizer, *, exclude: Exclude = (), include: Include = ()
    ) -> None:
        super().__init__(network, optimizer, exclude=entries_of(exclude, include))

    def _start(self) -> None:
        self.phase = Phase.FIXED

    def _before(self, trained: Sequence[Trained]) -> None:
        """Do nothing."""

    def _after(self, trained: Sequence[Trained]) -> None:
        """Do nothing."""

    def _existing(self) -> Connectivity:
        return Connectivity(
            {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in self.parameters.items()}
        )


@register("fixed")
class Fixed(Masked):
    """Training of a given connectivity from the first step on.

    With a fresh network these are two controls: the connectivity that a method found, trained from scratch (Liu et al.,
    "Rethinking the Value of Network Pruning", ICLR 2019), and with `shuffle` the same number of synapses in each layer
    drawn at random (Su et al., "Sanity-Checking Pruning Methods", NeurIPS 2020). With trained weights it is
    fine-tuning.

    Args:
        network: any module with synapses; see `find_synapses`.
        optimizer: any torch optimizer that holds them and takes no closure.
        connectivity: of that network, or the path of its file. Synapses that it does not name stay dense.
        shuffle: draw the same number of synapses in each layer at random instead.
        seed: of that draw.
        exclude: synapses to leave dense; the connectivity must not name them.
        include: parameters to take as synapses, as in `find_synapses`.

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
        seed: Seed = 0,
        exclude: Exclude = (),
        include: Include = (),
    ) -> None:
        given = connectivity if isinstance(connectivity, Connectivity) else Connectivity.load(connectivity)
        given.check(network)
        super().__init__(network, optimizer, exclude=entries_of(exclude, include))
        if excluded := [name for name in given if name not in self.parameters]:
            raise InputError(f"the connectivity has {', '.join(excluded)}, which exclude leaves out: drop it from one")
        self.given = shuffled(given, seed) if shuffle else given

    def _start(self) -> None:
        self.state["mask"] = self._full(1)
        self._keep({name: mask.to(self.parameters[name].device) for name, mask in self.given.items()})
        self.phase = Phase.FIXED


@checked
def shuffled(connectivity: Connectivity, seed: Seed = 0) -> Connectivity:
    """Return a connectivity with as many synapses in each tensor, at random positions; on the CPU."""
    numbers = generator(seed)
    masks = {}
    for name, mask in connectivity.items():
        order = torch.randperm(mask.numel(), generator=numbers, device="cpu")
        masks[name] = mask.cpu().reshape(-1)[order].view(mask.shape)
    return Connectivity(masks)
