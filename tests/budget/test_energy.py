"""Energy, by hand."""

import pytest
import torch
from torch import nn

import models
from snnprune import InputError
from snnprune.budget import COSTS, Cost, count_operations, estimate_energy

MINE = Cost("mine", accumulate=1.0, multiply_accumulate=10.0, bits=4, source="a guess")


def operations(timesteps: int = 3, **options):
    torch.manual_seed(0)
    return count_operations(models.build("mnist-mlp", timesteps=timesteps), [torch.randn(4, 1, 28, 28)], **options)


def test_spikes_are_added_and_analog_inputs_multiplied():
    network = nn.Sequential(nn.Linear(2, 3, bias=False))
    spiking = estimate_energy(count_operations(network, [torch.tensor([[1.0, 0.0]])]), MINE)
    analog = estimate_energy(count_operations(network, [torch.tensor([[0.5, 0.0]])]), MINE)
    assert (spiking.total, analog.total) == (3, 30)
    assert spiking.weight_bits_read == analog.weight_bits_read == 12


def test_the_energy_of_a_network_with_its_assumptions():
    counted = operations()
    energy = estimate_energy(counted)
    assert energy.by_layer["fc1.weight"] == pytest.approx(4.6 * 784 * 800)
    assert energy.by_layer["fc2.weight"] == pytest.approx(0.9 * counted.synaptic_operations)
    assert energy.total == pytest.approx(sum(energy.by_layer.values()))
    text = str(energy)
    assert "0.9 pJ for an addition, 4.6 pJ for a multiplication and addition (Horowitz" in text
    assert "zero weights cost nothing" in text
    assert "reading them, spikes and neuron states costs nothing" in text
    assert "fc1.weight sees a still input and is counted once" in text


def test_a_still_layer_that_is_counted_at_each_step_is_named():
    assert "counted at each of 3 time steps" in str(estimate_energy(operations(static="each-step")))
    assert "still input" not in str(estimate_energy(operations(timesteps=1)))


def test_every_cost_has_its_source():
    assert all(cost.source and cost.accumulate < cost.multiply_accumulate for cost in COSTS.values())


def test_an_unknown_cost_lists_the_known_ones():
    with pytest.raises(InputError, match="unknown cost '7nm': known are 45nm-float32, 45nm-float16, 45nm-int8"):
        estimate_energy(operations(), "7nm")


def test_the_table_has_a_row_for_each_layer():
    lines = operations().table().splitlines()
    assert lines[0].split() == ["layer", "operations", "kind", "if", "dense", "share", "inputs", "not", "0"]
    assert lines[1].split()[:4] == ["fc1.weight", "627,200", "multiply-adds,", "once"]
    assert "additions" in lines[2]
