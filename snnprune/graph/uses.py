"""Real values at every use of every tensor of weights, while a network runs on batches."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from ..errors import InputError
from ..probe import Inputs, split_batch, takes_inputs, undisturbed
from ..synapses import reset_neurons, unwrapped
from .layouts import Layout
from .operators import CONTRACTIONS, arguments_of, base_name
from .reach import linear_map
from .record import Recorded, recorded_graph
from .tape import observed
from .use import Rows, Use, through

# Called with a use and the real tensors of its factors: the values first, then the weights (of a product, both values).
Visit = Callable[["Seen"], None]


@dataclass(frozen=True, eq=False)
class Seen:
    """One use with real values.

    Attributes:
        use: the use.
        values: the factor that comes from a population: [..., features], or [rows, channels, ...] of a convolution.
        other: the other factor: weights, or the second values of a product.
        samples: number of samples in the batch.
        batch: number of the batch.
    """

    use: Use
    values: Tensor
    other: Tensor
    samples: int
    batch: int

    @property
    def rows(self) -> Rows:
        """Which row belongs to which sample and step.

        Raises:
            InputError: samples mix.
        """
        if self.use.rows is None:
            raise InputError(f"samples mix before {self.use.name}: nothing can be said of a single one; exclude it")
        return self.use.rows

    def features_last(self) -> Tensor:
        """Return the values with their features last; [rows, channels, ...] for a convolution."""
        step = self.use.step
        return (
            self.values.mT
            if self.use.weights == 0 and "convolution" not in step.name and self.use.parameter
            else self.values
        )

    def map(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return what the operator makes of other factors, without bias."""
        if self._bilinear:
            return torch.matmul(values, weights)
        return linear_map(self.use.step, [values, weights] if self._values_first else [weights, values])

    def ones(self, values: Tensor) -> Tensor:
        """Return ones of the output's shape for these values, in their type."""
        made = self.use.made
        if self._convolution is not None:
            return values.new_ones((values.shape[0], *made[1:]))
        if self._values_first:
            return values.new_ones((*values.shape[:-1], made[-1]))
        return values.new_ones((*values.shape[:-2], made[-2], values.shape[-1]))

    @property
    def units(self) -> int:
        """Postsynaptic units: features, or channels of a convolution."""
        axis = 1 if self._convolution is not None else -1 if self._values_first else -2
        return self.use.made[axis]

    def by_sample(self, values: Tensor) -> list[Tensor]:
        """Return for each sample the mean over time steps of what the use reads: [positions, features].

        For a convolution [positions, channels, ...], of which there is one. Values are as in this object, or a function
        of them. Where the weights are the first factor, [features, positions].

        Raises:
            InputError: samples mix.
        """
        rows = self.rows
        if self._convolution is None:
            values = (values if self._values_first else values.mT).flatten(0, -2)
        shaped = values.view(rows.steps.shape[0], -1, rows.steps.shape[1], *values.shape[1:])
        shaped = shaped.transpose(1, 2).flatten(0, 1)  # [outer * inner, samples, ...]
        steps = rows.steps.flatten()
        order, count = torch.argsort(steps, stable=True), len(steps.unique())
        means = shaped[order.to(values.device)].unflatten(0, (count, -1)).mean(0)  # [positions, samples, ...]
        samples = means.transpose(0, 1).unbind(0)
        return [part if self._values_first or self._convolution is not None else part.mT for part in samples]

    def slope_of_values(self, slope: Tensor, weights: Tensor, shape: Sequence[int]) -> Tensor:
        """Return the gradient by the values, of the given shape, for a gradient by the output."""
        if (named := self._convolution) is not None:
            values = slope.new_zeros(()).expand(tuple(shape))
            return _backward(slope, values, weights, named, (True, False, False))[0]
        return torch.matmul(slope, weights.mT) if self._values_first else torch.matmul(weights.mT, slope)

    def slope_of_weights(self, slope: Tensor, values: Tensor) -> Tensor:
        """Return the gradient by the weights, of the parameter's shape, for a gradient by the output."""
        if (named := self._convolution) is not None:
            found = _backward(slope, values, self.other, named, (False, True, False))[1]
        else:
            found = torch.matmul(values.mT, slope) if self._values_first else torch.matmul(slope, values.mT)
            found = found.sum_to_size(self.other.shape)
        return self.to_parameter(found)

    @property
    def _values_first(self) -> bool:
        return self.use.weights == 1 or self.use.parameter is None

    @property
    def _bilinear(self) -> bool:
        """Whether values are products of two inputs, [rows, pairs], and weights are a matrix of them."""
        return self.use.step.name == "_trilinear"

    @property
    def _convolution(self) -> dict[str, Any] | None:
        step = self.use.step
        return arguments_of(step.operator, step.args, step.kwargs) if "convolution" in step.name else None  # type: ignore

    def to_parameter(self, factor: Tensor) -> Tensor:
        """Return values of the weights where they are in the parameter; those that are used twice are summed."""
        shape = self.use.shape
        if self._bilinear:
            return factor.T.reshape(shape)
        moves = [step for step in self.use.chain if step.kind == "move"]
        if not moves:
            return factor
        if len(moves) == 1 and moves[0].name == "t":
            return factor.t()
        places = self.weights_of(torch.arange(shape.numel(), device=factor.device).view(shape))
        found = torch.zeros(shape.numel(), dtype=factor.dtype, device=factor.device)
        return found.index_add_(0, places.flatten(), factor.flatten()).view(shape)

    def weights_of(self, parameter: Tensor) -> Tensor:
        """Return the factor that a tensor of the parameter's shape leads to, by the views between them."""
        found = factor_of(self.use, parameter)
        if self._bilinear:
            return found.flatten(1).T
        return found[0] if found.dim() == 3 and not self.use.batched and self._convolution is None else found


def factor_of(use: Use, parameter: Tensor) -> Tensor:
    """Return the factor of a use that a tensor of its parameter's shape leads to, by the views between them."""
    return through(use.chain, use.step, parameter)


def _backward(
    slope: Tensor, values: Tensor, weights: Tensor, named: dict[str, Any], wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    # Spelled out, because nothing is differentiated while operators are watched.
    keys = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
    settings = (named[key] for key in keys)
    return torch.ops.aten.convolution_backward.default(slope, values, weights, None, *settings, list(wanted))


class _Watcher(TorchDispatchMode):
    """Calls a function at each contraction, in their order."""

    def __init__(self, note: Callable[[OpOverload, tuple[Any, ...]], None]) -> None:
        super().__init__()
        self.where: list[str] = []
        self._note = note
        self._kinds: dict[OpOverload, bool] = {}

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        known = self._kinds.get(func)
        if known is None:
            known = self._kinds[func] = base_name(func) in CONTRACTIONS
        if known:
            self._note(func, args)
        return func(*args, **(kwargs or {}))

    def run_neuron(self, module: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        with _disable_current_modes():
            return forward(*args, **kwargs)


class Watched:
    """Runs a network on batches, and shows every use of its weights.

    Args:
        network: left as it was.
        layout: of the inputs; None: found on the first batch.
        names: of the tensors of synapses that are asked about; None: all.
        mixed: samples need not be told apart.
    """

    def __init__(
        self, network: nn.Module, layout: Any = None, *, names: Collection[str] | None = None, mixed: bool = False
    ) -> None:
        self.network = unwrapped(network)
        self.layout = layout
        self.names, self.mixed = names, mixed
        self.first: Recorded | None = None
        self._known: dict[Any, Recorded] = {}
        self.timesteps: list[int] = []  # of each batch
        self._batches = 0

    def recorded(self, batch: Any) -> Recorded:
        """Return the graph on a batch; recorded again where its shape differs in more than the number of samples."""
        inputs = Inputs.of(split_batch(batch)[0])
        if self.first is not None:
            known = self._known.get(_key(inputs, self.first.layout))
            if known is not None:
                return replace(known, inputs=inputs)
        layout = self.layout if self.first is None or self.mixed else self.first.layout.names()
        found = recorded_graph(self.network, batch, layout, names=self.names, mixed=self.mixed)
        self.first = self.first or found
        self._known[_key(inputs, self.first.layout)] = found
        return found

    def run(self, batch: Any, visit: Visit, *, before: Callable[[Recorded], None] | None = None) -> Any:
        """Run the network on one batch with fresh neurons, in evaluation mode; return its output.

        Raises:
            InputError: the network does not take the batch, or computes otherwise than on its first run.
        """
        known = self.recorded(batch)
        if before is not None:
            before(known)
        expected = [step for step in known.tape.steps if step.kind == "contract"]
        uses = {id(use.step): use for use in known.uses}
        samples = _samples(known.inputs, known.layout)
        number, count = self._batches, 0
        self.timesteps.append(known.graph.timesteps)
        self._batches += 1

        def note(func: OpOverload, args: tuple[Any, ...]) -> None:
            nonlocal count
            step = expected[count] if count < len(expected) else None
            count += 1
            name = base_name(func)
            if step is None or (name != step.name and not {name, step.name} <= _MATRICES):
                raise InputError(_CHANGED.format(type(self.network).__name__))
            if (use := uses.get(id(step))) is not None:
                visit(_seen(use, name, args, samples, number))

        with takes_inputs(self.network, known.inputs), torch.no_grad(), _watching(self.network, note):
            reset_neurons(self.network)
            result = self.network(*known.inputs.args, **known.inputs.kwargs)
        if count != len(expected):
            raise InputError(_CHANGED.format(type(self.network).__name__))
        return result


_CHANGED = (
    "{} computes other operators on this batch than on its first run: it decides on values, and cannot be followed; "
    "give batches for which it decides alike"
)


# Products of matrices, of which torch takes one or another depending on strides.
_MATRICES = frozenset({"mm", "addmm", "bmm", "baddbmm", "linear"})


def _seen(use: Use, name: str, args: tuple[Any, ...], samples: int, number: int) -> Seen:
    if name == "_trilinear":
        first, weights, second = (args[position].detach() for position in (0, 1, 2))
        pairs = (first.unsqueeze(-1) * second.unsqueeze(-2)).flatten(-2)
        return Seen(use, pairs, weights.flatten(1).T, samples, number)
    position = 1 if name in ("addmm", "baddbmm", "addmv") else 0
    factors = [factor.detach() for factor in args[position : position + 2]]
    if use.parameter is not None and use.weights == 0:
        factors.reverse()
    values, other = factors
    if use.parameter is not None and "convolution" not in name and not use.batched and other.dim() == 3:
        other = other[0]
    if use.parameter is not None and use.weights == 1 and "convolution" not in name and other.dim() == 2:
        values = values.flatten(0, -2)
    return Seen(use, values, other, samples, number)


@contextmanager
def _watching(network: nn.Module, note: Callable[[OpOverload, tuple[Any, ...]], None]) -> Any:
    watcher = _Watcher(note)
    with ExitStack() as stack:
        stack.enter_context(undisturbed(network))
        stack.enter_context(observed(network, watcher))
        stack.enter_context(watcher)
        yield


def _key(inputs: Inputs, layout: Layout) -> Any:
    """Return shapes and types of inputs but for their number of samples."""
    return tuple(
        (tuple(size for axis, size in enumerate(tensor.shape) if axis != batch), tensor.dtype)
        for tensor, batch in zip(inputs.tensors(), layout.samples, strict=True)
    )


def _samples(inputs: Inputs, layout: Layout) -> int:
    sizes = [
        tensor.shape[axis] for tensor, axis in zip(inputs.tensors(), layout.samples, strict=True) if axis is not None
    ]
    return sizes[0] if sizes else 1
