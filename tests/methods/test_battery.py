"""Properties of every registered method with every optimizer; a new one is tested as soon as it is registered."""

import copy
import itertools

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.optim import SGD, Adam, AdamW, NAdam, Optimizer, RMSprop

from snnprune import Connectivity, Method, criteria, methods, schedules
from snnprune.methods import masked, search
from snnprune.storage import read_tensors, write_tensors

STEPS = 24
DENSITY = 0.2

OPTIMIZERS = {
    "adam": lambda p: Adam(p, lr=1e-2),
    "adam-decay": lambda p: Adam(p, lr=1e-2, weight_decay=1e-2),
    "adam-fused": lambda p: Adam(p, lr=1e-2, fused=True),
    "adam-foreach": lambda p: Adam(p, lr=1e-2, foreach=True),
    "adamw": lambda p: AdamW(p, lr=1e-2, weight_decay=1e-1),
    "adamw-amsgrad": lambda p: AdamW(p, lr=1e-2, amsgrad=True),
    "sgd-momentum": lambda p: SGD(p, lr=1e-1, momentum=0.9, weight_decay=1e-3),
    "sgd-nesterov-foreach": lambda p: SGD(p, lr=1e-1, momentum=0.9, nesterov=True, foreach=True),
    "nadam": lambda p: NAdam(p, lr=1e-2),
    "rmsprop": lambda p: RMSprop(p, lr=1e-3, momentum=0.9, weight_decay=1e-3),
}
# The options that each method is tested with. All others take a density and the number of steps.
OPTIONS: dict[str, list[dict]] = {
    "dense": [{}],
    "gradr": [
        {"alpha": 0.1},
        {"density": DENSITY},
        {"density": DENSITY, "scope": "layer"},
        {"density": DENSITY, "allocation": "lamp"},
    ],
    "fixed": [{"connectivity": "drawn"}],
    "stds": [{"density": DENSITY}, {"width": 0.1}, {"width": 0.1, "growth": "linear"}],
    "softdeepr": [{"alpha": 0.1, "temperature": 1e-4}, {"density": DENSITY}],
    "deepr": [
        {"density": DENSITY},
        {"density": DENSITY, "temperature": 1e-4, "settle": 0.6},
        {"density": DENSITY, "scope": "global"},
    ],
    "esl": [{"density": DENSITY, "drop": "gradient", "grow": "momentum"}],
    "upr": [{"density": DENSITY}, {"price": 1e-3}],
    "imp": [{"density": DENSITY}, {"density": DENSITY, "early_bird": True}],
    "pruning": [
        {"density": DENSITY, "criterion": "spike-flip", "allocation": "erk", "schedule": "linear"},
        {"density": DENSITY, "criterion": "synops", "allocation": "uniform", "schedule": "rounds"},
        {"density": DENSITY, "allocation": "fan-in=20"},
    ],
}
CASES = [
    pytest.param(name, options, id="-".join([name, *options, *filter(None, [options.get("allocation")])]))
    for name in methods.names()
    for options in OPTIONS.get(name, [{"density": DENSITY}])
]
TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")),
]


def spiking(**options: object) -> nn.Module:
    # a low threshold, so that every layer spikes from the start and criteria have data
    options = {"v_threshold": 0.1, **options}
    return neuron.LIFNode(surrogate_function=surrogate.ATan(), detach_reset=True, step_mode="m", **options)


def convolutional() -> nn.Sequential:
    return nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False, step_mode="m"),
        layer.BatchNorm2d(4, step_mode="m"),
        spiking(),
        layer.AvgPool2d(2, step_mode="m"),
        layer.Flatten(step_mode="m"),
        layer.Linear(4 * 9, 12, step_mode="m"),
        spiking(),
        layer.Linear(12, 3, bias=False, step_mode="m"),
        spiking(),
    )


def batch(step: int, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    images = 4 * torch.rand(2, 8, 1, 6, 6, generator=generator)
    return images.to(device), torch.randint(0, 3, (8,), generator=generator).to(device)


def train(
    network: nn.Module, optimizer: Optimizer, first: int, last: int, *, device: str = "cpu", bf16: bool = False
) -> None:
    for step in range(first, last):
        images, labels = batch(step, device)
        functional.reset_net(network)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(network(images).mean(0).float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    functional.reset_net(network)


def start(name: str, options: dict, optimizer: str = "adam", device: str = "cpu"):
    torch.manual_seed(1)
    network = convolutional().to(device)
    chosen = OPTIMIZERS[optimizer](network.parameters())
    return network, chosen, hang(name, options, network, chosen, device)


def hang(name: str, options: dict, network: nn.Module, optimizer: Optimizer, device: str = "cpu") -> Method:
    if "connectivity" in options:
        options = {"connectivity": drawn(network)}
    batches = [batch(1000, device), batch(1001, device)]
    return methods.create(name, network, optimizer, steps=STEPS, batches=batches, **options)


def drawn(network: nn.Module) -> Connectivity:
    """A random connectivity."""
    return Connectivity.from_scores(criteria.random(network), DENSITY)


def behind(method: Method) -> dict[str, torch.Tensor]:
    """The synapses that the hidden state implies: name -> whether the weight is not 0; empty for a mask."""
    if "hidden" not in method.state or "present" in method.state:
        return {}
    hidden = method.state["hidden"]
    if isinstance(method, methods.STDS):
        return {name: tensor.abs() > method.dead_zone for name, tensor in hidden.items()}
    return {name: tensor * method.state["sign"][name] > 0 for name, tensor in hidden.items()}


def absent_weights(network: nn.Module, connectivity: Connectivity) -> torch.Tensor:
    parameters = dict(network.named_parameters())
    return torch.cat([parameters[name].detach()[~mask] for name, mask in connectivity.items()])


def same(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_absent_synapses_are_exactly_zero_after_every_step(name, options, optimizer, device):
    network, chosen, method = start(name, options, optimizer, device)
    keys = list(network.state_dict())
    for step in range(STEPS):
        train(network, chosen, step, step + 1, device=device)
        connectivity = method.connectivity()
        assert not absent_weights(network, connectivity).any()
        assert all(torch.equal(connectivity[tensor], alive) for tensor, alive in behind(method).items())
        assert list(network.state_dict()) == keys
    assert all(parameter.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("name", "options"), [case for case in CASES if case.values[1].keys() & {"density", "connectivity"}]
)
def test_the_density_is_exact_and_does_not_drift(name, options, optimizer):
    network, chosen, method = start(name, options, optimizer)
    train(network, chosen, 0, STEPS)
    reached = method.connectivity()
    if options.get("scope") == "layer":
        expected = sum(round(DENSITY * row["prunable"]) for row in reached.layers().values())
    else:
        expected = round(DENSITY * reached.prunable)
    assert reached.nonzero == expected
    train(network, chosen, STEPS, STEPS + 20)
    assert method.connectivity() == reached
    assert not absent_weights(network, reached).any()
    for parameter_name, mask in reached.items():
        for value in chosen.state[dict(network.named_parameters())[parameter_name]].values():
            if isinstance(value, torch.Tensor) and value.shape == mask.shape:
                assert not value[~mask].any()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(name, options, optimizer, tmp_path):
    network, chosen, method = start(name, options, optimizer)
    stops = (0, 1, STEPS // 2 - 1, STEPS - 3, STEPS)
    saved = {}
    for first, last in itertools.pairwise(stops):
        train(network, chosen, first, last)
        write_tensors(tmp_path / str(last), method.state_dict(), kind="checkpoint", metadata={})
        saved[last] = copy.deepcopy((network.state_dict(), chosen.state_dict()))

    for stop in stops[1:-1]:
        again, other, resumed = start(name, options, optimizer)
        again.load_state_dict(saved[stop][0])
        other.load_state_dict(saved[stop][1])
        resumed.load_state_dict(read_tensors(tmp_path / str(stop), kind="checkpoint")[0])
        train(again, other, stop, STEPS)
        assert same(again.state_dict(), network.state_dict())
        assert same(resumed.state_dict(), method.state_dict())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_plain_network_loads_the_weights_and_answers_the_same(name, options):
    network, chosen, method = start(name, options)
    train(network, chosen, 0, STEPS)
    plain = convolutional()
    plain.load_state_dict(network.state_dict())
    connectivity = method.finalize()
    images, _ = batch(99)
    network.eval()
    plain.eval()
    assert torch.equal(plain(images), network(images))
    assert not absent_weights(plain, connectivity).any()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_network_can_be_copied(name, options):
    network, chosen, _ = start(name, options)
    train(network, chosen, 0, 3)
    twin = copy.deepcopy(network)
    before = copy.deepcopy(twin.state_dict())
    train(network, chosen, 3, 6)
    assert same(twin.state_dict(), before)
    assert not same(twin.state_dict(), network.state_dict())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_bf16_autocast(name, options, device):
    network, chosen, method = start(name, options, device=device)
    train(network, chosen, 0, STEPS, device=device, bf16=True)
    assert not absent_weights(network, method.connectivity()).any()
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_channels_last_weights_keep_their_layout_and_learn_the_same(name, options):
    network, chosen, method = start(name, options)
    other, optimizer, last = start(name, options)
    other.to(memory_format=torch.channels_last)
    train(network, chosen, 0, 6)
    train(other, optimizer, 0, 6)
    assert other[0].weight.stride() == torch.empty(4, 1, 3, 3).to(memory_format=torch.channels_last).stride()
    torch.testing.assert_close(other[0].weight, network[0].weight, rtol=1e-3, atol=1e-5)
    assert last.connectivity().jaccard(method.connectivity()) > 0.95


@pytest.mark.parametrize(("name", "options"), CASES)
def test_compiled_arithmetic_is_the_same(name, options, monkeypatch):
    # Compiled functions get tensors where eager ones get numbers; the compiler itself is not tested.
    monkeypatch.setattr(torch, "compile", lambda function, **_options: function)
    network, optimizer, method = start(name, options)
    other, chosen, compiled = start(name, options)
    compiled.compile()
    train(network, optimizer, 0, STEPS)
    train(other, chosen, 0, STEPS)
    torch.testing.assert_close(other.state_dict(), network.state_dict())
    assert compiled.connectivity() == method.connectivity()


def quiet(name: str, network: nn.Module) -> dict:
    """Options without work that is done once or at intervals and may read data back."""
    if name in ("gradr", "softdeepr"):
        return {"draw_zero_signs": False, "allocation": None}  # an allocation may read scores back
    if name == "fixed":
        return {"connectivity": Connectivity.dense(network)}
    if issubclass(methods.find(name), methods.DropAndGrow):
        return {"every": STEPS, "end": 1.0}
    if name == "deepr":
        return {"temperature": 0.0}  # a generator of random numbers cannot be faked
    if not issubclass(methods.find(name), methods.Pruning):
        return {}
    if name in ("admm", "espn"):  # they have a schedule of their own
        return {"begin": 1.0, "end": 1.0}
    never: dict = {"schedule": schedules.OneShot(density=DENSITY, at=STEPS + 1)}
    if "criterion" not in methods.find(name).BUILT_IN:
        never["criterion"] = "magnitude"  # which needs no labels that would be read
    return never | ({"early_bird": False} if name == "imp" else {})


def ones(parameters: dict) -> dict[str, torch.Tensor]:
    return {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in parameters.items()}


def begin(method: Method) -> None:
    """The state of a method that draws its first connectivity, since drawing reads data back."""
    if isinstance(method, methods.DropAndGrow | methods.DeepR):
        method.phase = methods.Phase.SEARCHING
        kinds = (
            ("mask", "sign", "average") if isinstance(method, methods.DeepR) or method.grow == "momentum" else ("mask",)
        )
        method.state = {kind: {name: torch.ones_like(p) for name, p in method.parameters.items()} for kind in kinds}
    if isinstance(method, methods.SoftDeepR):
        method._draw_noise = lambda name, out: out.zero_()  # a generator cannot be faked
    if isinstance(method, methods.DeepR):
        method.numbers = {f"synapses:{name}": 10 for name in method.parameters}


@pytest.mark.skipif(TORCH < (2, 11), reason="fake CUDA tensors crash without a GPU in this torch")
@pytest.mark.parametrize("optimizer", ["capturable", "fused"])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_nothing_is_read_back_from_a_device_and_no_shape_depends_on_data(name, options, optimizer, monkeypatch):
    # The start, once in a training, counts the weights that are 0.
    monkeypatch.setattr(masked, "present_at_start", lambda parameters, _: ones(parameters))
    monkeypatch.setattr(search.Search, "_note_start", lambda method: ones(method.parameters))
    # Fake CUDA tensors have shapes and no data: an .item(), a branch on a value or a nonzero() raises.
    with FakeTensorMode():
        network = nn.Sequential(*(nn.Linear(*size, bias=False, device="meta") for size in ((20, 30), (30, 5))))
        for module in network:
            module.weight = nn.Parameter(torch.zeros(module.weight.shape, device="cuda"))
        chosen = Adam(network.parameters(), **({"fused": True} if optimizer == "fused" else {"capturable": True}))
        method = methods.create(name, network, chosen, steps=STEPS, **{**options, **quiet(name, network)})
        begin(method)
        for _ in range(STEPS - 1):
            for parameter in network.parameters():
                parameter.grad = torch.zeros_like(parameter)
            chosen.step()
            assert network[0].weight.device.type == "cuda"
        with pytest.raises(DataDependentOutputException):
            network[0].weight.sum().item()
    assert method.steps_done == STEPS - 1


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_parameter_without_gradient_rests(name, options):
    network, chosen, method = start(name, options)
    network[5].weight.requires_grad_(False)
    before = network[5].weight.clone()
    train(network, chosen, 0, 2)
    kept = network[5].weight != 0  # the closed loop may prune frozen weights
    assert torch.equal(network[5].weight[kept], before[kept])
    assert kept.any()
    assert method.steps_done == 2


@pytest.mark.parametrize(("name", "options"), CASES)
def test_after_detach_the_optimizer_is_on_its_own(name, options):
    network, chosen, method = start(name, options)
    train(network, chosen, 0, STEPS)
    left = method.connectivity()
    method.detach()
    train(network, chosen, STEPS, STEPS + 3)
    assert method.steps_done == STEPS
    assert absent_weights(network, left).any() or left.density == 1  # they are no longer held at 0
    again = hang(name, options, network, chosen)
    assert again.steps_done == 0


@pytest.mark.parametrize(("name", "options"), CASES)
def test_nothing_moves_once_the_learning_rate_is_zero(name, options):
    network, chosen, method = start(name, options, "sgd-momentum")
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(chosen, STEPS)
    for step in range(STEPS):
        train(network, chosen, step, step + 1)
        schedule.step()
    assert chosen.param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)
    before = {key: value.clone() for key, value in network.named_parameters()}
    train(network, chosen, STEPS, STEPS + 3)
    for key, value in network.named_parameters():
        torch.testing.assert_close(value, before[key], rtol=0, atol=1e-7)
    assert not absent_weights(network, method.connectivity()).any()


@pytest.mark.parametrize("when", [0, 3])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_second_finalize_changes_nothing(name, options, when):
    network, chosen, method = start(name, options)
    train(network, chosen, 0, when)
    connectivity = method.finalize()
    before = copy.deepcopy(network.state_dict())
    assert not absent_weights(network, connectivity).any()
    if "density" in options and "scope" not in options:
        assert connectivity.nonzero == round(DENSITY * connectivity.prunable)
    assert method.finalize() == method.connectivity() == connectivity
    assert same(network.state_dict(), before)


@pytest.mark.parametrize("when", [0, 3])
@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_step_that_was_interrupted_leaves_weights_and_connectivity_as_they_were(name, options, when):
    network, chosen, method = start(name, options)
    train(network, chosen, 0, when)
    before, connectivity = copy.deepcopy(dict(network.named_parameters())), method.connectivity()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    handle = chosen.register_step_pre_hook(stop)  # called after the method's own
    with pytest.raises(KeyboardInterrupt):
        train(network, chosen, when, when + 1)
    handle.remove()
    if when:  # a first step may draw the first connectivity
        assert method.connectivity() == connectivity
        if name != "upr":  # whose gates may have trained
            assert all(torch.equal(value, before[key]) for key, value in network.named_parameters())
    train(network, chosen, when, when + 3)
    kept = method.finalize()
    assert method.steps_done == when + 3
    assert not absent_weights(network, kept).any()
    assert all(parameter.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize(("name", "options"), CASES)
def test_weights_may_have_another_precision(name, options):
    torch.manual_seed(1)
    network = convolutional().to(torch.float64)
    chosen = Adam(network.parameters(), lr=1e-2)
    batches = [(images.double(), labels) for images, labels in (batch(1000), batch(1001))]
    given = {"connectivity": drawn(network)} if "connectivity" in options else options
    method = methods.create(name, network, chosen, steps=STEPS, batches=batches, **given)
    for step in range(STEPS):
        images, labels = batch(step)
        functional.reset_net(network)
        chosen.zero_grad()
        nn.functional.cross_entropy(network(images.double()).mean(0), labels).backward()
        chosen.step()
    functional.reset_net(network)
    state = method.state_dict()
    assert all(tensor.dtype == torch.float64 for key, tensor in state.items() if "/" in key)
    assert not absent_weights(network, method.finalize()).any()
    assert all(parameter.dtype == torch.float64 for parameter in network.parameters())
