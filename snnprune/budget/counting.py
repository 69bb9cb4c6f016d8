"""Counts of the operations of one tensor of synapses, call by call, by sample and by time step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..graph.operators import arguments_of
from ..graph.uses import Seen

Inputs = Literal["binary", "integer", "analog"]
# Largest whole number up to which all are exact in float32.
_EXACT = 1 << 24


@dataclass(frozen=True, kw_only=True)
class LayerOperations:
    """Operations of the synapses of one layer: one for each non-zero input and each existing synapse that leaves it.

    Attributes:
        spiking: whether all inputs were 0 or 1. An operation is then an addition, else a multiplication and an
            addition.
        inputs: "binary" (0 and 1), "integer" (whole numbers: sums of spikes, graded spikes), or "analog".
        per_sample: operations of each sample over all its time steps, float64 [N]; whole numbers.
        per_step: operations of a sample at each time step, on average, float64 [T].
        events: inputs of a sample that are not 0, over all time steps, on average.
        if_dense: operations that the same inputs would cost if every synapse existed, on average.
        static: whether the layer sees a still input, so that T is 1 here and more in other layers.
    """

    spiking: bool
    inputs: Inputs
    per_sample: Tensor
    per_step: Tensor
    events: float
    if_dense: float
    static: bool

    @property
    def mean(self) -> float:
        """Operations of a sample, on average."""
        return float(self.per_sample.mean())


class Counter:
    """Counts the operations of one tensor of synapses, call by call and then batch by batch.

    Args:
        name: of the tensor, or of a product of values.
        parameter: the tensor; None for a product.
        present: which of its synapses exist; None: all.
    """

    def __init__(self, name: str, parameter: nn.Parameter | None, present: Tensor | None) -> None:
        self.name = name
        self.binary = self.whole = True
        self.batches: list[Tensor] = []  # [T, B, 3] each
        self.static = True
        self._masks: list[Tensor] = []
        if parameter is not None:
            every = torch.ones_like(parameter, dtype=torch.float32)
            self._masks = [every if present is None else present.to(every), every]
        self._calls: list[tuple[Seen, Tensor]] = []  # of this batch, with [rows, 3] existing, possible, events
        self._fans: dict[Any, Tensor] = {}

    def note(self, seen: Seen) -> None:
        """Count one call."""
        values = seen.features_last()
        # 0 and 1 alone are their own squares; -1, a negative spike, becomes one of them.
        active = next((one for one in (values, values.abs()) if torch.equal(one.square(), one)), None)
        self.binary = self.binary and active is not None
        self.whole = self.whole and (active is not None or torch.equal(values.round(), values))
        active = (values != 0 if active is None else active).float()
        counts = self._product(seen, active) if seen.use.parameter is None else self._counts(seen, active)
        self._calls.append((seen, counts.cpu()))

    def _counts(self, seen: Seen, active: Tensor) -> Tensor:
        """[rows, 3]: existing and possible operations, and inputs that are not 0."""
        step = seen.use.step
        if "convolution" in step.name:
            return _exact_product(active.flatten(1), self._fan_out(seen, active.shape[1:], _convolved))
        if active.dim() == 2:
            return _exact_product(active, self._fan_out(seen, active.shape[1:], _multiplied))
        flat = active.flatten(0, -2) if seen.other.dim() < 3 else None
        if flat is not None:
            return _exact_product(flat, self._fan_out(seen, flat.shape[1:], _multiplied))
        # A factor of weights for each entry of a batch of matrices.
        fans = [seen.weights_of(mask).double().sum(-1 if seen.use.weights == 1 else -2) for mask in self._masks]
        counts = [(active.double() * fan.unsqueeze(-2)).sum(-1).flatten() for fan in fans]
        return torch.stack([*counts, active.double().sum(-1).flatten()], dim=1)

    def _fan_out(self, seen: Seen, shape: torch.Size, of: Callable[[Seen, Tensor, torch.Size], Tensor]) -> Tensor:
        """[3, inputs]: number of existing and of all synapses that leave each input; and ones."""
        key = (shape, seen.use.name)
        if key not in self._fans:
            fans = [of(seen, seen.weights_of(mask), shape) for mask in self._masks]
            self._fans[key] = torch.stack([*fans, torch.ones_like(fans[0])])
        return self._fans[key]

    def _product(self, seen: Seen, active: Tensor) -> Tensor:
        """[rows, 3]: pairs of values that are both not 0, all pairs, and first values that are not 0."""
        other = (seen.other != 0).double()
        partners = other.sum(-1).unsqueeze(-2) if seen.other.dim() > 1 else other
        pairs = (active.double() * partners).sum(-1).flatten()
        possible = torch.full_like(pairs, active.shape[-1] * seen.other.shape[-1])
        return torch.stack([pairs, possible, active.double().sum(-1).flatten()], dim=1)

    def close(self, timesteps: int, kept: Tensor | None) -> None:
        """End a batch.

        Args:
            timesteps: T of the network.
            kept: which steps of each sample count, [T, B]; None: all.
        """
        if not self._calls:
            return
        static = all(bool((seen.rows.steps < 0).all()) for seen, _ in self._calls)
        repeated = max((seen.use.call for seen, _ in self._calls), default=0)
        steps = 1 if static and not (0 < repeated < timesteps) else timesteps
        self.static = self.static and steps == 1
        total = torch.zeros(steps, self._calls[0][0].samples, 3, dtype=torch.float64, device="cpu")
        for seen, counts in self._calls:
            rows = seen.rows
            at = (
                rows.steps.clamp(min=0)
                if bool((rows.steps >= 0).any())
                else rows.steps * 0 + min(seen.use.call, steps - 1)
            )
            shaped = counts.view(rows.steps.shape[0], -1 if rows.sampled else 1, rows.steps.shape[1], 3)
            shaped = shaped.expand(-1, seen.samples, -1, -1).transpose(1, 2).flatten(0, 1)  # [outer * inner, B, 3]
            total.index_add_(0, at.flatten(), shaped)
        if kept is not None and len(total) == len(kept):
            total *= kept.unsqueeze(-1)
        self.batches.append(total)
        self._calls = []

    def result(self, timesteps: int, static: str) -> LayerOperations:
        """Return the counts of all batches; those of fewer steps count nothing at the others."""
        still = self.static and timesteps > 1
        longest = max(len(batch) for batch in self.batches)
        padded = [torch.nn.functional.pad(batch, (0, 0, 0, 0, 0, longest - len(batch))) for batch in self.batches]
        counts = torch.cat(padded, dim=1)
        if still and static == "each-step":
            counts = counts.expand(timesteps, -1, -1)
        per_sample = counts.sum(0)
        return LayerOperations(
            spiking=self.binary,
            inputs="binary" if self.binary else "integer" if self.whole else "analog",
            per_sample=per_sample[:, 0],
            per_step=counts[:, :, 0].mean(1),
            events=float(per_sample[:, 2].mean()),
            if_dense=float(per_sample[:, 1].mean()),
            static=still,
        )


def _multiplied(seen: Seen, weights: Tensor, _shape: torch.Size) -> Tensor:
    """Synapses that leave each input of a matrix."""
    transposed = seen.use.weights == 0 or seen.use.step.name == "linear"
    matrix = weights.reshape(-1, *weights.shape[-2:])[0]
    return matrix.sum(0 if transposed else 1)


def _convolved(seen: Seen, weights: Tensor, shape: torch.Size) -> Tensor:
    """Synapses that leave each input of a convolution, at each position: the gradient of the summed output."""
    named = arguments_of(seen.use.step.operator, seen.use.step.args, seen.use.step.kwargs)  # type: ignore[arg-type]
    groups = named["groups"]
    if not named["transposed"]:
        # The outputs are summed anyway: let each input channel have the sum of its kernels.
        weights = weights.unflatten(0, (groups, -1)).sum(1).flatten(0, 1).unsqueeze(1)
        groups = shape[0]
    settings = [named[key] for key in ("stride", "padding", "dilation", "transposed", "output_padding")]
    example = weights.new_zeros((1, *shape))
    made = torch.ops.aten.convolution.default(example, weights, None, *settings, groups)
    back = torch.ops.aten.convolution_backward.default
    return back(torch.ones_like(made), example, weights, None, *settings, groups, [True, False, False])[0].flatten()


def _exact_product(active: Tensor, fans: Tensor) -> Tensor:
    """[rows, inputs] times [3, inputs]: float64 sums of parts that float32 holds exactly."""
    width = max(1, int(_EXACT // fans.max().clamp(min=1)))
    parts = zip(active.split(width, dim=1), fans.split(width, dim=1), strict=True)
    total = torch.zeros(len(active), len(fans), dtype=torch.float64, device=active.device)
    for here, fan in parts:
        total += here @ fan.T
    return total
