"""A small network, every method on it, and a training that is saved and loaded half way."""

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from snnprune import Connectivity, Method, criteria, methods
from snnprune.methods.given import parameters_of

STEPS = 8
GENERATOR = torch.Generator().manual_seed(3)
BATCHES = [(torch.rand(8, 6, generator=GENERATOR), torch.arange(8) % 4)]


def mlp(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    kind: dict = {"dtype": dtype, "device": "cpu"}
    return nn.Sequential(nn.Linear(6, 16, **kind), nn.ReLU(), nn.Linear(16, 4, **kind))


def make(name: str, network: nn.Module, optimizer: Optimizer) -> Method:
    dtype = next(network.parameters()).dtype
    given: dict = {
        "density": 0.4,
        "steps": STEPS,
        "batches": [(inputs.to(dtype), labels) for inputs, labels in BATCHES],
    }
    if name == "fixed":
        given = {"connectivity": Connectivity.from_scores(criteria.magnitude(network), 0.5)}
    takes = parameters_of(methods.find(name))
    return methods.find(name)(network, optimizer, **{option: given[option] for option in given if option in takes})


def train(network: nn.Module, optimizer: Optimizer, first: int, last: int) -> None:
    dtype = next(network.parameters()).dtype
    for step in range(first, last):
        numbers = torch.Generator().manual_seed(step)
        inputs = torch.rand(8, 6, generator=numbers, dtype=torch.float32, device="cpu")
        optimizer.zero_grad()
        network(inputs.to(dtype)).float().square().mean().backward()
        optimizer.step()


def trained(name: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The weights after a training that is saved and loaded half way."""
    network = mlp(dtype)
    optimizer = Adam(network.parameters(), lr=1e-2)
    method = make(name, network, optimizer)
    train(network, optimizer, 0, STEPS // 2)
    method.load_state_dict(method.state_dict())
    train(network, optimizer, STEPS // 2, STEPS)
    kept = method.finalize()
    assert method.target_density is None or kept.nonzero == round(method.target_density * kept.prunable)
    for layer, mask in kept.items():
        assert not network.get_parameter(layer)[~mask].any()
    return {layer: parameter.detach().clone() for layer, parameter in network.named_parameters()}
