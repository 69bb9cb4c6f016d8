"""The scores of every criterion, and the kept synapses, on six weights and two samples: worked out on paper."""

import pytest
import torch
from torch import nn

from snnprune import Connectivity, criteria

WEIGHTS = torch.tensor([[1.0, -2.0, 0.0], [0.5, 1.0, -1.0]])
SAMPLES = [
    # outputs -3 and 2.5, targets 1 and 0: slopes of the loss -4 and 2.5, times the inputs
    (torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([0])),
    # outputs -2 and 0, targets 0 and 1: slopes -2 and -1
    (torch.tensor([[0.0, 1.0, 1.0]]), torch.tensor([1])),
]
ROOT5 = 5**0.5


def layer(weights: torch.Tensor = WEIGHTS) -> nn.Linear:
    network = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    network.weight.data = weights.clone()
    return network


@pytest.mark.parametrize(
    ("name", "scores", "best_three"),
    [
        ("magnitude", [[1, 2, 0], [0.5, 1, 1]], [[1, 1, 0], [0, 1, 0]]),
        # w times slope is 4 16 0, 1.25 5 0 and 0 4 0, 0 -1 1
        ("taylor", [[2, 10, 0], [0.625, 3, 0.5]], [[1, 1, 0], [0, 1, 0]]),
        ("movement", [[2, -10, 0], [-0.625, -2, -0.5]], [[1, 0, 1], [0, 0, 1]]),
        ("fisher", [[4, 68, 0], [0.390625, 6.5, 0.25]], [[1, 1, 0], [0, 1, 0]]),
        # the mean slopes are -2 -5 -1, 1.25 2 -0.5; the sum of all |w g| is 15.125
        (
            "snip",
            [[2 / 15.125, 10 / 15.125, 0], [0.625 / 15.125, 2 / 15.125, 0.5 / 15.125]],
            [[1, 1, 0], [0, 1, 0]],
        ),
        # the inputs' norms are 1, root of 5, 1
        ("wanda", [[1, 2 * ROOT5, 0], [0.5, ROOT5, 1]], [[1, 1, 0], [0, 1, 0]]),
        # and they are not 0 once, twice, once
        ("synops", [[1, 1, 0], [0.5, 0.5, 1]], [[1, 1, 0], [0, 0, 1]]),
        # and their means 0.5, 1.5, 0.5
        ("spike-flip", [[0.5, 3, 0], [0.25, 1.5, 0.5]], [[1, 1, 0], [0, 1, 0]]),
        # first sample: 1/1 and 4/4, 0.5/2.5 and 2/2.5; second: 2/2, 1/1 and 1/1
        ("sipp", [[1, 1, 0], [0.2, 1, 1]], [[1, 1, 0], [0, 1, 0]]),
        ("synflow", [[0.5, 1, 0], [0.25, 0.5, 0.5]], [[1, 1, 0], [0, 1, 0]]),
    ],
)
def test_six_weights(name, scores, best_three):
    found = criteria.score(name, layer(), SAMPLES)
    torch.testing.assert_close(found["weight"], torch.tensor(scores, dtype=torch.float32))
    assert Connectivity.from_scores(found, 0.5)["weight"].int().tolist() == best_three


def test_grasp():
    # Outputs 0 and 0: probabilities a half. Slopes by the outputs -0.5 and 0.5, their Hessian a quarter of 1 -1, -1 1.
    # H g is the Hessian times the slopes, -0.25 and 0.25, times the input's squared norm, 5, times the input 1 2 0.
    network = layer(torch.tensor([[2.0, -1.0, 3.0], [4.0, -2.0, -1.0]]))
    found = criteria.score("grasp", network, SAMPLES[:1], temperature=1.0)
    torch.testing.assert_close(found["weight"], torch.tensor([[-2.5, 2.5, 0], [5, -5, 0]]))
    assert Connectivity.from_scores(found, 0.5)["weight"].int().tolist() == [[0, 1, 1], [1, 0, 0]]


def test_random_scores_are_uniform_and_repeat_themselves():
    network = nn.Linear(100, 50)
    first, again = (criteria.random(network, seed=3)["weight"] for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, criteria.random(network, seed=4)["weight"])
    assert 0 <= float(first.min()) < 0.01 < 0.99 < float(first.max()) < 1
    assert abs(float(first.mean()) - 0.5) < 0.02


def test_synflow_through_two_layers():
    # Ones lead to 3 and 2 after the first layer, and the second has factors 1 and 4: the scores are |w| times both.
    network = nn.Sequential(layer(torch.tensor([[1.0, -2.0], [-1.5, 0.5]])), layer(torch.tensor([[-1.0, 4.0]])))
    scores = criteria.score("synflow", network, [torch.rand(3, 2)])
    # 1 2, 6 2 and 3 8, over the largest
    torch.testing.assert_close(scores["0.weight"], torch.tensor([[1.0, 2.0], [6.0, 2.0]]) / 8)
    torch.testing.assert_close(scores["1.weight"], torch.tensor([[3.0, 8.0]]) / 8)


def test_the_gain_of_a_normalisation_is_folded_into_spike_flip():
    network = nn.Sequential(layer(), nn.BatchNorm1d(2, eps=1.0))
    network[1].weight.data = torch.tensor([-4.0, 3.0])
    network[1].running_var.copy_(torch.tensor([3.0, 8.0]))
    scores = criteria.score("spike-flip", network, SAMPLES)
    # 4 / root of 3 + 1 and 3 / root of 8 + 1
    torch.testing.assert_close(scores["0.weight"], torch.tensor([[1.0, 6.0, 0.0], [0.25, 1.5, 0.5]]))


def test_the_loss_of_the_caller_is_used():
    scores = criteria.score("taylor", layer(), SAMPLES[:1], loss=lambda output, _: output[0, 1])
    torch.testing.assert_close(scores["weight"], torch.tensor([[0.0, 0, 0], [0.5, 2, 0]]))


# GraSP keeps the weights that preserve the gradient, and the largest is not one of them here.
@pytest.mark.parametrize("name", [name for name in criteria.names() if name not in ("random", "grasp")])
def test_a_larger_score_is_more_worth_keeping(name):
    # The target is high for output 0 and 0 for output 1: the largest weight helps, the others harm or have no effect.
    network = layer(torch.tensor([[0.6, 0.2], [0.1, 0.1]]))
    batch = (torch.tensor([[1.0, 0.5]]), torch.tensor([0]))
    scores = criteria.score(name, network, [batch])["weight"]
    assert int(scores.argmax()) == 0
