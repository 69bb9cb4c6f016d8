"""Synaptic operations: spikes times existing synapses, counted on real inputs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..connectivity import Connectivity
from ..errors import InputError, shortened
from ..graph.uses import Seen, Watched
from ..options import Converted, checked
from ..probe import Axes, Batches, each_batch, need_autograd
from ..synapses import Exclude, find_synapses
from ..text import aligned, html_table
from .counting import Counter, LayerOperations

Static = Literal["once", "each-step"]


def _check_lengths(lengths: Any) -> Any:
    if lengths is None:
        return None
    if isinstance(lengths, Iterable) and not isinstance(lengths, str | bytes | Mapping | Tensor | np.ndarray):
        return lengths
    raise InputError(f"lengths must be a list with the lengths of each batch, found {shortened(lengths)}")


_WHOLE = (torch.int64, torch.int32, torch.int16, torch.uint8)
# Batches that are read one by one, so that they need not be in memory together.
Stream = Annotated[Batches, Converted(each_batch)]


@dataclass(frozen=True, kw_only=True, repr=False)
class Operations:
    """Operations of all synapses of a network.

    Attributes:
        layers: parameter name -> its operations, in the order of the network.
        timesteps: T of the layers that run at every step.
        products: products of two values, as in attention: name -> pairs of values that are both not 0. They are no
            synapses, and in no sum here.
    """

    layers: Mapping[str, LayerOperations]
    timesteps: int
    products: Mapping[str, LayerOperations] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(next(iter(self.layers.values())).per_sample)

    @property
    def synaptic_operations(self) -> float:
        """Additions of a weight for a spike, of a sample on average; also called SOPs, SynOps, or effective ACs."""
        return float(self._of(spiking=True).mean())

    @property
    def multiply_accumulates(self) -> float:
        """Multiplications of a weight with an analog input, of a sample on average: effective MACs."""
        return float(self._of(spiking=False).mean())

    @property
    def synaptic_operations_per_sample(self) -> Tensor:
        """float64 [N]: their distribution."""
        return self._of(spiking=True)

    def __repr__(self) -> str:
        sums = f"{self.synaptic_operations:,.0f} additions, {self.multiply_accumulates:,.0f} multiply-accumulates"
        return f"Operations({sums} a sample; {self.samples:,} samples, {self.timesteps} time steps)"

    def _repr_html_(self) -> str:
        return html_table(self._rows(), left=(0, 2))

    def table(self) -> str:
        """A row for each layer: operations of a sample, their kind, and the share of what a dense layer would need."""
        return aligned(self._rows(), left=(0, 2))

    def _rows(self) -> list[tuple[str, ...]]:
        rows = [("layer", "operations", "kind", "if dense", "share", "inputs not 0")]
        for name, layer in self.layers.items():
            share = f"{layer.mean / layer.if_dense:.2%}" if layer.if_dense else ""
            kind = ("additions" if layer.spiking else "multiply-adds") + (
                ", once" if layer.static and len(layer.per_step) == 1 else ""
            )
            rows.append((name, f"{layer.mean:,.0f}", kind, f"{layer.if_dense:,.0f}", share, f"{layer.events:,.0f}"))
        return rows

    def _of(self, *, spiking: bool) -> Tensor:
        nothing = torch.zeros(self.samples, dtype=torch.float64, device="cpu")
        return sum((layer.per_sample for layer in self.layers.values() if layer.spiking == spiking), nothing)


@checked
def count_operations(
    network: nn.Module,
    batches: Stream,
    *,
    connectivity: Connectivity | None = None,
    static: Static = "once",
    exclude: Exclude = (),
    layout: Axes = None,
    lengths: Annotated[Any, Converted(_check_lengths)] = None,
) -> Operations:
    """Run a network on real inputs and count the operations of its existing synapses.

    For a spike (an input that is not 0) that is one operation for each existing synapse that leaves it: exact at the
    borders of convolutions, for stride, dilation and groups, after pooling and residual sums, since it is the inputs of
    each call that are counted, by sample and by time step; a layer that is called twice counts twice. Biases,
    normalisation and the neurons' own updates are not. Products of two values (attention) are counted apart.

    Args:
        network: left as it was; runs in evaluation mode, with fresh neurons for every batch.
        batches: inputs as the network takes them; labels are ignored. Several inputs: ((a, b), labels), or a dict.
        connectivity: which synapses exist; None: those whose weight is not 0.
        static: a layer that sees a still image is computed "once" for all time steps, as this library's networks do, or
            at "each-step", as many papers count.
        exclude: layers that are not counted.
        layout: axes of the inputs, "B", "TB" or "BT", as in `snnprune.graph.record`; None: found.
        lengths: for padded sequences: for each batch the number of time steps of each sample, [B]; what comes later
            counts as nothing.

    Raises:
        InputError: no batches or an empty one, a connectivity of another network, a layer that does not run, samples
            that mix or whose axis cannot be told, a network that decides on values, lengths that do not fit, or an
            unknown `static`.
    """
    need_autograd(network)
    synapses = find_synapses(network, exclude=exclude)
    present = connectivity if connectivity is not None else Connectivity.from_network(network, exclude=exclude)
    present.check(network)
    counters = {name: Counter(name, entry.parameter, present.get(name)) for name, entry in synapses.items()}
    products: dict[str, Counter] = {}
    watched = Watched(network, layout, names=synapses)
    remaining = None if lengths is None else iter(lengths)

    def count(seen: Seen) -> None:
        if seen.use.parameter is None:
            products.setdefault(seen.use.name, Counter(seen.use.name, None, None)).note(seen)
        elif seen.use.parameter in counters:
            counters[seen.use.parameter].note(seen)

    for batch in batches:
        watched.run(batch, count)
        timesteps = watched.timesteps[-1]
        kept = None if remaining is None else _kept(remaining, timesteps)
        for counter in (*counters.values(), *products.values()):
            counter.close(timesteps, kept)
    if remaining is not None and next(remaining, None) is not None:
        raise InputError("lengths must be given for each batch, found more of them than batches")
    if idle := [counter.name for counter in counters.values() if not counter.batches]:
        raise InputError(f"{', '.join(idle)} did not run: pass batches=[inputs, ...], or exclude what is not used")
    if lengths is None and len(set(watched.timesteps)) > 1:
        raise InputError(
            f"{type(network).__name__} ran for {watched.timesteps} time steps: give batches of one length, or lengths="
        )
    timesteps = max(watched.timesteps)
    return Operations(
        layers={name: counter.result(timesteps, static) for name, counter in counters.items()},
        timesteps=timesteps,
        products={name: counter.result(timesteps, static) for name, counter in products.items()},
    )


def _kept(remaining: Iterator[Any], timesteps: int) -> Tensor:
    """Return which steps of each sample of the next batch count, float64 [T, B]."""
    found = next(remaining, None)
    if found is None:
        raise InputError("lengths must be given for each batch, found fewer of them than batches")
    try:
        sizes = torch.as_tensor(found, device="cpu")
    except (TypeError, ValueError, RuntimeError):
        sizes = torch.empty(0, device="cpu")
    whole = (
        sizes.dim() == 1 and sizes.numel() > 0 and sizes.dtype in (torch.int64, torch.int32, torch.int16, torch.uint8)
    )
    if not whole or int(sizes.min()) < 1 or int(sizes.max()) > timesteps:
        raise InputError(f"lengths must be whole numbers [B] from 1 to {timesteps}, found {shortened(found)}")
    return (torch.arange(timesteps, device="cpu")[:, None] < sizes).double()
