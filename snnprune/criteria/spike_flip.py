"""Spike-flip: scores by the probability that removing a synapse changes a spike."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..layout import from_rows, to_rows
from ..options import checked
from ..probe import batches_of, first_inputs, run, undisturbed, weights_of, widened
from ..synapses import Exclude, Synapses, find_synapses, static_geometry
from .activity import input_sums
from .registry import Batches, Scores, register


@register("spike-flip", needs="inputs")
@checked
def spike_flip(network: nn.Module, batches: Batches, *, exclude: Exclude = ()) -> Scores:
    r"""Spike-flip: :math:`E[|x_j|] \cdot |w_{ij}| \cdot |\gamma_i| / \sqrt{\sigma_i^2 + \epsilon}`.

    The mean change of a membrane potential when the synapse is removed: its presynaptic activity times its weight, with
    the batch normalisation behind the layer folded in (a factor of 1 if there is none). It bounds the probability that
    the removal flips a spike, in the lottery-ticket theory for spiking networks. A normalisation is found if its input
    is the very tensor that the layer returned; without running statistics its variance counts as 1.

    Assumes a trained network with valid running statistics.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike reaches.
    """
    batches = batches_of(batches)
    gains = _gains(network, first_inputs(batches), exclude)
    activity, uses = input_sums(network, batches, torch.abs, torch.ones_like, exclude=exclude)
    return {
        name: activity[name] / uses[name].clamp(min=1) * weight.abs() * gains[name]
        for name, weight in weights_of(network, exclude).items()
    }


def _gains(network: nn.Module, inputs: Tensor, exclude: Exclude) -> Scores:
    """Return for each weight the factor of the normalisation right behind its layer."""
    synapses = find_synapses(network, exclude=exclude)
    names: dict[nn.Module, str] = {entry.module: name for name, entry in synapses.items()}
    outputs: dict[str, Tensor] = {}
    gains: dict[str, Tensor] = {}

    def follow(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Record a layer's output, or the gain of a normalisation whose input is such an output."""
        if isinstance(module, _BatchNorm):
            gains.update({name: _gain(module) for name, made in outputs.items() if made is inputs[0]})
        else:
            outputs[names[module]] = output

    with torch.no_grad(), undisturbed(network, lambda m: follow if m in names or isinstance(m, _BatchNorm) else None):
        run(network, inputs, of=network)
    return {name: _per_weight(entry, gains.get(name)) for name, entry in synapses.items()}


def _gain(normalisation: _BatchNorm) -> Tensor:
    variance, weight = normalisation.running_var, normalisation.weight
    gain = torch.ones(normalisation.num_features, dtype=torch.float32, device="cpu") if weight is None else weight.abs()
    return gain if variance is None else gain.to(variance) / (variance + normalisation.eps).sqrt()


def _per_weight(synapses: Synapses, gain: Tensor | None) -> Tensor:
    ones = torch.ones_like(widened(synapses.parameter.detach()))
    if gain is None:
        return ones
    shape = static_geometry(synapses.module)
    return from_rows(to_rows(ones, shape) * gain.to(ones)[:, None], shape, ones.shape)
