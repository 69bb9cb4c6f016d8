"""SET, RigL, ESL and NDSNN: single rules computed by hand; and edge cases that they share with Deep R and STDS."""

import logging
import math

import pytest
import torch
from torch import nn
from torch.optim import SGD

from snnprune import Connectivity, InputError, Method
from snnprune.methods import ESL, NDSNN, SET, STDS, DeepR, DropAndGrow, RigL
from snnprune.methods.rewiring.drop_and_grow import _among_its_sign
from tests.methods.small import at, kept, pair, push, single, step

DRAWING = [DeepR, SET, RigL, ESL, NDSNN]


# --- Drop and grow


def test_set_drops_the_smallest_positive_and_the_largest_negative_weights():
    network, optimizer = single([1.0, 2.0, 3.0, 4.0, -1.0, -2.0, 5.0, 5.0, 5.0, 5.0])
    method = SET(network, optimizer, density=0.6, steps=4, every=1, end=1.0, fraction=0.5, allocation=at(*range(6)))
    weights = step(network, optimizer)  # drops two of four positive ones, and one of two negative ones
    assert weights[[2, 3, 5]].tolist() == [3, 4, -2]
    came = set(kept(method)) - {2, 3, 5}
    assert len(came) == 3
    assert all(weights[index] == (0 if index > 5 else [1, 2, 3, 4, -1, -2][index]) for index in came)


def test_the_share_among_a_sign_is_a_rank():
    weight = torch.tensor([3.0, -1.0, 1.0, -2.0, 7.0, 2.0])
    there = torch.tensor([True, True, True, True, False, True])
    assert _among_its_sign(weight, there).tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1, 0, 2 / 3])
    assert _among_its_sign(weight, weight > 8).tolist() == [0] * 6
    many = torch.linspace(-1, 1, 1001).bfloat16()
    assert _among_its_sign(many, many != 9).dtype == torch.float32


def test_rigl_moves_a_synapse_to_where_the_gradient_is_largest():
    network, _ = single([3.0, 0.1, -2.0, 9.0, 9.0, 9.0])
    optimizer = SGD(network.parameters(), lr=0.1, momentum=0.5)
    method = RigL(network, optimizer, density=0.5, steps=4, every=2, end=1.0, fraction=0.7, allocation=at(0, 1, 2))
    assert step(network, optimizer, [1.0, 0.0, 1.0, 7.0, 7.0, 7.0]).tolist() == pytest.approx([2.9, 0.1, -2.1, 0, 0, 0])
    # half of 0.7 of three synapses: one is dropped. The grown one has weight 0 and no old moments.
    assert step(network, optimizer, [0.0, 0.1, 0.0, 0.5, -4.0, 1.0]).tolist() == pytest.approx(
        [2.85, 0, -2.15, 0, 0, 0]
    )
    assert kept(method) == [0, 2, 4]
    assert optimizer.state[network.weight]["momentum_buffer"].tolist() == [[0.5, 0, 0.5, 0, 0, 0]]
    assert step(network, optimizer, [0.0, 1.0, 0.0, 1.0, 1.0, 1.0])[4].item() == pytest.approx(-0.1)


def test_a_synapse_that_rigl_drops_and_grows_at_once_keeps_its_weight():
    network, _ = single([3.0, 0.1, 9.0, 9.0])
    optimizer = SGD(network.parameters(), lr=0.01, momentum=0.5)
    method = RigL(network, optimizer, density=0.5, steps=4, every=2, end=1.0, fraction=1.0, allocation=at(0, 1))
    step(network, optimizer, [0.0, 1.0, 0.0, 0.0])
    weights = step(network, optimizer, [0.0, 1.0, 0.5, 0.5])
    assert kept(method) == [0, 1]
    assert weights.tolist() == pytest.approx([3.0, 0.1 - 0.01 - 0.015, 0, 0])
    assert optimizer.state[network.weight]["momentum_buffer"].tolist() == [[0, 1.5, 0, 0]]


def test_esl_by_momentum_looks_at_the_average_gradient_and_forgets_it_at_the_end():
    network, optimizer = single([3.0, 1.0, 9.0, 9.0], lr=0.0)
    method = ESL(
        network, optimizer, density=0.5, steps=4, every=3, end=0.75, fraction=0.5, annealed=False, grow="momentum",
        allocation=at(0, 1),
    )  # fmt: skip
    step(network, optimizer, [0.0, 0.0, 1.0, 0.0])
    assert method.state["average"]["weight"].tolist() == [pytest.approx([0, 0, 0.1, 0])]
    step(network, optimizer, [0.0, 0.0, 1.0, 0.0])
    step(network, optimizer, [0.0, 0.0, 0.0, 1.0])  # averages 0.171 and 0.1
    assert kept(method) == [0, 2]
    assert set(method.state) == {"mask"}


def test_ndsnn_has_as_many_synapses_as_its_cubic_schedule_asks_for():
    network, optimizer = single([float(size) for size in range(1, 17)], lr=0.01)
    method = NDSNN(network, optimizer, density=0.25, initial_density=1.0, steps=8, every=1, end=0.5)
    counts = []
    for count in range(6):
        step(network, optimizer, math.sin(count))
        counts.append(len(kept(method)))
    assert counts == [round(4 + 12 * (1 - t / 4) ** 3) for t in (1, 2, 3)] + [4, 4, 4] == [9, 6, 4, 4, 4, 4]


def test_ndsnn_begins_with_a_third_of_the_synapses_by_default():
    for density, first in ((0.1, 1 / 3), (0.5, 0.5)):
        network, optimizer = single([1.0] * 10)
        method = NDSNN(network, optimizer, density=density, steps=10)
        assert (method.initial_density, method.density) == (first, density)


@pytest.mark.parametrize(("kind", "options", "steps"), [(SET, {}, 1), (NDSNN, {"initial_density": 0.5}, 3)])
def test_a_method_that_has_its_density_is_finalized_without_a_warning(kind, options, steps, caplog):
    network, optimizer = single([float(size) for size in range(1, 17)], lr=0.01)
    method = kind(network, optimizer, density=0.25, steps=4, every=1, **options)
    for _ in range(steps):
        step(network, optimizer)
    before = method.connectivity()
    with caplog.at_level(logging.WARNING):
        assert method.finalize() == before
    assert "finalize()" not in caplog.text


def test_ndsnn_finalized_early_is_pruned_to_its_density(caplog):
    network, optimizer = single([float(size) for size in range(1, 17)], lr=0.01)
    method = NDSNN(network, optimizer, density=0.25, initial_density=1.0, steps=100)
    step(network, optimizer)
    with caplog.at_level(logging.WARNING):
        connectivity = method.finalize()
    assert "finalize() after 1 of 100 steps: pruning to density 0.25 at once" in caplog.text
    assert connectivity["weight"].flatten().nonzero().flatten().tolist() == [12, 13, 14, 15]
    assert network.weight.count_nonzero() == 4


def test_the_share_that_is_dropped_falls_on_a_cosine_or_stays():
    network, optimizer = single([1.0])
    method = RigL(network, optimizer, density=0.5, steps=100, end=0.8, fraction=0.4)
    assert [method.fraction_at(count) for count in (0, 20, 40, 80, 90)] == pytest.approx(
        [0.4, 0.2 + 0.2 * math.sqrt(0.5), 0.2, 0, 0]
    )
    method.detach()
    method = SET(network, optimizer, density=0.5, steps=100, fraction=0.4)
    assert [method.fraction_at(count) for count in (0, 50, 100)] == [0.4] * 3


@pytest.mark.parametrize(
    ("options", "updates"),
    [
        ({"every": 3, "end": 0.5}, [3, 6, 9, 10]),
        ({"every": 5, "end": 0.5}, [5, 10]),
        ({"every": 100, "end": 0.5}, [10]),
        ({"end": 0.1}, [1, 2]),
    ],
)
def test_updates_come_every_so_many_steps_and_at_the_end(options, updates):
    network, optimizer = single([1.0])
    method = SET(network, optimizer, density=0.5, steps=20, **options)
    assert [count for count in range(25) if method.schedule.updates_at(count)] == updates


@pytest.mark.parametrize("kind", [SET, RigL])
def test_where_the_network_rests_no_synapse_is_dropped(kind):
    torch.manual_seed(0)
    network, optimizer = pair()
    method = kind(network, optimizer, density=0.5, steps=20, every=1)
    network[1].weight.requires_grad_(False)
    push(network, optimizer, 0, 1)
    before, weights = method.connectivity(), network[1].weight.clone()
    push(network, optimizer, 1, 8)
    assert torch.equal(method.connectivity()["1.weight"], before["1.weight"])
    assert torch.equal(network[1].weight, weights)
    assert not torch.equal(method.connectivity()["0.weight"], before["0.weight"])


@pytest.mark.parametrize(("drop", "grow"), [("magnitude", "gradient"), ("gradient", "momentum")])
def test_a_density_that_falls_does_so_where_the_network_rests_too(drop, grow):
    torch.manual_seed(0)
    network, optimizer = pair()
    NDSNN(network, optimizer, density=0.2, initial_density=0.8, steps=8, every=1, end=1.0, drop=drop, grow=grow)
    push(network, optimizer, 0, 1)
    network[1].weight.requires_grad_(False)
    network[1].weight.grad = None
    before = network[1].weight.clone()
    push(network, optimizer, 1, 8)
    left = network[1].weight != 0
    assert 0 < left.sum() < (before != 0).sum()
    assert before[left].abs().min() > before[~left].abs().max()
    assert torch.equal(network[1].weight[left], before[left])


@pytest.mark.parametrize("allocation", [{"0.weight": 0.5, "1.weight": 0.25}, at(0, 1), "uniform"])
def test_the_first_connectivity_may_be_allocated_in_any_way(allocation):
    network, optimizer = single([1.0, 2.0, 3.0, 4.0]) if callable(allocation) else pair()
    method = SET(network, optimizer, density=0.5, steps=20, allocation=allocation)
    push(network, optimizer, 0, 2)
    expected = allocation if isinstance(allocation, dict) else dict.fromkeys(method.parameters, 0.5)
    assert {name: row["density"] for name, row in method.connectivity().layers().items()} == expected


def test_kernel_sizes_count_in_rigl_and_in_set_they_do_not():
    for kind, counts in ((RigL, [3 + 6 + 3 + 3, 6 + 4 + 3 + 3]), (SET, [3 + 6, 6 + 4])):
        network, optimizer = pair()
        method = kind(network, optimizer, density=0.25, steps=20)
        push(network, optimizer, 0, 1)
        found = [row["nonzero"] for row in method.connectivity().layers().values()]
        assert sum(found) == round(0.25 * (162 + 216))
        assert found[0] / sum(found) == pytest.approx(counts[0] / sum(counts), abs=1 / sum(found))


# --- All of them


@pytest.mark.parametrize("kind", DRAWING)
def test_random_choices_depend_on_the_seed(kind):
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        network, optimizer = pair()
        method = kind(network, optimizer, density=0.3, steps=20, seed=seed)
        push(network, optimizer, 0, 1)
        first = method.connectivity()
        push(network, optimizer, 1, 10)
        found.append((first, method.connectivity()))
    assert found[0] == found[1]
    assert found[0][0].jaccard(found[2][0]) < 0.5
    assert found[0][1] != found[0][0]


def test_one_method_draws_otherwise_at_every_step_and_for_every_tensor():
    network, optimizer = pair()
    drop_and_grow = SET(network, optimizer, density=0.3, steps=20)
    draws = []
    for drop_and_grow.steps_done in (1, 2):
        draws += [drop_and_grow._draw(name).flatten()[:50] for name in drop_and_grow.parameters]
    assert len({tuple(draw.tolist()) for draw in draws}) == 4


@pytest.mark.parametrize("kind", [*DRAWING, STDS])
@pytest.mark.parametrize("one_by_one", [False, True])
def test_exclude_may_be_an_iterator(kind, one_by_one):
    network, optimizer = pair()
    exclude = iter(["1"]) if one_by_one else ["1"]
    method = kind(network, optimizer, density=0.5, steps=4, exclude=exclude)
    push(network, optimizer, 0, 4)
    assert list(method.connectivity()) == ["0.weight"]
    assert method.finalize().nonzero == 81
    assert network[1].weight.all()


@pytest.mark.parametrize("kind", [*DRAWING, STDS])
def test_a_training_that_never_began_is_finalized_at_its_density(kind):
    network, optimizer = pair()
    connectivity = kind(network, optimizer, density=0.5, steps=4).finalize()
    assert connectivity.density == 0.5
    assert connectivity == Connectivity.from_network(network)


@pytest.mark.parametrize(
    ("kind", "options", "keys"),
    [
        (DeepR, {}, {"synapses:0.weight", "synapses:1.weight", "mask", "sign"}),
        (STDS, {}, {"width", "hidden"}),
        (SET, {}, {"mask"}),
        (ESL, {"grow": "momentum"}, {"mask", "average"}),
    ],
)
def test_a_state_is_complete_and_one_of_another_network_is_refused(kind, options, keys):
    network, optimizer = pair()
    method = kind(network, optimizer, density=0.5, steps=40, **options)
    push(network, optimizer, 0, 3)
    state = method.state_dict()
    assert {key.partition("/")[0] for key in state} == keys | {
        "version",
        "method",
        "density",
        "options",
        "steps",
        "phase",
    }
    other = nn.Sequential(nn.Conv2d(3, 6, 3, bias=False), nn.Conv2d(6, 5, 3, bias=False))
    stranger = kind(other, SGD(other.parameters(), lr=0.1), density=0.5, steps=40, **options)
    with pytest.raises(InputError, match=r"1\.weight is \(4, 6, 3, 3\) in the first and \(5, 6, 3, 3\) in the second"):
        stranger.load_state_dict(state)
    assert (stranger.steps_done, stranger.state, stranger.numbers) == (0, {}, {})


def test_growth_by_momentum_wants_a_state_that_has_one():
    network, optimizer = pair()
    method = ESL(network, optimizer, density=0.5, steps=40)
    push(network, optimizer, 0, 3)
    state = method.state_dict()
    method.detach()
    with pytest.raises(InputError, match="the state has no mean of gradients"):
        ESL(network, optimizer, density=0.5, steps=40, grow="momentum").load_state_dict(state)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", [*DRAWING, STDS])
def test_weights_may_have_another_precision(kind, dtype):
    network, _ = pair(dtype=dtype)
    optimizer = SGD(network.parameters(), lr=0.1)
    method = kind(network, optimizer, density=0.25, steps=20)
    push(network, optimizer, 0, 20)
    connectivity = method.finalize()
    assert connectivity.nonzero == round(0.25 * connectivity.prunable)
    assert all(not p[~mask].any() for p, mask in zip(network.parameters(), connectivity.values(), strict=True))
    assert all(parameter.dtype == dtype for parameter in network.parameters())


NAMED: dict[type[Method], dict] = {DeepR: {"density": 0.5}, STDS: {"density": 0.5}, DropAndGrow: {"density": 0.5}}


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (DeepR, {"density": 0.0}, r"density must be in \(0, 1\], found 0.0"),
        (DeepR, {"density": 1.5}, r"density must be in \(0, 1\], found 1.5"),
        (DeepR, {"alpha": -0.1}, "alpha must be 0 or more, found -0.1"),
        (DeepR, {"temperature": -1.0}, "temperature must be 0 or more, found -1.0"),
        (DeepR, {"alpha": math.nan}, "alpha must be 0 or more, found nan"),
        (DeepR, {"settle": 0.0}, r"settle must be in \(0, 1\], found 0.0"),
        (DeepR, {"scope": "tensor"}, "scope must be 'global' or 'layer', found 'tensor'"),
        (DeepR, {"steps": 0}, "steps must be an integer, 1 or more; found 0"),
        (DeepR, {"allocation": "even"}, "unknown allocation 'even'"),
        (STDS, {"width": 1.0}, "give either density or width, found both"),
        (STDS, {"density": None}, "give either density or width, found neither"),
        (STDS, {"density": None, "width": 0.0}, "width must be above 0, found 0.0"),
        (STDS, {"growth": "cubic"}, "growth must be 'sine' or 'linear', found 'cubic'"),
        (STDS, {"density": 1.1}, r"density must be in \(0, 1\], found 1.1"),
        (STDS, {"settle": 1.1}, r"settle must be in \(0, 1\], found 1.1"),
        (STDS, {"steps": 0}, "steps must be an integer, 1 or more; found 0"),
        (DropAndGrow, {"drop": "random"}, "drop must be one of magnitude, signed, gradient, found 'random'"),
        (DropAndGrow, {"grow": "signed"}, "grow must be one of random, gradient, momentum, found 'signed'"),
        (DropAndGrow, {"density": 0.0}, r"density must be in \(0, 1\], found 0.0"),
        (
            DropAndGrow,
            {"initial_density": 0.4},
            "initial_density must be at least the final density, 0.5; found 0.4",
        ),
        (DropAndGrow, {"initial_density": 1.5}, r"initial_density must be in \(0, 1\], found 1.5"),
        (DropAndGrow, {"fraction": 1.1}, r"fraction must be in \[0, 1\], found 1.1"),
        (DropAndGrow, {"end": 0.0}, r"end must be in \(0, 1\], found 0.0"),
        (DropAndGrow, {"steps": 0}, "steps must be an integer, 1 or more; found 0"),
        (DropAndGrow, {"every": 0}, "every must be 1 or more, found 0"),
        (DropAndGrow, {"allocation": "even"}, "unknown allocation 'even'"),
        (DropAndGrow, {"allocation": "fan-in=8"}, "allocation='fan-in=8' would not last, because synapses move within"),
        (DeepR, {"allocation": "2:4"}, "allocation='2:4' would not last, because synapses move within their layers"),
        (DeepR, {"temperature": math.inf}, "temperature must be 0 or more, found inf"),
        (DeepR, {"density": 0.1}, "density 0.1 leaves none of the 2 synapses"),
        (DeepR, {"density": "0.5"}, r"density must be in \(0, 1\], found '0.5'"),
        (DeepR, {"steps": "100"}, "steps must be an integer, 1 or more; found '100'"),
        (STDS, {"density": None, "width": math.inf}, "width must be above 0, found inf"),
        (NDSNN, {"density": 0.5, "initial_density": 0.4}, "initial_density must be at least the final density, 0.5"),
        (SET, {"density": 0.5, "drop": "none"}, "drop must be one of"),
    ],
)
def test_wrong_options_are_refused_and_leave_no_hooks_on_the_optimizer(kind, options, message):
    network, optimizer = single([1.0, 2.0])
    with pytest.raises(InputError, match=message):
        kind(network, optimizer, **{"steps": 10} | NAMED.get(kind, {}) | options)
    assert not optimizer._optimizer_step_pre_hooks
