"""Synaptic operations: spikes times existing synapses, counted on real inputs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from ..connectivity import Connectivity
from ..errors import InputError
from ..options import Converted, checked
from ..probe import Batches, each_batch, inputs_of, need_autograd, run, undisturbed
from ..synapses import Exclude, Synapses, check_layers, find_synapses, reset_neurons
from ..text import aligned, html_table

Static = Literal["once", "each-step"]
# Batches that are read one by one, so that they need not be in memory together.
Stream = Annotated[Batches, Converted(each_batch)]
# Largest whole number up to which all are exact in float32.
_EXACT = 1 << 24


@dataclass(frozen=True, kw_only=True)
class LayerOperations:
    """Operations of the synapses of one layer: one for each non-zero input and each existing synapse that leaves it.

    Attributes:
        spiking: whether all inputs were 0 or 1. An operation is then an addition, else a multiplication and an
            addition.
        per_sample: operations of each sample over all its time steps, float64 [N]; whole numbers.
        per_step: operations of a sample at each time step, on average, float64 [T].
        events: inputs of a sample that are not 0, over all time steps, on average.
        if_dense: operations that the same inputs would cost if every synapse existed, on average.
        static: whether the layer sees a still input, so that T is 1 here and more in other layers.
    """

    spiking: bool
    per_sample: Tensor
    per_step: Tensor
    events: float
    if_dense: float
    static: bool

    @property
    def mean(self) -> float:
        """Operations of a sample, on average."""
        return float(self.per_sample.mean())


@dataclass(frozen=True, kw_only=True, repr=False)
class Operations:
    """Operations of all synapses of a network.

    Attributes:
        layers: parameter name -> its operations, in the order of the network.
        timesteps: T of the layers that run at every step.
    """

    layers: Mapping[str, LayerOperations]
    timesteps: int

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
) -> Operations:
    """Run a network on real inputs and count the operations of its existing synapses.

    For a spike (an input that is not 0) that is one operation for each existing synapse that leaves it: exact at the
    borders of convolutions, for stride, dilation and groups, after pooling and residual sums, since it is the inputs of
    each layer that are counted. Biases, normalisation and the neurons' own updates are not.

    Args:
        network: left as it was; runs in evaluation mode, with fresh neurons for every batch. Outputs are [T, B,
            classes] or [B, classes].
        batches: inputs as the network takes them; labels are ignored.
        connectivity: which synapses exist; None: those whose weight is not 0.
        static: a layer that sees a still image is computed "once" for all time steps, as this library's networks do, or
            at "each-step", as many papers count.
        exclude: layers that are not counted.

    Raises:
        InputError: no batches or an empty one, a connectivity of another network, a layer that does not run, inputs of
            a layer in which the samples of the batch cannot be found, or an unknown `static`.
    """
    need_autograd(network)
    synapses = find_synapses(network, exclude=exclude)
    check_layers(synapses, "the count of operations")
    present = connectivity if connectivity is not None else Connectivity.from_network(network, exclude=exclude)
    present.check(network)
    counters: dict[nn.Module, _Counter] = {
        entry.module: _Counter(entry, present.get(name)) for name, entry in synapses.items()
    }
    with torch.no_grad(), undisturbed(network, lambda module: counters[module].note if module in counters else None):
        for batch in batches:
            reset_neurons(network)
            outputs = run(network, inputs_of(batch), of=network)
            for counter in counters.values():
                counter.close(outputs.shape[-2])
    if idle := [counter.name for counter in counters.values() if not counter.batches]:
        raise InputError(f"{', '.join(idle)} did not run: pass batches=[inputs, ...], or exclude what is not used")
    timesteps = max(counter.steps for counter in counters.values())
    return Operations(
        layers={counter.name: counter.result(timesteps, static) for counter in counters.values()}, timesteps=timesteps
    )


class _Counter:
    """Counts the operations of one layer, call by call and then batch by batch."""

    def __init__(self, entry: Synapses, present: Tensor | None) -> None:
        self.name = entry.name
        self.module = entry.module
        self.features = 1 if isinstance(entry.module, nn.Linear) else len(entry.module.kernel_size) + 1  # type: ignore
        every = torch.ones_like(entry.parameter, dtype=torch.float32)
        self.masks = [every if present is None else present.to(every), every]
        self.spiking = True
        self.calls: list[Tensor] = []  # of this batch: [..., 3] with existing, possible operations and events
        self.batches: list[Tensor] = []  # [T, B, 3] each
        self._fans: dict[torch.Size, Tensor] = {}
        self._looking = False

    @property
    def steps(self) -> int:
        """Time steps that the layer ran for."""
        return len(self.batches[0])

    def note(self, _module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        """Forward hook: count one call."""
        if self._looking:
            return
        sizes = inputs[0].detach().abs()
        spiking = bool((sizes.square() == sizes).all())  # 0 and 1 alone are their own squares
        self.spiking = self.spiking and spiking
        active = (sizes if spiking else sizes != 0).float()
        leading, shape = active.shape[: -self.features], active.shape[-self.features :]
        counts = _exact_product(active.reshape(-1, shape.numel()), self._fan_out(len(leading), shape))
        self.calls.append(counts.reshape(*leading, 3))

    def _fan_out(self, leading: int, shape: torch.Size) -> Tensor:
        """[3, inputs]: number of existing and of all synapses that leave each input; and ones."""
        if shape not in self._fans:
            self._looking = True
            fans = [self._gradient(mask, (1,) * leading + shape) for mask in self.masks]
            self._fans[shape] = torch.stack([*fans, torch.ones_like(fans[0])])
            self._looking = False
        return self._fans[shape]

    def _gradient(self, mask: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The layer with weights 1 where a synapse exists: the gradient of its summed output by each of its inputs."""
        module = self.module
        with torch.enable_grad():
            example = torch.zeros(shape, dtype=mask.dtype, device=mask.device, requires_grad=True)
            if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd):
                # Its outputs are summed anyway, so let each input channel have the sum of its kernels.
                output = _summed(module, mask)(example.reshape(-1, *shape[-self.features :]))
            else:
                stand_in = {name: torch.zeros_like(p, dtype=mask.dtype) for name, p in module.named_parameters()}
                output = torch.func.functional_call(module, {**stand_in, "weight": mask}, (example,))
            return torch.autograd.grad(output.sum(), example)[0].flatten()

    def close(self, size: int) -> None:
        """End a batch of `size` samples."""
        if self.calls:
            self.batches.append(torch.cat([self._by_step(call, size) for call in self.calls]).cpu())
            self.calls = []

    def _by_step(self, call: Tensor, size: int) -> Tensor:
        """[T, B, 3] of one call, whose inputs were [B, ...], [T, B, ...], or both in one axis."""
        leading = call.shape[:-1]
        if len(leading) > 1 and leading[1] == size:
            return call.reshape(leading[0], size, -1, 3).sum(2)
        if len(leading) > 1 and leading[0] == size:
            return call.reshape(1, size, -1, 3).sum(2)
        if len(leading) == 1 and leading[0] % size == 0:
            return call.reshape(-1, size, 3)
        raise InputError(
            f"{self.name} got inputs of shape {tuple(leading)} + features for a batch of {size}: the samples cannot be "
            "found; inputs must be [B, ...] or [T, B, ...]"
        )

    def result(self, timesteps: int, static: Static) -> LayerOperations:
        """The counts of all batches."""
        if any(len(batch) != self.steps for batch in self.batches):
            raise InputError(
                f"{self.name} ran for {[len(b) for b in self.batches]} time steps: give batches of one length"
            )
        counts = torch.cat(self.batches, dim=1)
        still = self.steps == 1 < timesteps
        if still and static == "each-step":
            counts = counts.expand(timesteps, -1, -1)
        per_sample = counts.sum(0)
        return LayerOperations(
            spiking=self.spiking,
            per_sample=per_sample[:, 0],
            per_step=counts[:, :, 0].mean(1),
            events=float(per_sample[:, 2].mean()),
            if_dense=float(per_sample[:, 1].mean()),
            static=still,
        )


def _summed(module: _ConvNd, mask: Tensor) -> nn.Module:
    """A convolution of each channel alone, with the sum of the kernels that leave the channel."""
    kernels = mask.unflatten(0, (module.groups, -1)).sum(1).flatten(0, 1)  # [C_in, *kernel]
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(module.kernel_size)]
    channels = module.in_channels
    alone = kind(
        channels,
        channels,
        module.kernel_size,  # type: ignore[arg-type]
        stride=module.stride,  # type: ignore[arg-type]
        padding=module.padding,  # type: ignore[arg-type]
        dilation=module.dilation,  # type: ignore[arg-type]
        groups=channels,
        bias=False,
        padding_mode=module.padding_mode,  # type: ignore[arg-type]
        device=mask.device,
    )
    alone.weight = nn.Parameter(kernels.unsqueeze(1), requires_grad=False)
    return alone


def _exact_product(active: Tensor, fans: Tensor) -> Tensor:
    """[rows, inputs] times [3, inputs]: float64 sums of parts that float32 holds exactly."""
    width = max(1, int(_EXACT // fans.max().clamp(min=1)))
    parts = zip(active.split(width, dim=1), fans.split(width, dim=1), strict=True)
    total = torch.zeros(len(active), len(fans), dtype=torch.float64, device=active.device)
    for here, fan in parts:
        total += here @ fan.T
    return total
