"""Reproducible random numbers, independent of the global generator."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import models
from snnprune import criteria
from snnprune.seeding import generator


@settings(max_examples=50, deadline=None)
@given(key=st.lists(st.integers(0, 2**40), min_size=1, max_size=3))
def test_the_same_key_draws_the_same(key):
    first, again, other = (torch.rand(4, generator=generator(*k)) for k in (key, key, [*key, 1]))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_random_scores_have_nothing_to_do_with_initial_weights_of_the_same_seed():
    for seed in range(5):
        torch.manual_seed(seed)
        network = models.build("digits-mlp")
        scores = criteria.random(network, seed=seed)
        for name, parameter in network.named_parameters():
            both = torch.stack([scores[name].reshape(-1), parameter.detach().reshape(-1)])
            assert abs(torch.corrcoef(both)[0, 1]) < 0.15
