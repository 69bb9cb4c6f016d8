"""Flow through a linearised network: the gradient of the summed output by each weight, for an input of ones."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..probe import Inputs, split_batch
from ..synapses import unwrapped
from .layouts import check_strangers, recorded
from .reach import linear_map, one_sample, pooled
from .replay import Domain, Shadow, replay
from .stamps import is_causal, is_multi
from .tape import Step, Tape


class Flow(Domain):
    """One number of each element: the flow that arrives from inputs of 1, with weights of 0 or more.

    Neurons, normalisation and factors that do not depend on the input let everything through, constants add nothing, a
    product of two values is as their sum, and the largest value is replaced by the mean. That makes a linear map.

    Args:
        weights: parameter name -> weights used instead of the network's own, 0 or more.
        dtype: of the flow.
    """

    def __init__(self, weights: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self.weights = weights
        self.dtype = dtype

    def outside(self, tape: Tape, index: int) -> Shadow:
        if index in tape.inputs:
            return (torch.ones(tape.shapes[index], dtype=self.dtype, device="cpu"),)
        weight = self.weights.get(tape.parameters.get(index, ""))
        return (torch.zeros(tape.shapes[index], dtype=self.dtype, device="cpu") if weight is None else weight,)

    def union(self, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        total = torch.zeros(shape, dtype=self.dtype, device="cpu")
        for (part,) in parts:
            total = total + part
        return (total,)

    def reduce(self, shadow: Shadow, dims: Sequence[int], *, keep: bool) -> Shadow:
        return (shadow[0].mean(tuple(dims), keepdim=keep) if dims else shadow[0],)

    def scan(self, shadow: Shadow, dim: int) -> Shadow:
        return (shadow[0].cumsum(dim),)

    def mix(self, shadow: Shadow, dims: Sequence[int]) -> Shadow:
        """Normalisation lets everything through, as in the paper; softmax, too."""
        return shadow

    def contract(self, step: Step, parts: Sequence[Shadow], shape: torch.Size) -> Shadow:
        factors = [part for (part,) in parts]
        if sum(bool(factor.any()) for factor in factors) < 2:
            return (torch.zeros(shape, dtype=self.dtype, device="cpu"),)
        return (linear_map(step, factors),)

    def window(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        found = pooled(step, shadow[0], shape)
        if step.name.startswith("max_pool"):
            size = step.args[1]
            found = found / torch.Size(size if len(size) > 1 else [size[0]] * (3 if "3d" in step.name else 2)).numel()
        return (found,)

    def neuron(self, step: Step, shadow: Shadow, shape: torch.Size) -> Shadow:
        multi = is_multi(step)
        if multi and not is_causal(step):
            return self.union([self.reduce(shadow, [0], keep=True)], shape)
        return shadow if shape == shadow[0].shape else self.reduce(shadow, [0], keep=False)


def flow(network: nn.Module, weights: Mapping[str, Tensor], example: Any, *, layout: Any = None) -> dict[str, Tensor]:
    """Return the gradient of the summed output by each weight, for an input of ones in a linearised network.

    Args:
        network: unchanged afterwards.
        weights: parameter name -> weights used instead of the network's own, 0 or more, all of one dtype; give float64,
            since path counts can overflow float32.
        example: one input batch; only its shape matters.
        layout: of the inputs; None: found where that is possible, to look at one sample.
    """
    network = unwrapped(network)
    inputs = one_sample(network, Inputs.of(split_batch(example)[0]), layout)
    tape = recorded(network, inputs)
    check_strangers(network, inputs, tape)
    leaves = {name: weight.detach().cpu().clone().requires_grad_() for name, weight in weights.items()}
    dtype = next(iter(leaves.values())).dtype
    with torch.enable_grad(), torch.autograd.graph.allow_mutation_on_saved_tensors():
        shadows = replay(tape, Flow(leaves, dtype))
        ends = [shadows[index][0].sum() for index in tape.outputs if shadows[index][0].requires_grad]
        slopes: Sequence[Tensor | None] = [None] * len(leaves)
        if ends:
            slopes = torch.autograd.grad(sum(ends), list(leaves.values()), allow_unused=True)  # type: ignore[arg-type]
    return {
        name: torch.zeros_like(weight) if slope is None else slope.to(weight.device)
        for (name, weight), slope in zip(weights.items(), slopes, strict=True)
    }
