"""How often each weight is used: counted on an example, over all places at which a network uses it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..options import checked
from ..probe import Axes
from ..synapses import Exclude, Geometry, Include
from ..synapses import geometry as static
from .graph import Projection
from .record import Recorded, recorded_graph
from .use import Use


@checked
def geometry(
    network: nn.Module, example: Any = None, *, exclude: Exclude = (), include: Include = (), layout: Axes = None
) -> dict[str, Geometry]:
    """Return the geometry of every tensor of synapses.

    Args:
        network: any module; unchanged afterwards.
        example: one input batch, as the network takes it. With it the network is recorded, and the uses of weights are
            counted exactly: a kernel entry that falls on the zero padding at a border is not used there; a weight that
            is used at several places, or for several tokens, counts at each.
        exclude: as in `find_synapses`.
        include: as in `find_synapses`.
        layout: of the inputs, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: as `find_synapses`, an example that the network does not take, or a tensor that is not used on it.
    """
    shapes = static(network, exclude=exclude, include=include)
    return shapes if example is None else with_uses(network, shapes, example, layout=layout)


def with_uses(
    network: nn.Module, shapes: Mapping[str, Geometry], example: Any, *, layout: Axes = None
) -> dict[str, Geometry]:
    """Return geometries with the number of uses of each weight, counted on an example; arguments as in `geometry`."""
    uses = uses_of(recorded_graph(network, example, layout, names=shapes, mixed=True))
    if missed := [name for name in shapes if name not in uses]:
        raise InputError(f"{', '.join(missed)} did not run on the example: its uses cannot be counted; exclude it")
    return {name: replace(shape, uses=uses[name][None, None]) for name, shape in shapes.items()}


def uses_of(recorded: Recorded) -> dict[str, Tensor]:
    """Return name -> number of connections that share each weight at a time step; of the kernel's shape, or one."""
    found: dict[str, Tensor] = {}
    seen: set[str] = set()
    for use in recorded.uses:
        if use.parameter is None or use.name in seen:
            continue
        seen.add(use.name)
        projection = next(p for p in recorded.graph.projections if p.name == use.name)
        count = torch.tensor(projection.positions, device="cpu") if not projection.stride else _count(projection, use)
        found[use.parameter] = found[use.parameter] + count if use.parameter in found else count
    return found


def _count(projection: Projection, use: Use) -> Tensor:
    """Count the connections that share each kernel entry, shape of the kernel.

    Along one axis an entry is used once for each position at which it falls inside the input; the axes multiply.
    """
    uses = torch.ones((), dtype=torch.int64, device="cpu")
    # A transposed convolution connects the same pairs as the convolution from its output to its input.
    ends = projection.inputs[1:], projection.outputs[1:]
    transposed = projection.operation == "transposed"
    sources, targets = ends[::-1] if transposed else ends
    for axis, taps in enumerate(use.shape[2:]):
        first = torch.arange(targets[axis], device="cpu") * projection.stride[axis] - projection.padding[axis]
        position = first[:, None] + torch.arange(taps, device="cpu") * projection.dilation[axis]
        inside = (position >= 0) & (position < sources[axis])
        # Padding that the network adds by itself, as "same" does, is no input either.
        real = use.real[axis]
        inside &= real[:, None] if transposed else real[position.clamp(0, sources[axis] - 1)]
        uses = uses[..., None] * inside.sum(0)
    return uses
