"""Spike-flip: scores by the probability that removing a synapse changes a spike."""

from typing import Any

import torch
from torch import Tensor, nn

from ..graph.operators import arguments_of
from ..graph.record import recorded_graph
from ..graph.tape import Ref, Step, Tape
from ..layout import from_rows, to_rows
from ..options import checked
from ..probe import Axes, batches_of, first_batch, weights_of, widened
from ..synapses import Exclude, Synapses, find_synapses, static_geometry
from .activity import input_sums
from .registry import Batches, Scores, register


@register("spike-flip", needs="inputs")
@checked
def spike_flip(network: nn.Module, batches: Batches, *, exclude: Exclude = (), layout: Axes = None) -> Scores:
    r"""Spike-flip: :math:`E[|x_j|] \cdot |w_{ij}| \cdot |\gamma_i| / \sqrt{\sigma_i^2 + \epsilon}`.

    The mean change of a membrane potential when the synapse is removed: its presynaptic activity times its weight, with
    the batch normalisation behind the layer folded in (a factor of 1 if there is none). It bounds the probability that
    the removal flips a spike, in the lottery-ticket theory for spiking networks. A normalisation is found if its input
    is what the layer returned, in whatever shape; without running statistics its variance counts as 1.

    Assumes a trained network with valid running statistics.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels.
        exclude: as in `find_synapses`.
        layout: of the inputs, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: a layer that no spike reaches.
    """
    batches = batches_of(batches)
    gains = _gains(network, first_batch(batches), exclude, layout)
    activity, uses = input_sums(network, batches, torch.abs, torch.ones_like, exclude=exclude, layout=layout)
    return {
        name: activity[name] / uses[name].clamp(min=1) * weight.abs() * gains[name]
        for name, weight in weights_of(network, exclude).items()
    }


def _gains(network: nn.Module, batch: Any, exclude: Exclude, layout: Any) -> Scores:
    """Return for each weight the factor of the normalisation right behind its layer."""
    recorded = recorded_graph(network, batch, layout, names=find_synapses(network, exclude=exclude), mixed=True)
    outputs = {use.step.outputs[0]: use.parameter for use in recorded.uses if use.parameter is not None}
    gains: dict[str, Tensor] = {}
    for step in recorded.tape.steps:
        inputs = step.inputs()
        name = outputs.get(inputs[0]) if inputs else None
        if name is None:
            continue
        if "batch_norm" in step.name:
            gains[name] = _gain(step, recorded.tape)
        elif step.kind == "move" and len(inputs) == 1:
            outputs.update(dict.fromkeys(step.outputs, name))
    return {
        name: _per_weight(entry, gains.get(name)) for name, entry in find_synapses(network, exclude=exclude).items()
    }


def _gain(step: Step, tape: Tape) -> Tensor:
    named = arguments_of(step.operator, step.args, step.kwargs)  # type: ignore[arg-type]
    found = {
        key: tape.outside[ref.index].detach()
        for key, ref in named.items()
        if isinstance(ref, Ref) and ref.index in tape.outside
    }
    variance, weight = found.get("running_var"), found.get("weight")
    channels = tape.shapes[step.inputs()[0]][1]
    gain = torch.ones(channels, dtype=torch.float32, device="cpu") if weight is None else weight.abs()
    return gain if variance is None else gain.to(variance) / (variance + named["eps"]).sqrt()


def _per_weight(synapses: Synapses, gain: Tensor | None) -> Tensor:
    ones = torch.ones_like(widened(synapses.parameter.detach()))
    if gain is None:
        return ones
    shape = static_geometry(synapses.module)
    return from_rows(to_rows(ones, shape) * gain.to(ones)[:, None], shape, ones.shape)
