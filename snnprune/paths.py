"""Dead neurons, and the synapses that lie on a path from an input to an output."""

from typing import Any

from torch import Tensor, nn

from .connectivity import Connectivity
from .graph.reach import reaching
from .layout import to_rows
from .options import checked
from .probe import Axes, need_autograd
from .synapses import static_geometry, synapses_named


@checked
def effective_connectivity(
    network: nn.Module, connectivity: Connectivity, example: Any, *, layout: Axes = None
) -> Connectivity:
    """Return the synapses that can change an output of the network.

    The source of such a synapse may be other than 0, and a path of existing synapses leads from its target to an
    output; all others can be taken away, and every output stays the same, bit for bit. Any wiring of layers works
    (residual sums, gates, attention, recurrence, hand-written neurons), because it is the recorded operators that are
    followed, forwards and backwards. That is structure alone: values are never assumed to cancel, and what is not known
    counts as connected. What no input can change, such as a bias, has one value for all inputs, and counts where that
    is not 0. The density of the result is the effective density.

    Args:
        network: any network; unchanged afterwards.
        connectivity: of that network. Synapses that it does not name are taken as present.
        example: one input batch, as in `snnprune.graph.record`; only its shape matters, one sample is enough. Paths
            that take more time steps than it has are not seen.
        layout: of the inputs; None: found where that is possible, to look at one sample.

    Raises:
        InputError: the connectivity does not match the network, or the network does not take the example.
    """
    connectivity.check(network)
    need_autograd(network)
    found = reaching(network, dict(connectivity), example, layout)
    return Connectivity({name: found[name].to(mask.device) for name, mask in connectivity.items()})


@checked
def dead_neurons(
    network: nn.Module, connectivity: Connectivity, example: Any, *, layout: Axes = None
) -> dict[str, Tensor]:
    """Return for each tensor of synapses which postsynaptic units (neurons, or channels of a convolution) are dead.

    A dead unit receives nothing by this tensor, or its spikes reach no output.

    Args:
        network: as in `effective_connectivity`.
        connectivity: as there.
        example: as there.
        layout: as there.

    Returns:
        parameter name -> boolean tensor of shape (units,), true where dead.

    Raises:
        InputError: the connectivity does not match the network.
    """
    return units_without_synapse(network, effective_connectivity(network, connectivity, example, layout=layout))


def units_without_synapse(network: nn.Module, connectivity: Connectivity) -> dict[str, Tensor]:
    """Return for each tensor of synapses which postsynaptic units have no incoming synapse.

    For an effective connectivity these are the dead units.

    Returns:
        parameter name -> boolean tensor of shape (units,), true where there is none.

    Raises:
        InputError: the connectivity does not match the network.
    """
    connectivity.check(network)
    synapses = synapses_named(network, connectivity)
    return {name: ~to_rows(mask, static_geometry(synapses[name])).any(1) for name, mask in connectivity.items()}
