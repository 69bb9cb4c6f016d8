"""SiPP: empirical sensitivity."""

import torch
from torch import Tensor, nn

from ..synapses import Exclude, find_synapses, static_geometry
from .activity import linear_map, per_weight, visit_layers
from .registry import Batches, Scores, register

# A drive below this is none: its inverse would leave float32.
SILENT = 1e-30


@register("sipp", needs="inputs")
def sipp(network: nn.Module, batches: Batches, *, exclude: Exclude = ()) -> Scores:
    r"""SiPP: the largest share, over samples, that a synapse has in what drives its neuron.

    .. math:: s_{ij} = \max_n\; mean_p \frac{w_{ij} a_j}{\sum_k w_{ik} a_k}

    over samples n and positions p of a convolution, for positive and negative weights apart, and for positive and
    negative activations apart (Baykal, Liebenwein, Gilitschenski, Feldman, Rus: "SiPPing Neural Networks", 2019; the
    deterministic variant). Activations are firing rates: means over time steps. A silent presynaptic neuron gives 0,
    and so its synapses go.

    Assumes a trained network, in multi-step mode where it takes time steps: a linear layer that is given three axes, a
    two-dimensional convolution that is given five, is given [T, B, ...].

    Args:
        network: left as it was.
        batches: inputs, with or without labels; a few dozen samples are enough, each is looked at on its own.
        exclude: as in `find_synapses`.

    Raises:
        InputError: a layer that no spike reaches.
    """
    scores = {
        name: torch.zeros_like(entry.parameter, dtype=torch.float32, requires_grad=False)
        for name, entry in find_synapses(network, exclude=exclude).items()
    }

    def raise_scores(name: str, module: nn.Module, inputs: Tensor) -> None:
        """To the largest share that a synapse has in any of these inputs."""
        rates, samples = _rates(module, inputs)
        for sample in rates.split(1, dim=samples):
            for activation in (sample.clamp(min=0), (-sample).clamp(min=0)):
                if bool(activation.any()):
                    torch.maximum(scores[name], _shares(module, activation), out=scores[name])

    visit_layers(network, batches, raise_scores, exclude=exclude)
    return scores


def _shares(module: nn.Module, activation: Tensor) -> Tensor:
    """Each weight's share in the drive of its neuron, of weights of its own sign, for one sample."""
    weight = module.weight.detach().float()  # type: ignore[union-attr]
    units = static_geometry(module).outputs  # type: ignore[arg-type]
    total = torch.zeros_like(weight)
    for part in (weight.clamp(min=0), (-weight).clamp(min=0)):
        drive = linear_map(module, activation, part)
        share = torch.where(drive > SILENT, 1 / drive, 0)
        total += part * per_weight(module, activation, share) * (units / drive.numel())
    return total


def _rates(module: nn.Module, inputs: Tensor) -> tuple[Tensor, int]:
    """[B, ...] as it is, the mean [1, B, ...] of [T, B, ...]; and the axis that counts samples."""
    plain = 2 + len(getattr(module, "kernel_size", ()))
    return (inputs.mean(0, keepdim=True), 1) if inputs.dim() > plain else (inputs, 0)
