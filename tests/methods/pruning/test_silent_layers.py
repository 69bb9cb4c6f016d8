"""Layers that fall silent while a network is pruned stay as they are, and the others meet the density."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from snnprune import Connectivity, InputError, criteria, methods

INPUTS, LABELS = torch.rand(8, 6) + 0.5, torch.arange(8) % 4


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4))


def silence(network: nn.Sequential) -> None:
    """Let the second layer receive nothing."""
    network[0].bias.data.fill_(-100.0)


def prune(
    built: nn.Sequential, *, silent_at: int, density: float, criterion: str = "wanda"
) -> tuple[Connectivity, Tensor]:
    """Prune while a layer falls silent on the way; return the connectivity, and that of the layer at that time."""
    optimizer, data = SGD(built.parameters(), lr=0.0), [(INPUTS, LABELS)]
    options = {"steps": 20, "end": 1.0, "every": 2, "criterion": criterion, "batches": data}
    method = methods.create("pruning", built, optimizer, density=density, **options)
    seen = torch.empty(0)
    for step in range(20):
        if step == silent_at:
            silence(built)
            seen = Connectivity.from_network(built)["2.weight"]
        optimizer.zero_grad()
        built(INPUTS).square().mean().backward()
        optimizer.step()
    return method.finalize(), seen


@pytest.mark.parametrize("criterion", ["wanda", "synops", "sipp", "spike-flip"])
def test_the_other_layers_meet_the_density(criterion, caplog):
    kept, seen = prune(network(), silent_at=5, density=0.6, criterion=criterion)
    assert kept.nonzero == round(0.6 * kept.prunable)
    assert torch.equal(kept["2.weight"], seen)
    (warning,) = [record.message for record in caplog.records if "stay as they are" in record.message]
    assert "2.weight" in warning


@pytest.mark.parametrize("criterion", ["taylor", "snip", "fisher", "movement"])
def test_nor_can_layers_be_scored_that_no_gradient_reaches(criterion, caplog):
    # the first two layers have no gradient any more, and most of the synapses
    with pytest.raises(InputError, match=r"cannot be reached: 0\.weight, 2\.weight cannot be scored, stay as they are"):
        prune(network(), silent_at=5, density=0.3, criterion=criterion)
    assert any("no gradient reaches 0.weight" in record.message for record in caplog.records)


def test_a_density_that_the_others_cannot_meet_is_an_error():
    with pytest.raises(
        InputError, match=r"density .* cannot be reached: 2\.weight cannot be scored, .* and have \d+ of"
    ):
        prune(network(), silent_at=3, density=0.01)


def test_a_network_that_was_silent_from_the_start_is_an_error():
    built = network()
    silence(built)
    with pytest.raises(InputError, match=r"no spike reaches 2\.weight"):
        prune(built, silent_at=20, density=0.5)
    with pytest.raises(InputError, match="no spike reaches"):
        criteria.score("wanda", built, [INPUTS])
