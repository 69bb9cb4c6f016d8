"""A training that ends with a network that fits a chip."""

from typing import Any

from torch import Tensor, nn

from experiments.config import Config
from snnprune import Connectivity, InputError, criteria, geometry, rewiring
from snnprune.allocation import Allocation
from snnprune.budget import chip as chips
from snnprune.budget import fit, to_chip, wire


def chip_allocation(config: Config, network: nn.Module, example: Tensor) -> Allocation:
    """What `--chip` makes of a method's allocation.

    Raises:
        InputError: no density, an allocation beside it, a method that does not keep to one until its end, or a chip on
            which such a network cannot be placed whatever is pruned.
    """
    assert config.chip is not None
    chip = chips.find(config.chip)
    if config.density is None or config.allocation is not None:
        raise InputError("--chip needs --density, and takes the place of --allocation")
    kind = rewiring.find(config.method)
    if not issubclass(kind, rewiring.Pruning | rewiring.GradR):
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
    """How a network fits a chip, as plain values."""
    placement = fit(wire(network, example, connectivity=connectivity), chips.find(name))
    return {
        "name": name,
        "verdict": placement.verdict,
        "reasons": list(placement.reasons),
        "cores": placement.cores,
        "chips": placement.chips,
        "by_layer": dict(placement.by_layer),
    }
