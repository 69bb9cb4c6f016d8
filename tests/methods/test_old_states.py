"""States saved before states had a version: every method goes on from one, to the same weights.

`tests/data/method-states-0.safetensors` was written at commit 8bf79d4: for every method the network, the optimizer and
the method after `STOP` steps, and the weights after `STEPS`.
"""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from snnprune import Connectivity, methods
from snnprune.methods import Phase
from snnprune.storage import read_tensors

FILE = Path(__file__).parents[1] / "data" / "method-states-0.safetensors"
STOP, STEPS = 11, 24
OPTIONS: dict[str, list[dict]] = {
    "dense": [{}],
    "fixed": [{"connectivity": "half"}],
    "gradr": [{"density": 0.3}, {"alpha": 0.1}, {"density": 0.3, "optimizer": "sgd"}],
    "softdeepr": [{"density": 0.3}, {"alpha": 0.1, "temperature": 1e-4}],
    "stds": [{"density": 0.3}, {"width": 0.1}],
    "upr": [{"density": 0.3}, {"price": 1e-3}],
    "esl": [{"density": 0.3, "grow": "momentum"}],
    "imp": [{"density": 0.3}, {"density": 0.3, "end": 0.3, "rewind": 0.1}, {"density": 0.3, "early_bird": True}],
    "espn": [{"density": 0.3}, {"density": 0.3, "begin": 0.6, "end": 0.9}, {"density": 0.3, "end": 0.4}],
    "admm": [{"density": 0.3}, {"density": 0.3, "begin": 0.6, "end": 0.9}, {"density": 0.3, "end": 0.4}],
    "deepr": [{"density": 0.3}, {"density": 0.3, "settle": 0.3}],
    "rigl": [{"density": 0.3}, {"density": 0.3, "end": 0.3}],
}
CASES = [
    pytest.param(name, options, id="-".join([name, *(f"{k}={v}" for k, v in options.items())]))
    for name in methods.names()
    for options in OPTIONS.get(name, [{"density": 0.3}])
]


def start(name: str, options: dict):
    torch.manual_seed(2)
    network = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))
    options = dict(options)
    kind = options.pop("optimizer", "adam")
    make = {"adam": lambda p: Adam(p, lr=1e-2), "sgd": lambda p: SGD(p, lr=1e-1, momentum=0.9)}[kind]
    optimizer = make(network.parameters())
    if "connectivity" in options:
        scores = {n: torch.arange(p.numel(), dtype=p.dtype).view(p.shape) % 7 for n, p in network.named_parameters()}
        options["connectivity"] = Connectivity.from_scores(scores, 0.5)
    batches = [batch(1000), batch(1001)]
    return network, optimizer, methods.create(name, network, optimizer, steps=STEPS, batches=batches, **options)


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.rand(16, 6, generator=generator), torch.randint(0, 3, (16,), generator=generator)


def train(network: nn.Module, optimizer: Optimizer, first: int, last: int) -> None:
    for step in range(first, last):
        inputs, labels = batch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()


def saved(case: str) -> dict[str, dict[str, torch.Tensor]]:
    tensors, _ = read_tensors(FILE, kind="checkpoint")
    parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "optimizer": {}, "method": {}, "end": {}}
    for key, tensor in tensors.items():
        owner, _, rest = key.partition("|")
        part, _, name = rest.partition("|")
        if owner == case:
            parts[part][name] = tensor
    return parts


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_state_without_version_is_resumed(name, options, request):
    parts = saved(request.node.callspec.id)
    network, optimizer, method = start(name, options)
    network.load_state_dict(parts["network"])
    state: dict[int, dict] = {}
    for key, tensor in parts["optimizer"].items():
        index, _, entry = key.partition("/")
        state.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    method.load_state_dict(parts["method"])
    assert method.steps_done == STOP
    assert method.phase not in (Phase.WAITING, Phase.ENDED)
    train(network, optimizer, STOP, STEPS)
    for parameter_name, weight in network.state_dict().items():
        torch.testing.assert_close(weight, parts["end"][parameter_name], rtol=1e-4, atol=1e-6)
        assert torch.equal(weight == 0, parts["end"][parameter_name] == 0)
