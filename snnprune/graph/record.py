"""Record the graph of a network."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from ..errors import InputError
from ..options import checked
from ..probe import Axes, Inputs, split_batch
from ..synapses import Exclude, find_synapses, unwrapped
from .builder import Builder
from .graph import Graph
from .layouts import Layout, check_strangers, cut_for, find_layout
from .replay import Shadow
from .tape import Step, Tape
from .use import Use


@dataclass(frozen=True, eq=False)
class Recorded:
    """A graph with what it was made of, for analyses.

    Attributes:
        graph: the graph.
        inputs: the example, of its full size.
        layout: of the inputs.
        tape: of a run with `SAMPLES` samples.
        uses: in the order in which they ran.
        units: number of a tensor -> the population whose values it holds, nothing else and in their order.
    """

    graph: Graph
    inputs: Inputs
    layout: Layout
    tape: Tape
    uses: tuple[Use, ...]
    units: Mapping[int, str] = field(default_factory=dict)


@checked
def record(network: nn.Module, example: Any, layout: Axes = None, *, exclude: Exclude = ()) -> Graph:
    """Run a network on an example, and return its graph.

    Args:
        network: left as it was; runs in evaluation mode, without gradients, from fresh neurons.
        example: inputs as the network takes them: a tensor, ((a, b), labels) or (a, b, c) for several inputs, a dict
            for inputs by keyword; labels are ignored. Only shapes matter, unless the network decides on values.
        layout: axes of the inputs, "B" (samples first), "TB" (time steps, then samples), "BT", one for all or one for
            each input; None: it is found, by looking what depends on what.
        exclude: as in `find_synapses`: weights of which nothing is asked, whatever kind they are.

    Raises:
        InputError: an example that the network does not take (the layer is named), samples that mix, a layout that is
            wrong or cannot be told, a network on the device "meta", or weights that act through a function of them.
    """
    return recorded_graph(network, example, layout, names=find_synapses(network, exclude=exclude)).graph


def recorded_graph(
    network: nn.Module,
    example: Any,
    layout: Axes = None,
    *,
    names: Collection[str] | None = None,
    mixed: bool = False,
) -> Recorded:
    """Return the graph of a network with what analyses need.

    Args:
        network: as in `record`.
        example: as in `record`.
        layout: as in `record`.
        names: of the tensors of synapses that are asked about; None: all.
        mixed: samples need not be told apart.

    Raises:
        InputError: as `record`; with `mixed`, not for samples that mix or whose axis cannot be told.
    """
    network = unwrapped(network)
    names = list(find_synapses(network)) if names is None else list(names)
    given, labels = split_batch(example)
    inputs = Inputs.of(given)
    if any(parameter.is_meta for parameter in network.parameters()):
        raise InputError(
            'the network has no values (device "meta"): call network.to_empty(device="cpu"), and load them'
        )
    builders: list[Builder] = []

    def follow(layout: Layout, tape: Tape) -> Callable[[Step, list[Shadow]], None]:
        builders.append(Builder(network, names, tape, layout))
        return builders[-1].visit

    found, tape = find_layout(network, inputs, layout, labels=_count(labels), mixed=mixed, follow=follow)
    check_strangers(network, cut_for(inputs, found), tape)
    return Recorded(builders[-1].graph(), inputs, found, tape, tuple(builders[-1].uses), builders[-1].units)


def _count(labels: Any) -> int | None:
    return len(labels) if isinstance(labels, Tensor) and labels.dim() else None
