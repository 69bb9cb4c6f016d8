"""SiPP: scores by empirical sensitivity, the share of a synapse in the drive of its neuron."""

import torch
from torch import Tensor, nn

from ..graph.uses import Seen
from ..options import checked
from ..probe import Axes, weights_of, widened
from ..synapses import Exclude
from .activity import per_weight, visit_layers
from .registry import Batches, Scores, register

# A drive below this counts as none: its inverse would overflow float32.
SILENT = 1e-30


@register("sipp", needs="inputs")
@checked
def sipp(network: nn.Module, batches: Batches, *, exclude: Exclude = (), layout: Axes = None) -> Scores:
    r"""SiPP: the largest share, over samples, of a synapse in the drive of its neuron.

    .. math:: s_{ij} = \max_n\; mean_p \frac{w_{ij} a_j}{\sum_k w_{ik} a_k}

    over samples n and positions p of a convolution (tokens of a linear layer), separately for positive and negative
    weights and for positive and negative activations (Baykal, Liebenwein, Gilitschenski, Feldman, Rus: "SiPPing Neural
    Networks", 2019; the deterministic variant). Activations are firing rates: means over time steps. The synapses of a
    silent presynaptic neuron get 0.

    Assumes a trained network.

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels; a few dozen samples are enough, each is processed on its own.
        exclude: as in `find_synapses`.
        layout: of the inputs, as in `snnprune.graph.record`; None: found.

    Raises:
        InputError: a layer that no spike reaches, or samples that mix.
    """
    scores = {name: torch.zeros_like(weight) for name, weight in weights_of(network, exclude).items()}

    def raise_scores(name: str, seen: Seen, values: Tensor) -> None:
        """Raise the scores to the largest share that a synapse has on any of these samples."""
        for rates in seen.by_sample(values):
            for activation in (rates.clamp(min=0), (-rates).clamp(min=0)):
                if bool(activation.any()):
                    torch.maximum(scores[name], _shares(seen, activation), out=scores[name])

    visit_layers(network, batches, raise_scores, exclude=exclude, layout=layout, mixed=False)
    return scores


def _shares(seen: Seen, activation: Tensor) -> Tensor:
    """Return each weight's share in its neuron's drive by weights of the same sign, for one sample."""
    weight = widened(seen.other)
    total: Tensor | None = None
    for sign in (1, -1):
        part = (sign * weight).clamp(min=0)
        drive = seen.map(activation, part)
        share = torch.where(drive > SILENT, 1 / drive, 0)
        found = seen.to_parameter(part) * per_weight(seen, activation, share) * (seen.units / drive.numel())
        total = found if total is None else total + found
    assert total is not None
    return total
