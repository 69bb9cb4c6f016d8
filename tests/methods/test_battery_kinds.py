"""Every method on every kind of synapses that is no layer: exact density, and exact zeros after each step."""

import copy

import pytest
import torch
from spikingjelly.activation_based import functional, layer, rnn
from torch import Tensor, nn
from torch.optim import Adam

from snnprune import Connectivity, InputError, allocation, criteria, geometry, methods
from snnprune.allocation import ALLOCATIONS

STEPS = 12
DENSITY = 0.3


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attn(x, x, x)[0].mean(1))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, batch_first=True, bidirectional=True)
        self.head = nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0].mean(1))


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 5)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = x.new_zeros(len(x), 5)
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.head(state)


class Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pairs = nn.Bilinear(4, 4, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pairs(x[:, 0], x[:, 1]).relu())


class SpikingRecurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = rnn.SpikingLSTM(4, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x.transpose(0, 1))[0].mean(0))


class Dropped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = layer.DropConnectLinear(4, 6, p=0.2)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(x.mean(1)))


class Mixed(nn.Module):
    """A matrix of the user's own, which is an option to include."""

    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Parameter(torch.randn(5, 4))
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x.mean(1) @ self.mixing.T).relu())


NETWORKS = (Attention, Recurrent, Loop, Pairs, SpikingRecurrent, Dropped, Mixed)
# DropConnectLinear samples outside of training, and has no gradient there.
OF_GRADIENTS = {"fisher", "grasp", "movement", "snip", "taylor"}
OPTIONS: dict[str, dict] = {"dense": {}, "fixed": {}, "pruning": {"density": DENSITY, "criterion": "magnitude"}}


def refuses(criterion: str, kind: type[nn.Module]) -> bool:
    return criterion in OF_GRADIENTS and kind is Dropped


def batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(8, 6, 4, generator=generator), torch.randint(0, 3, (8,), generator=generator)


def entries(network: nn.Module) -> dict:
    return {"include": "mixing"} if isinstance(network, Mixed) else {}


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(1)
    return kind()


def create(name: str, network: nn.Module, optimizer: Adam) -> methods.Method:
    options = OPTIONS.get(name, {"density": DENSITY})
    if name == "fixed":
        drawn = criteria.score("random", network, **entries(network))
        options = {"connectivity": Connectivity.from_scores(drawn, DENSITY)}
    batches = [batch(100), batch(101)]
    return methods.create(name, network, optimizer, steps=STEPS, batches=batches, **options, **entries(network))


def train(network: nn.Module, optimizer: Adam, method: methods.Method, first: int = 0, last: int = STEPS) -> None:
    for step in range(first, last):
        inputs, labels = batch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
        functional.reset_net(network)
        kept = method.connectivity()
        assert not any(method.parameters[key].detach()[~mask].any() for key, mask in kept.items())


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", methods.names())
def test_density_and_zeros_are_exact(name, kind):
    network = made(kind)
    optimizer = Adam(network.parameters(), lr=1e-2)
    if name != "movement" and refuses(name, kind):  # its scores come from the training itself
        with pytest.raises(InputError):
            train(network, optimizer, create(name, network, optimizer))
        return
    method = create(name, network, optimizer)
    assert len(method.parameters) == sum(parameter.dim() >= 2 for parameter in network.parameters())
    train(network, optimizer, method)
    kept = method.finalize()
    assert kept.nonzero == (kept.prunable if name == "dense" else round(DENSITY * kept.prunable))


@pytest.mark.parametrize("kind", [Recurrent, Mixed])
@pytest.mark.parametrize("name", ["gradr", "rigl", "gmp"])
def test_a_copy_goes_on_like_the_original(name, kind):
    network = made(kind)
    optimizer = Adam(network.parameters(), lr=1e-2)
    method = create(name, network, optimizer)
    train(network, optimizer, method, last=4)
    copied = copy.deepcopy((network, optimizer, method))
    again = made(kind)
    other = Adam(again.parameters(), lr=1e-2)
    resumed = create(name, again, other)
    again.load_state_dict(network.state_dict())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    for parts in ((network, optimizer, method), copied, (again, other, resumed)):
        train(*parts, first=4)
    for twin in (copied[0], again):
        assert all(torch.equal(value, twin.state_dict()[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("criterion", criteria.names())
def test_criteria_score_every_weight_or_refuse(criterion, kind):
    network = made(kind)
    if refuses(criterion, kind):
        with pytest.raises(InputError, match=r"no gradient reaches|loss must return one number with a gradient"):
            criteria.score(criterion, network, [batch(0)], **entries(network))
        return
    scores = criteria.score(criterion, network, [batch(0)], **entries(network))
    shapes = {name: tensor.shape for name, tensor in Connectivity.dense(network, **entries(network)).items()}
    assert {name: score.shape for name, score in scores.items()} == shapes
    assert all(score.isfinite().all() for score in scores.values())


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", [*ALLOCATIONS.names(), "1:2", "fan-in=2", "fan-out=2"])
def test_allocations_choose_among_every_kind(name, kind):
    network = made(kind)
    if name == "1:2" and kind in (Recurrent, Loop, Mixed):  # fan-ins of 5
        return
    scores = criteria.score("magnitude", network, **entries(network))
    shapes = geometry(network, **entries(network))
    kept = allocation.find(name)(scores, 0.5, shapes)
    assert kept.keys() == scores.keys()
    assert 0 < kept.nonzero <= round(0.5 * kept.prunable) + 1
    for key, mask in kept.items():
        rows = mask.flatten(1).sum(1)
        assert name != "fan-in=2" or int(rows.max()) <= 2
        assert name != "fan-out=2" or int(mask.flatten(1).sum(0).max()) <= 2
        assert name != "filters" or {int(row) for row in rows} <= {0, shapes[key].fan_in}
