"""Dead neurons, and the synapses that lie on a path from an input to an output."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.pooling import _MaxPoolNd

from .connectivity import Connectivity
from .layout import to_rows
from .options import checked
from .probe import need_autograd, run
from .synapses import check_layers, find_synapses, probing, static_geometry, synapses_named, unwrapped

_AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


@checked
def effective_connectivity(network: nn.Module, connectivity: Connectivity, example: Tensor) -> Connectivity:
    """Return the synapses that lie on a path of existing synapses from an input to an output of the network.

    All others touch a dead neuron: no path from an input leads to it, or no path from it leads to an output. The
    density of the result is the effective density. Any wiring of layers works (residual sums, pooling, voting), because
    the network itself is run: with weights 1 where a synapse exists and 0 elsewhere, with neurons, normalisation and
    dropout replaced by the identity and max-pooling by average pooling, each synapse's gradient is its number of paths
    (the idea of SynFlow, Tanaka et al. 2020). Biases do not count as input.

    Args:
        network: a feed-forward network; unchanged afterwards.
        connectivity: of that network. Synapses that it does not name are taken as present.
        example: one input batch; only its shape matters, one sample is enough.

    Raises:
        InputError: the connectivity does not match the network, or the network does not take the example.
    """
    connectivity.check(network)
    check_layers(synapses_named(network, connectivity), "the effective connectivity")
    synapses = find_synapses(network)
    weights = {
        name: (connectivity[name] if name in connectivity else torch.ones_like(entry.parameter, dtype=torch.bool))
        for name, entry in synapses.items()
    }
    paths = flow(network, {name: mask.to(synapses[name].parameter) for name, mask in weights.items()}, example)
    return Connectivity({name: mask & (paths[name] > 0).to(mask.device) for name, mask in connectivity.items()})


@checked
def dead_neurons(network: nn.Module, connectivity: Connectivity, example: Tensor) -> dict[str, Tensor]:
    """Return for each tensor of synapses which postsynaptic units (neurons, or channels of a convolution) are dead.

    A dead unit receives nothing from the inputs, or its spikes reach no output.

    Returns:
        parameter name -> boolean tensor of shape (units,), true where dead.

    Raises:
        InputError: the connectivity does not match the network.
    """
    return units_without_synapse(network, effective_connectivity(network, connectivity, example))


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


def flow(network: nn.Module, weights: dict[str, Tensor], example: Tensor, *, exact: bool = False) -> dict[str, Tensor]:
    """Return the gradient of the summed output by each weight, for an input of ones in a linearised network.

    Args:
        network: a feed-forward network; unchanged afterwards.
        weights: parameter name -> weights used instead of the network's own, 0 or more, all of one dtype.
        example: one input batch; only its shape matters.
        exact: return the exact gradients; give float64 weights, since they can overflow float32. Otherwise the output
            of each layer is rescaled, so that nothing overflows, and each tensor's gradient has an unknown factor.
    """
    need_autograd(network)
    check_layers(find_synapses(network), "the flow along paths", cure="no path can be followed through others")
    network = unwrapped(network)
    own_names = {id(parameter): name for name, parameter in network.named_parameters()}
    named = {name: own_names[id(entry.parameter)] for name, entry in find_synapses(network).items()}
    dtype = next(iter(weights.values())).dtype
    rest = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    plain = {
        name: torch.zeros_like(tensor, dtype=dtype) if name.endswith("bias") else tensor.detach().to(dtype)
        for name, tensor in rest.items()
        if tensor.is_floating_point()
    }
    leaves = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    hook_for = partial(_linear_hook, scaled=not exact)
    with torch.enable_grad(), probing(network, hook_for):
        replaced = {**plain, **{named[name]: leaf for name, leaf in leaves.items()}}
        linear = partial(torch.func.functional_call, network, replaced)
        output = run(linear, torch.ones_like(example, dtype=dtype), of=network)
        gradients = torch.autograd.grad(output.sum(), list(leaves.values()), allow_unused=True)
    return {
        name: torch.zeros_like(leaf) if gradient is None else gradient
        for (name, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }


def _linear_hook(module: nn.Module, *, scaled: bool) -> Callable[..., Tensor] | None:
    """Return a forward hook that turns a layer into a linear map with factors of 0 or more; None if it is one."""
    from spikingjelly.activation_based.base import MemoryModule

    synapses = nn.Linear | nn.modules.conv._ConvNd
    if isinstance(module, synapses):
        return _rescale if scaled else None
    if isinstance(module, _MaxPoolNd):
        return _average
    if any(isinstance(part, synapses) for part in module.modules()):
        return None  # a container, perhaps a MemoryModule itself: only its parts are replaced
    activations = nn.ReLU | nn.LeakyReLU | nn.GELU | nn.SiLU | nn.Tanh | nn.Sigmoid
    if isinstance(module, MemoryModule | _BatchNorm | nn.GroupNorm | nn.LayerNorm | _DropoutNd | activations):
        return _identity
    return None


def _identity(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> Tensor:
    return inputs[0]


def _rescale(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    # Path counts grow by the fan-in at every layer: divide by the largest so that deep networks do not overflow.
    return output / output.detach().amax().clamp(min=torch.finfo(output.dtype).tiny)


def _average(module: _MaxPoolNd, inputs: tuple[Tensor, ...], _output: Tensor) -> Tensor:
    spatial = _pool_dimensions(module)
    flat = inputs[0].flatten(0, -spatial - 2)
    pooled = _AVERAGE[spatial](flat, module.kernel_size, module.stride, module.padding, module.ceil_mode)
    return pooled.unflatten(0, inputs[0].shape[: -spatial - 1])


def _pool_dimensions(module: _MaxPoolNd) -> int:
    return next(n for n, kind in ((1, nn.MaxPool1d), (2, nn.MaxPool2d), (3, nn.MaxPool3d)) if isinstance(module, kind))
