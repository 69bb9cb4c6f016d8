"""Lottery tickets: rounds with rewinding, Early-Bird, Early-Time."""

import pytest
import torch
from torch import Tensor, nn

import models
from snnprune import InputError
from snnprune.methods import IterativeMagnitude, Phase, early_timesteps
from snnprune.methods.pruning.imp import changed
from tests.methods.small import kept, single, step

WEIGHTS = [0.8, -0.7, 0.6, -0.5]


class Answers(nn.Module):
    """Gives the same outputs for every input: [T, B, classes]."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs, self.timesteps = outputs, len(outputs)
        self.layer = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.outputs[: self.timesteps]


def test_rounds_rewind_to_the_early_weights_by_hand():
    network, optimizer = single(WEIGHTS, lr=0.1)
    method = IterativeMagnitude(network, optimizer, density=0.5, steps=10, rate=0.25, rewind=0.1, end=0.7)
    assert step(network, optimizer, [1.0, 0.0, 0.0, 0.0]).tolist() == pytest.approx([0.7, -0.7, 0.6, -0.5])
    # three rounds (0.75^3 < 0.5) of two steps: after steps 3, 5 and 7 to 3.17, 2.52 and 2 synapses
    step(network, optimizer)
    assert step(network, optimizer, [6.0, 0.0, 0.0, 0.0]).tolist() == pytest.approx([0.0, -0.7, 0.6, -0.5])
    assert kept(method) == [1, 2, 3]  # 0.1 was the smallest, and is not rewound
    step(network, optimizer)
    assert step(network, optimizer, [0.0, 0.0, 0.0, 9.0]).tolist() == pytest.approx([0.0, -0.7, 0.6, -0.5])
    step(network, optimizer)
    step(network, optimizer)
    assert kept(method) == [1, 2]
    assert method.phase is not Phase.SEARCHING
    assert set(method.state) == {"mask"}


def test_without_rewinding_weights_train_on():
    network, optimizer = single(WEIGHTS, lr=0.1)
    IterativeMagnitude(network, optimizer, density=0.5, steps=10, rewind=None, end=0.1)
    assert step(network, optimizer, [1.0, 0.0, 0.0, 0.0]).tolist() == pytest.approx([0.7, -0.7, 0.0, 0.0])


def test_rewinding_makes_the_optimizer_forget():
    network, _ = single(WEIGHTS)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    IterativeMagnitude(network, optimizer, density=0.5, steps=4, rate=0.5, rewind=0.0, end=0.5)
    step(network, optimizer, 1.0)
    assert int(optimizer.state[network.weight]["step"]) == 1
    # Adam takes 0.1 off each weight in each step: 0.6, -0.9, 0.4, -0.7 before the round
    assert step(network, optimizer, 1.0).tolist() == pytest.approx([0.0, -0.7, 0.0, -0.5])
    assert network.weight not in optimizer.state


def test_an_early_bird_is_drawn_when_it_no_longer_changes():
    network, optimizer = single(WEIGHTS)
    method = IterativeMagnitude(network, optimizer, density=0.5, steps=50, early_bird=True)
    for count in range(1, 7):
        step(network, optimizer)
        assert len(kept(method)) == (4 if count < 6 else 2)  # a sixth ticket equal to the five before
    assert kept(method) == [0, 1]
    assert method.phase is not Phase.SEARCHING


def test_an_early_bird_that_keeps_changing_is_drawn_at_the_end():
    network, optimizer = single(WEIGHTS)
    method = IterativeMagnitude(network, optimizer, density=0.5, steps=50, early_bird=True, end=0.5)
    for count in range(1, 26):
        assert len(kept(method)) == 4
        network.weight.data = torch.tensor([WEIGHTS if count % 2 else WEIGHTS[::-1]])
        step(network, optimizer)
    assert kept(method) == [0, 1]


def test_the_distance_of_tickets_is_a_share_of_the_kept_synapses():
    first = {"a": torch.tensor([1.0, 1.0, 0.0, 0.0]), "b": torch.tensor([1.0, 0.0])}
    now = {"a": torch.tensor([True, False, True, False]), "b": torch.tensor([True, False])}
    assert changed(first, now) == pytest.approx(1 / 3)
    assert changed(now, now) == 0


def test_early_time_without_data_is_refused():
    with pytest.raises(InputError, match="Early-Time needs data, found no batches"):
        early_timesteps(Answers(torch.zeros(5, 1, 2)), [])


def test_early_time_by_hand():
    # One class spikes from the first step on; the running mean of the other falls: 1, 1/2, 1/3, 1/4, 1/5.
    outputs = torch.zeros(5, 1, 2)
    outputs[0, 0, 0] = 1.0
    logs = [torch.log_softmax(torch.tensor([1 / t, 0.0]), 0) for t in range(1, 6)]
    divergence = [float((log.exp() * (log - logs[-1])).sum()) for log in logs]
    assert divergence[2] < 0.6 * divergence[1]
    assert early_timesteps(Answers(outputs), [torch.zeros(1, 2)]) == 3
    share = divergence[2] / divergence[1]
    assert early_timesteps(Answers(outputs), [torch.zeros(1, 2)], threshold=share * 0.999) == 4
    assert early_timesteps(Answers(outputs), [torch.zeros(1, 2)], threshold=0.0) == 5


def test_early_time_searches_with_few_steps_and_trains_with_all():
    network = models.build("digits-mlp", timesteps=6)
    optimizer = torch.optim.Adam(network.parameters())
    batches = [torch.randn(8, 1, 8, 8)]
    method = IterativeMagnitude(
        network, optimizer, density=0.2, steps=10, rewind=0.1, end=0.5, early_time=True, batches=batches
    )
    seen = []
    for _ in range(6):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        seen.append(network.timesteps)
    found = method.numbers["timesteps"]
    assert 2 <= found <= 6
    assert seen == [found] * 4 + [6, 6]


def test_a_resumed_search_has_few_steps_again():
    network = models.build("digits-mlp", timesteps=6)
    optimizer = torch.optim.Adam(network.parameters())
    method = IterativeMagnitude(
        network, optimizer, density=0.2, steps=10, early_time=True, batches=[torch.zeros(1, 1, 8, 8)]
    )
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    found = {"timesteps": torch.tensor(2), "all_timesteps": torch.tensor(6)}
    method.load_state_dict({**method.state_dict(), **found})
    assert network.timesteps == 2
    assert {"timesteps", "all_timesteps"} < set(method.state_dict())
    method.detach()
    assert network.timesteps == 6


def test_a_search_that_is_stopped_is_not_rewound(caplog):
    network, optimizer = single(WEIGHTS)
    method = IterativeMagnitude(network, optimizer, density=0.5, steps=100, rewind=0.0)
    learned = [step(network, optimizer, 0.25).tolist() for _ in range(3)][-1]
    assert method.finalize().nonzero == 2
    alive = [weight if index in kept(method) else 0.0 for index, weight in enumerate(learned)]
    assert network.weight.reshape(-1).tolist() == alive
    assert "finalize() after 3 of 100 steps: pruning to density 0.5 at once" in caplog.text


def test_a_search_that_has_ended_early_is_not_reported_as_stopped(caplog):
    network, optimizer = single(WEIGHTS)
    method = IterativeMagnitude(network, optimizer, density=0.5, steps=50, early_bird=True)
    for _ in range(6):
        step(network, optimizer)
    assert method.phase is not Phase.SEARCHING
    assert method.finalize().nonzero == 2
    assert not caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rewind": 2.0}, r"rewind, a share of the steps, must be in \[0, 1\]; found 2.0"),
        ({"rewind": 0.2, "end": 0.1}, "rewind must not be after end, found 0.2 and 0.1"),
        ({"rate": 1.0}, r"rate must be in \(0, 1\), found 1.0"),
        ({"early_time": True}, "early_time needs data, found no batches"),
        (
            {"early_time": True, "batches": [torch.zeros(1, 4)]},
            "early_time sets the attribute timesteps of the network, Linear has none",
        ),
    ],
)
def test_wrong_options_are_refused(options, message):
    network, optimizer = single(WEIGHTS)
    with pytest.raises(InputError, match=message):
        IterativeMagnitude(network, optimizer, density=0.5, steps=10, **options)


def test_early_time_wants_a_time_axis():
    with pytest.raises(InputError, match=r"needs outputs \[T, B, classes\], found shape \(3, 2\)"):
        early_timesteps(nn.Linear(2, 2), [torch.zeros(3, 2)])
