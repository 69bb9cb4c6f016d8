"""The same count as NeuroBench's, to the last digit, on networks that both can run."""

import pytest
import torch
import torch.nn.functional as F
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from snnprune import Connectivity, criteria
from snnprune.budget import count_operations

REASON = "NeuroBench is not installed: pip install snnprune[neurobench]"
workload = pytest.importorskip("neurobench.metrics.workload", reason=REASON, exc_type=ImportError)
neurobench = pytest.importorskip("neurobench.models", reason=REASON, exc_type=ImportError)


def spiking() -> nn.Sequential:
    network = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.LIFNode(v_threshold=0.2),
        layer.MaxPool2d(2),
        layer.Conv2d(4, 6, 3, stride=2, padding=1, groups=2),
        neuron.LIFNode(v_threshold=0.1),
        layer.Flatten(),
        layer.Linear(6 * 4, 5),
        neuron.LIFNode(v_threshold=0.1),
    )
    functional.set_step_mode(network, "m")
    return network


def ann() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))


@pytest.mark.parametrize("make", [spiking, ann])
@pytest.mark.parametrize("density", [1.0, 0.3])
def test_neurobench_counts_the_same(make, density):
    torch.manual_seed(0)
    network = make().eval()
    Connectivity.from_scores(criteria.random(network), density).apply_(network)
    shape = (4, 3, 1, 8, 8) if make is spiking else (3, 1, 8, 8)
    images = 2 * torch.rand(shape)
    ours = count_operations(network, [images])
    model = neurobench.TorchModel(network)
    model.register_hooks()
    functional.reset_net(network)
    with torch.no_grad():
        outputs = model(images)
    theirs = workload.SynapticOperations()(model, outputs, (images[0] if make is spiking else images, None))
    functional.reset_net(network)
    assert ours.synaptic_operations == theirs["Effective_ACs"]
    assert ours.multiply_accumulates == theirs["Effective_MACs"]
    assert (ours.synaptic_operations > 0) == (make is spiking)


def test_where_neurobench_stops_the_count_goes_on():
    """It hooks modules: a layer that is called as a function costs nothing there."""

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return F.linear(self.first(inputs).relu(), self.second.weight)

    network, inputs = Functional().eval(), torch.rand(3, 6)
    model = neurobench.TorchModel(network)
    model.register_hooks()
    theirs = workload.SynapticOperations()(model, model(inputs), (inputs, None))
    ours = count_operations(network, [inputs])
    assert theirs["Effective_MACs"] == ours.layers["first.weight"].mean
    assert ours.layers["second.weight"].mean > 0
