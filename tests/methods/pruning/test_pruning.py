"""Pruning by criterion, allocation and schedule, and the methods that are such combinations."""

import logging

import pytest
import torch
from torch import nn

from snnprune import Connectivity, InputError, allocation, criteria, methods
from snnprune.methods import Pruning
from snnprune.schedules import OneShot, Polynomial
from tests.methods.small import kept, single, step

WEIGHTS = [0.6, -0.5, 0.4, -0.3, 0.2, -0.1]


def test_the_smallest_go_step_by_step_by_hand():
    network, optimizer = single(WEIGHTS)
    method = Pruning(network, optimizer, density=1 / 3, steps=4, schedule="linear", end=1.0, every=1)
    found = []
    for _ in range(4):
        step(network, optimizer)
        found.append(kept(method))
    # linear from 6 to 2 synapses in 4 steps
    assert found == [[0, 1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2], [0, 1]]
    assert network.weight.tolist() == [pytest.approx([0.6, -0.5, 0, 0, 0, 0])]


def test_pruned_synapses_stay_pruned():
    network, optimizer = single(WEIGHTS)
    method = Pruning(
        network, optimizer, density=1 / 6, steps=2, schedule=Polynomial(density=1 / 6, end=2, every=1, power=1)
    )
    step(network, optimizer)
    assert kept(method) == [0, 1, 2, 3]  # 1 - (5/6)/2 = 7/12 of 6, 3.5, to even: 4
    step(network, optimizer, [0.59, 0.49, 0.39, 0.29, -9.0, -9.0])
    assert kept(method) == [1]  # 0.01, -0.99, 0.01, -0.59: the gradient of absent synapses has no effect


def test_one_shot_at_zero_prunes_before_the_first_step():
    network, optimizer = single(WEIGHTS, lr=0.1)
    method = Pruning(network, optimizer, density=0.5, steps=10, schedule="one-shot", end=0.0)
    assert method.connectivity().density == 1
    assert step(network, optimizer, 1.0).tolist() == pytest.approx([0.5, -0.6, 0.3, 0, 0, 0])
    assert kept(method) == [0, 1, 2]


def test_a_criterion_and_an_allocation_of_ones_own():
    network, optimizer = single(WEIGHTS)

    def last_first(network, batches):
        return {"weight": torch.arange(6.0).reshape(1, 6)}

    method = Pruning(
        network, optimizer, density=0.5, steps=10, criterion=last_first, allocation=allocation.uniform,
        schedule=OneShot(density=0.5, at=0),
    )  # fmt: skip
    step(network, optimizer)
    assert kept(method) == [3, 4, 5]


def test_random_scores_follow_the_seed():
    found = []
    for seed in (0, 0, 1):
        network, optimizer = single([float(size) for size in range(1, 41)])
        method = methods.create("random", network, optimizer, steps=10, density=0.25, seed=seed)
        step(network, optimizer)
        found.append(kept(method))
    assert found[0] == found[1] != found[2]


def test_finalize_before_the_end_prunes_at_once_and_says_so(caplog):
    network, optimizer = single(WEIGHTS)
    method = methods.create("gmp", network, optimizer, steps=100, density=0.5)
    step(network, optimizer)
    with caplog.at_level(logging.WARNING):
        connectivity = method.finalize()
    assert connectivity.nonzero == 3
    assert "finalize() after 1 of 100 steps: pruning to density 0.5 at once" in caplog.text
    assert network.weight.count_nonzero() == 3


def test_finalize_without_any_step():
    network, optimizer = single(WEIGHTS)
    assert methods.create("snip", network, optimizer, steps=10, density=0.5, batches=labelled()).finalize().nonzero == 3


def labelled() -> list:
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(4, 6, generator=generator), torch.zeros(4, dtype=torch.int64))]


GRADUAL = dict.fromkeys(("gmp", "taylor", "movement", "drop", "squisher"), 65)
AT_ONCE = dict.fromkeys(("random", "snip", "grasp", "synflow"), 0)
AFTER_TRAINING = dict.fromkeys(("magnitude", "lamp", "wanda", "fisher", "sipp"), 30) | {"espn": 60, "admm": 65}


@pytest.mark.parametrize(("name", "when"), [*GRADUAL.items(), *AT_ONCE.items(), *AFTER_TRAINING.items(), ("imp", 50)])
def test_when_each_method_has_reached_its_density(name, when):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    batches = [(torch.rand(8, 6), torch.randint(0, 2, (8,)))]
    method = methods.create(name, network, optimizer, steps=100, density=0.25, batches=batches)
    counts = [64]
    for _ in range(70):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batches[0][0]), batches[0][1]).backward()
        optimizer.step()
        counts.append(method.connectivity().nonzero)
    falls = [step for step in range(1, 71) if counts[step] < counts[step - 1]]
    assert counts[-1] == 16
    if name in GRADUAL or name == "imp":
        assert when - 20 <= falls[-1] <= when  # the last updates may round to the same count
        assert len(falls) > 4
    else:
        assert falls == [max(1, when)]  # pruning before the first step shows after it


@pytest.mark.parametrize(("name", "criterion"), [("taylor", "taylor"), ("fisher", "fisher"), ("sipp", "sipp")])
def test_a_named_method_follows_its_criterion(name, criterion):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    batches = [(torch.rand(8, 6), torch.randint(0, 2, (8,)))]
    expected = Connectivity.from_scores(criteria.score(criterion, network, batches), 0.25)
    method = methods.create(
        name, network, optimizer, steps=4, density=0.25, batches=batches, end=0.0, schedule="one-shot"
    )
    network(batches[0][0]).sum().backward()
    optimizer.step()
    assert method.connectivity() == expected


def test_wanda_prunes_every_neuron_alike():
    network, optimizer = nn.Linear(8, 4, bias=False), None
    network.weight.data[0] *= 100
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    method = methods.create("wanda", network, optimizer, steps=4, density=0.5, end=0.0, batches=[torch.rand(5, 8)])
    network(torch.rand(1, 8)).sum().backward()
    optimizer.step()
    assert method.connectivity()["weight"].sum(1).tolist() == [4, 4, 4, 4]


def test_synflow_needs_its_rounds():
    # Two consecutive layers of very different sizes: in one round the large one would take the whole density.
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False), nn.Linear(64, 2, bias=False))
    batches = [torch.rand(1, 64)]
    once = Connectivity.from_scores(criteria.synflow(network, batches), 0.01)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.0)
    method = methods.create("synflow", network, optimizer, steps=4, density=0.01, batches=batches)
    network(batches[0]).sum().backward()
    optimizer.step()
    from snnprune import effective_connectivity

    rounds = effective_connectivity(network, method.connectivity(), batches[0])
    assert method.connectivity().nonzero == once.nonzero == 83
    assert rounds.nonzero == 83 > effective_connectivity(network, once, batches[0]).nonzero


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.0}, r"density must be in \(0, 1\], found 0.0"),
        ({"criterion": "luck"}, "unknown criterion 'luck': known are fisher, grasp"),
        ({"allocation": "luck"}, "unknown allocation 'luck': known are er, erk"),
        ({"schedule": "luck"}, "unknown schedule 'luck': known are cubic, linear"),
        ({"begin": 1.5}, r"begin, a share of the steps, must be in \[0, 1\]; found 1.5"),
        ({"end": -0.1}, r"end, a share of the steps, must be in \[0, 1\]; found -0.1"),
        ({"begin": 0.9, "end": 0.5}, "a schedule must have 0 <= begin <= end, found begin 9, end 5"),
        ({"criterion": "taylor"}, r"criterion taylor needs data, found no batches"),
        ({"criterion": "taylor", "batches": [torch.rand(1, 6)]}, "criterion taylor needs labels, found inputs alone"),
    ],
)
def test_wrong_options_are_refused_before_the_first_step(options, message):
    network, optimizer = single(WEIGHTS)
    with pytest.raises(InputError, match=message):
        Pruning(network, optimizer, **{"density": 0.5, "steps": 10, **options})


def test_create_lists_the_options_of_a_method():
    network, optimizer = single(WEIGHTS)
    with pytest.raises(InputError, match="gmp needs density"):
        methods.create("gmp", network, optimizer, steps=10)
    with pytest.raises(InputError, match=r"drop does not take alpha: it takes density, criterion, .* p_out, p_in"):
        methods.create("drop", network, optimizer, steps=10, density=0.5, alpha=1.0)
