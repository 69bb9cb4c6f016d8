"""A training that ends with a network that fits a chip."""

from typing import Any

from torch import Tensor, nn

from .. import criteria, methods
from ..allocation import Allocation
from ..budget import find_chip, to_chip, wire
from ..budget.placement import fit
from ..connectivity import Connectivity
from ..errors import InputError
from ..graph import geometry
from .config import Config


def chip_allocation(config: Config, network: nn.Module, example: Tensor) -> Allocation:
    """The allocation of a training with `--chip`.

    Raises:
        InputError: no density, an allocation beside it, a method that does not keep to one until its end, or a chip on
            which such a network cannot be placed whatever is pruned.
    """
    assert config.chip is not None
    chip = find_chip(config.chip)
    if config.density is None or config.allocation is not None:
        raise InputError("--chip needs --density, and takes the place of --allocation")
    kind = methods.find(config.method)
    if not issubclass(kind, methods.Pruning | methods.GradR):
        raise InputError(
            f"--chip works with methods that choose by an allocation to the end, such as gradr, squisher and gmp; "
            f"{config.method} does not"
        )
    layers = wire(network, example, connectivity=Connectivity.dense(network))
    allocation = to_chip(layers, chip, density=config.density)
    kept = allocation(criteria.random(network), config.density, geometry(network))
    placement = fit(wire(network, example, connectivity=kept), chip)
    if placement.verdict == "cannot":
        raise InputError(f"--chip {config.chip}: no pruning makes this network fit: {'; '.join(placement.reasons)}")
    return allocation


def placement_of(name: str, network: nn.Module, connectivity: Connectivity, example: Tensor) -> dict[str, Any]:
    """The placement of a network on a chip, as plain values."""
    placement = fit(wire(network, example, connectivity=connectivity), find_chip(name))
    return {
        "name": name,
        "verdict": placement.verdict,
        "reasons": list(placement.reasons),
        "cores": placement.cores,
        "chips": placement.chips,
        "by_layer": dict(placement.by_layer),
    }
