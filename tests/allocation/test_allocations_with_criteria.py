"""Every allocation with the scores of every criterion, on a small spiking network."""

import math

import pytest
import torch
from spikingjelly.activation_based import layer, neuron, surrogate
from torch import nn

from snnprune import Connectivity, criteria, geometry
from snnprune.allocation import ALLOCATIONS, find
from snnprune.layout import to_columns, to_rows

DENSITY = 0.3
GRAINS = ("kernels", "filters")
LIMITS = {"1:2": 2, "fan-in=4": 4, "fan-out=3": 3}
BY_HAND = {"0.weight": 0.5, "4.weight": 0.25, "6.weight": 0.25}


def spiking() -> nn.Module:
    return neuron.LIFNode(surrogate_function=surrogate.ATan(), detach_reset=True, step_mode="m")


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    torch.manual_seed(5)
    network = nn.Sequential(
        layer.Conv2d(2, 4, 2, step_mode="m"),
        layer.BatchNorm2d(4, step_mode="m"),
        spiking(),
        layer.Flatten(step_mode="m"),
        layer.Linear(16, 6, step_mode="m"),
        spiking(),
        layer.Linear(6, 4, bias=False, step_mode="m"),
        spiking(),
    )
    with torch.no_grad():
        for index in (0, 4, 6):
            network[index].weight.mul_(5)
    return network


@pytest.fixture(scope="module")
def scores(network) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    batch = (3 * torch.rand(3, 5, 2, 3, 3, generator=generator), torch.randint(0, 4, (5,), generator=generator))
    return {name: criteria.score(name, network, [batch]) for name in criteria.names()}


@pytest.mark.parametrize("criterion", criteria.names())
@pytest.mark.parametrize("allocation", [*ALLOCATIONS, *LIMITS, BY_HAND], ids=str)
def test_the_count_is_the_one_that_is_promised(allocation, criterion, scores, network):
    geometries = geometry(network)
    kept = find(allocation)(scores[criterion], DENSITY, geometries)
    kept.check(network)
    target = round(DENSITY * kept.prunable)
    if allocation in GRAINS:
        sizes = [g.fan_in if allocation == "filters" else math.prod(g.kernel) for g in geometries.values()]
        assert target - max(sizes) < kept.nonzero <= target
    elif allocation == BY_HAND:
        assert [int(mask.sum()) for mask in kept.values()] == [16, 24, 6]
    elif allocation in LIMITS:
        most = find(allocation)(scores[criterion], None, geometries)
        assert kept.nonzero == min(target, most.nonzero)
        assert most_used(most, allocation, geometries) == (1 if allocation == "1:2" else LIMITS[allocation])
    else:
        assert kept.nonzero == target


def most_used(kept: Connectivity, allocation: str, geometries: dict) -> int:
    """The largest number of synapses of a unit that the limit applies to."""
    turn = to_columns if "out" in allocation else to_rows
    parts = [turn(mask, geometries[name]) for name, mask in kept.items()]
    if allocation == "1:2":
        parts = [part.reshape(-1, 2) for part in parts]
    return max(int(part.sum(1).max()) for part in parts)


@pytest.mark.parametrize("criterion", criteria.names())
def test_pruned_synapses_score_less_than_kept_ones(criterion, scores):
    kept = find("global")(scores[criterion], DENSITY, {})
    stays = torch.cat([score[kept[name]] for name, score in scores[criterion].items()])
    goes = torch.cat([score[~kept[name]] for name, score in scores[criterion].items()])
    assert stays.min() >= goes.max()
    assert len(stays) == kept.nonzero


@pytest.mark.parametrize("criterion", criteria.names())
def test_the_pruned_network_is_ranked_the_same_way_again(criterion, scores, network):
    # as in a gradual schedule: absent synapses are excluded, the others are candidates
    first = find("global")(scores[criterion], 0.6, {})
    left = {name: torch.where(first[name], score, -math.inf) for name, score in scores[criterion].items()}
    for allocation in ALLOCATIONS:
        second = find(allocation)(left, DENSITY, geometry(network))
        assert second.nonzero <= round(DENSITY * second.prunable)
        assert not first.diff(second).regrown.nonzero
