"""SiPP: scores by empirical sensitivity, the share of a synapse in the drive of its neuron."""

import torch
from torch import Tensor, nn

from ..options import checked
from ..probe import weights_of, widened
from ..synapses import Exclude, static_geometry
from .activity import linear_map, per_weight, visit_layers
from .registry import Batches, Scores, register

# A drive below this counts as none: its inverse would overflow float32.
SILENT = 1e-30


@register("sipp", needs="inputs")
@checked
def sipp(network: nn.Module, batches: Batches, *, exclude: Exclude = ()) -> Scores:
    r"""SiPP: the largest share, over samples, of a synapse in the drive of its neuron.

    .. math:: s_{ij} = \max_n\; mean_p \frac{w_{ij} a_j}{\sum_k w_{ik} a_k}

    over samples n and positions p of a convolution, separately for positive and negative weights and for positive and
    negative activations (Baykal, Liebenwein, Gilitschenski, Feldman, Rus: "SiPPing Neural Networks", 2019; the
    deterministic variant). Activations are firing rates: means over time steps. The synapses of a silent presynaptic
    neuron get 0.

    Assumes a trained network. Time steps are recognised by an extra axis, as multi-step mode has it: inputs with three
    axes of a linear layer, or with five of a two-dimensional convolution, are [T, B, ...].

    Args:
        network: unchanged afterwards.
        batches: inputs, with or without labels; a few dozen samples are enough, each is processed on its own.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike reaches.
    """
    scores = {name: torch.zeros_like(weight) for name, weight in weights_of(network, exclude).items()}

    def raise_scores(name: str, module: nn.Module, inputs: Tensor) -> None:
        """Raise the scores to the largest share that a synapse has on any of these inputs."""
        rates, samples = _rates(module, inputs)
        for sample in rates.split(1, dim=samples):
            for activation in (sample.clamp(min=0), (-sample).clamp(min=0)):
                if bool(activation.any()):
                    torch.maximum(scores[name], _shares(module, activation), out=scores[name])

    visit_layers(network, batches, raise_scores, exclude=exclude)
    return scores


def _shares(module: nn.Module, activation: Tensor) -> Tensor:
    """Return each weight's share in its neuron's drive by weights of the same sign, for one sample."""
    weight = widened(module.weight.detach())  # type: ignore[union-attr]
    units = static_geometry(module).outputs  # type: ignore[arg-type]
    total = torch.zeros_like(weight)
    for part in (weight.clamp(min=0), (-weight).clamp(min=0)):
        drive = linear_map(module, activation, part)
        share = torch.where(drive > SILENT, 1 / drive, 0)
        total += part * per_weight(module, activation, share) * (units / drive.numel())
    return total


def _rates(module: nn.Module, inputs: Tensor) -> tuple[Tensor, int]:
    """Return firing rates, and their sample axis: inputs [B, ...] as they are, or the mean [1, B, ...] over time."""
    plain = 2 + len(getattr(module, "kernel_size", ()))
    return (inputs.mean(0, keepdim=True), 1) if inputs.dim() > plain else (inputs, 0)
