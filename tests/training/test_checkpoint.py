"""Checkpoints behind a valid checksum: what no training can have is refused, and the trainer stays as it was."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, MultiStepLR, OneCycleLR, SequentialLR, StepLR

from snnprune import InputError, methods
from snnprune.storage import read_tensors, write_tensors
from snnprune.training import (
    Data,
    Recipe,
    Split,
    Trainer,
    check_config,
    checkpoint,
    load_checkpoint,
    load_network,
    save_checkpoint,
)

EPOCHS, SIZE, STEPS = 3, 5, 4
SPLIT = Split(torch.rand(SIZE * STEPS, 6), torch.arange(SIZE * STEPS) % 4)
DATA = Data("own", SPLIT, SPLIT, "test", 4, torch.zeros(1), torch.ones(1))
ROW = {"epoch": 1, "step": STEPS, "train_loss": 0.5, "train_accuracy": 0.25, "density": 0.3, "seconds": 1.0}
CONFIG = {"lr": 0.01, "options": {"a": [1, 2]}}


def adam(parameters: Any) -> Optimizer:
    return Adam(parameters, lr=0.01)


def make(kind: Callable[..., Optimizer] = adam, *, schedule: Any = None, method: str = "gradr") -> Trainer:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    optimizer = kind(network.parameters())
    chosen = methods.create(method, network, optimizer, steps=EPOCHS * STEPS, density=0.3)
    recipe = Recipe(epochs=EPOCHS, batch_size=SIZE, schedule=schedule(optimizer) if schedule else None)
    return Trainer(network, optimizer, chosen, DATA, recipe)


def train(trainer: Trainer, until: int = EPOCHS * STEPS) -> Trainer:
    while trainer.steps_done < until:
        for _ in trainer.train_epoch(lambda: trainer.steps_done >= until):
            pass
        if trainer.batch < STEPS:
            break
        trainer.finish_epoch()
    return trainer


def state_of(trainer: Trainer) -> tuple[list[bytes], list[Any]]:
    optimizer = [value for state in trainer.optimizer.state.values() for value in state.values()]
    tensors = [
        *trainer.network.state_dict().values(),
        *trainer.method.state_dict().values(),
        trainer.losses,
        *optimizer,
    ]
    raw = [t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors if isinstance(t, Tensor)]
    schedule = copy.deepcopy(getattr(trainer.schedule, "state_dict", dict)())
    numbers = [trainer.epoch, trainer.batch, trainer.correct.item(), trainer.optimizer.param_groups[0]["lr"], schedule]
    return [*raw, torch.get_rng_state().numpy().tobytes()], numbers


@pytest.fixture
def forge(tmp_path):
    """Write a checkpoint of a training that was stopped in its second epoch, changed by a function."""

    def write(change: Callable[[dict[str, Tensor], dict[str, Any]], object], **options: Any) -> Any:
        rows = [ROW] if options.pop("rows", True) else None
        path = tmp_path / "checkpoint"
        save_checkpoint(path, train(make(**options), STEPS + 2), config=CONFIG, rows=rows)
        tensors, metadata = read_tensors(path, kind="checkpoint")
        change(tensors, metadata)
        write_tensors(path, tensors, kind="checkpoint", metadata=metadata)
        return path

    return write


def put(**entries: Any) -> Callable[..., object]:
    return lambda tensors, metadata: metadata.update(entries)


def tensor(name: str, change: Callable[[Tensor], Tensor | None]) -> Callable[..., object]:
    def apply(tensors: dict[str, Tensor], _metadata: Any) -> None:
        found = tensors.pop(name, torch.zeros(3))
        if (value := change(found)) is not None:
            tensors[name] = value

    return apply


def text(content: str) -> Tensor:
    return torch.tensor(list(content.encode()), dtype=torch.uint8)


def number(value: Any) -> Callable[..., object]:
    return lambda tensors, metadata: metadata["optimizer"].update({"0/step": value})


def each(entry: str, value: Any) -> Callable[..., object]:
    return lambda tensors, metadata: metadata["schedule"].update({entry: value})


GONE: Callable[[Tensor], Tensor | None] = lambda t: None  # noqa: E731
NAN: Callable[[Tensor], Tensor | None] = lambda t: t * float("nan")  # noqa: E731
WRONG = {
    "no progress": (tensor("progress/losses", GONE), "must be the losses of an epoch"),
    "no answers": (tensor("progress/correct", GONE), "must be the losses of an epoch"),
    "more progress": (tensor("progress/more", lambda t: t), "must be the losses of an epoch"),
    "wide losses": (tensor("progress/losses", lambda t: t.double()), "must be the losses of an epoch"),
    "square losses": (tensor("progress/losses", lambda t: t[None]), "must be the losses of an epoch"),
    "long losses": (tensor("progress/losses", lambda t: t.repeat(2)), "8 steps an epoch, this one has 4"),
    "nan losses": (tensor("progress/losses", NAN), "the losses of 2 batches, all finite"),
    "losses of later steps": (tensor("progress/losses", lambda t: t + 1), "the losses of 2 batches"),
    "many answers": (tensor("progress/correct", lambda t: t + 99), "answers cannot be correct"),
    "negative answers": (tensor("progress/correct", lambda t: t - 99), "answers cannot be correct"),
    "half answers": (tensor("progress/correct", lambda t: t.double()), "answers cannot be correct"),
    "epoch -1": (put(epoch=-1), "stands at epoch -1"),
    "epoch 4": (put(epoch=4, batch=0), "stands at epoch 4"),
    "past the end": (put(epoch=3, batch=1), "stands at epoch 3, batch 1"),
    "epoch true": (put(epoch=True), "stands at epoch True"),
    "epoch as text": (put(epoch="1"), "stands at epoch '1'"),
    "epoch 1.0": (put(epoch=1.0), "stands at epoch 1.0"),
    "batch 5": (put(batch=5), "batch 5"),
    "another batch": (put(batch=3), "its method has done 6 steps, the training 7"),
    "no batch": (lambda t, m: m.pop("batch"), "the entry batch is missing"),
    "unknown entry": (put(more=1), "the entry more is unknown"),
    "unknown part": (tensor("more/x", lambda t: t), "the part more is unknown"),
    "no network": (lambda t, m: [t.pop(n) for n in list(t) if n.startswith("network")], "the part network is missing"),
    "no random state": (tensor("random/cpu", GONE), "the part random is missing"),
    "an unknown random state": (tensor("random/tpu", lambda t: t), "the random state of cpu, found"),
    "a short random state": (tensor("random/cpu", lambda t: t[:5]), "random state of cpu is none"),
    "a random state of floats": (tensor("random/cpu", lambda t: t.float()), "random state of cpu is none"),
    "an impossible random state": (tensor("random/cpu", lambda t: t * 0 + 255), "random state of cpu is none"),
    "nan weights": (tensor("network/0.weight", NAN), r"weights that are not finite, in 0\.weight"),
    "infinite bias": (tensor("network/3.bias", lambda t: t / 0), r"weights that are not finite, in 3\.bias"),
    "double weights": (tensor("network/0.weight", lambda t: t.double()), r"0\.weight is torch.float64, expected"),
    "a weight less": (tensor("network/3.bias", GONE), r"3\.bias is absent in the first"),
    "numbers as a list": (put(optimizer=[]), "numbers are no object"),
    "a parameter more": (tensor("optimizer/9/step", lambda t: t), "9/step in one of 6 parameters"),
    "a name of no parameter": (tensor("optimizer/x/step", lambda t: t), "x/step in one of 6"),
    "a negative parameter": (tensor("optimizer/-1/step", lambda t: t), "-1/step in one of 6"),
    "a key more": (tensor("optimizer/0/momentum", lambda t: t), r"0/momentum is .* in the file and absent here"),
    "a key less": (tensor("optimizer/0/exp_avg", GONE), "0/exp_avg is absent in the file"),
    "another shape": (tensor("optimizer/0/exp_avg", lambda t: t.T), r"0/exp_avg is torch.float32 \(6, 16\)"),
    "another dtype": (tensor("optimizer/0/exp_avg", lambda t: t.double()), "0/exp_avg is torch.float64"),
    "nan moments": (tensor("optimizer/0/exp_avg_sq", NAN), "holds nan in the optimizer's 0/exp_avg_sq"),
    "minus a step": (tensor("optimizer/0/step", lambda t: -t), "0/step must be a number of steps"),
    "half a step": (tensor("optimizer/0/step", lambda t: t / 4), "0/step must be a number of steps"),
    "a number for a tensor": (number(3), "0/step is int"),
    "a step as text": (number("3"), "0/step must be a number of steps"),
    "no steps": (tensor("method/steps", GONE), "its method has done no number steps"),
    "steps of floats": (tensor("method/steps", lambda t: t.double()), "its method has done"),
    "other steps": (tensor("method/steps", lambda t: t + 1), "its method has done 7 steps, the training 6"),
    "no state of the method": (tensor("method/hidden/0.weight", GONE), "does not fit the method|cannot load"),
    "rows that are none": (tensor("progress/rows", lambda t: t[:-3]), "its rows cannot be read"),
    "rows of floats": (tensor("progress/rows", lambda t: t.float()), "its rows are no text"),
    "rows of bytes": (tensor("progress/rows", lambda t: t * 0 + 255), "its rows cannot be read"),
    "no rows": (tensor("progress/rows", lambda t: text("[]")), "the rows of 1 epochs"),
    "no list": (tensor("progress/rows", lambda t: text("{}")), "must be a list"),
    "no row": (tensor("progress/rows", lambda t: text("[3]")), "expected an object"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_state_that_no_training_has_is_refused_and_changes_nothing(name, forge):
    change, message = WRONG[name]
    path, present = forge(change), train(make(), 2)
    before = state_of(present)
    with pytest.raises(InputError, match=message) as error:
        load_checkpoint(path, present)
    assert str(error.value).startswith(str(path))
    assert state_of(present) == before
    train(present)


def cosine(optimizer: Optimizer) -> CosineAnnealingLR:
    return CosineAnnealingLR(optimizer, T_max=EPOCHS * STEPS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.pop("schedule"), "another kind of learning-rate schedule"),
        (put(schedule=3), "must hold 1 learning rates, found None"),
        (each("rates", [0.1, 0.1]), "must hold 1 learning rates"),
        (each("rates", [-1]), "must hold 1 learning rates"),
        (each("rates", ["0.1"]), "must hold 1 learning rates"),
        (each("rates", [True]), "must hold 1 learning rates"),
        (each("state", {}), "CosineAnnealingLR needs T_max"),
        (each("state", None), "CosineAnnealingLR is None"),
        (lambda t, m: m["schedule"]["state"].update(more=1), "CosineAnnealingLR has no more"),
        (lambda t, m: m["schedule"]["state"].update(T_max="12"), "T_max is '12', expected such as 12"),
        (lambda t, m: m["schedule"]["state"].update(base_lrs=[1, 2]), "base_lrs is "),
        (lambda t, m: m["schedule"]["state"].update(base_lrs=["1"]), "base_lrs is '1'"),
        (lambda t, m: m["schedule"]["state"].update(last_epoch=True), "last_epoch is True"),
    ],
)
def test_the_state_of_another_schedule_is_refused_and_changes_nothing(change, message, forge):
    path, present = forge(change, schedule=cosine), train(make(schedule=cosine), 2)
    before = state_of(present)
    with pytest.raises(InputError, match=message):
        load_checkpoint(path, present)
    assert state_of(present) == before


SCHEDULES = {
    "cosine": cosine,
    "milestones": lambda o: MultiStepLR(o, milestones=[3, 7, 9]),
    "step": lambda o: StepLR(o, step_size=5),
    "one cycle": lambda o: OneCycleLR(o, max_lr=0.1, total_steps=EPOCHS * STEPS + 1),
    "sequence": lambda o: SequentialLR(o, [LinearLR(o, 0.1, 1.0, 4), MultiStepLR(o, [2, 4])], milestones=[4]),
}


@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_goes_on_to_the_same_rates(name, tmp_path):
    def rates(trainer: Trainer) -> list[float]:
        seen: list[float] = []
        trainer.optimizer.register_step_post_hook(lambda o, *_: seen.append(o.param_groups[0]["lr"]))
        train(trainer)
        return seen

    schedule = SCHEDULES[name]
    whole = rates(make(schedule=schedule))
    save_checkpoint(tmp_path / "a", train(make(schedule=schedule), STEPS + 2))
    resumed = make(schedule=schedule)
    assert load_checkpoint(tmp_path / "a", resumed) is None
    assert rates(resumed) == whole[STEPS + 2 :]
    assert len(set(whole)) > 1


def test_other_milestones_are_refused(tmp_path):
    save_checkpoint(tmp_path / "a", train(make(schedule=SCHEDULES["milestones"]), 2))
    with pytest.raises(InputError, match=r"milestones is \{'3': 1, '7': 1, '9': 1\}"):
        load_checkpoint(tmp_path / "a", make(schedule=lambda o: MultiStepLR(o, [3, 8])))


class Lookahead(Optimizer):
    """An optimizer from elsewhere, whose state grows with the steps."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad
                state = self.state[parameter]
                state["count"] = state.get("count", 0) + 1
                if state["count"] > 3:
                    state["slow"] = parameter.detach().clone()


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": adam,
    "fused": lambda p: Adam(p, fused=True),
    "amsgrad": lambda p: AdamW(p, amsgrad=True),
    "sgd": lambda p: SGD(p, lr=0.1),
    "momentum": lambda p: SGD(p, lr=0.1, momentum=0.9),
    "nadam": NAdam,
    "rmsprop": lambda p: RMSprop(p, centered=True, momentum=0.5),
    "adagrad": Adagrad,
    "own": Lookahead,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_state_of_every_optimizer_is_its_own_and_the_trial_leaves_no_trace(name, tmp_path):
    kind = OPTIMIZERS[name]
    save_checkpoint(tmp_path / "whole", train(make(kind)))
    save_checkpoint(tmp_path / "part", train(make(kind), STEPS + 2))
    resumed = make(kind)
    hooks = len(resumed.optimizer._optimizer_step_pre_hooks)
    load_checkpoint(tmp_path / "part", resumed)
    assert len(resumed.optimizer._optimizer_step_pre_hooks) == hooks
    save_checkpoint(tmp_path / "resumed", train(resumed))
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_the_state_of_another_optimizer_is_refused(tmp_path):
    save_checkpoint(tmp_path / "a", train(make(OPTIMIZERS["momentum"]), 2))
    with pytest.raises(InputError, match=r"is of another optimizer: 0/exp_avg is absent in the file"):
        load_checkpoint(tmp_path / "a", make())


def test_what_was_loaded_does_not_change_with_the_file(tmp_path):
    save_checkpoint(tmp_path / "a", train(make(), 6))
    resumed = make()
    load_checkpoint(tmp_path / "a", resumed)
    before = state_of(resumed)
    (tmp_path / "a").write_bytes(b"\xff" * (tmp_path / "a").stat().st_size)
    (tmp_path / "a").write_bytes(b"")
    assert state_of(resumed) == before


def test_a_method_whose_loading_fails_half_way_is_as_before(forge, monkeypatch):
    path, present = forge(lambda t, m: None), train(make(), 2)
    before, load = state_of(present), type(present.method).load_state_dict

    def broken(method: Any, state: Any) -> None:
        monkeypatch.undo()
        load(method, state)
        raise KeyError("sign")

    monkeypatch.setattr(type(present.method), "load_state_dict", broken)
    with pytest.raises(InputError, match=r"holds a state that GradR cannot load \(KeyError\('sign'\)\)"):
        load_checkpoint(path, present)
    assert state_of(present) == before


@pytest.mark.parametrize("kind", ["cpu", "cuda", "meta", "mps"])
def test_random_states_are_those_of_the_processor_and_of_a_gpu_of_cuda(kind, monkeypatch):
    device, gpu, given = torch.device(kind), torch.arange(3, dtype=torch.uint8), []
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda of: gpu if of == device else None)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, of: given.append((state, of)))
    states = checkpoint._random_state(device)
    assert torch.equal(states.pop("cpu"), torch.get_rng_state())
    assert states == ({"cuda": gpu} if kind == "cuda" else {})
    other = torch.Generator().manual_seed(5).get_state()
    with torch.random.fork_rng(devices=[]):
        checkpoint._set_random_state({"cpu": other, "cuda": gpu}, device)
        assert torch.equal(torch.get_rng_state(), other)
        assert given == ([(gpu, device)] if kind == "cuda" else [])
        checkpoint._set_random_state({"cpu": other}, device)  # of a training without a GPU
        assert len(given) == (kind == "cuda")


# --- The config and the rows


def test_rows_come_back_without_their_times(forge):
    timeless = {key: value for key, value in ROW.items() if key != "seconds"}
    assert load_checkpoint(forge(lambda t, m: None), make(), config=CONFIG) == [timeless]
    assert load_checkpoint(forge(lambda t, m: None, rows=False), make()) is None


@pytest.mark.parametrize(
    "other", [{"lr": 0.02}, {"lr": 0.01, "options": {"a": [2, 1]}}, {**CONFIG, "more": None}, {}, {"lr": 0.01}]
)
def test_another_config_is_refused_and_changes_nothing(other, forge):
    path, present = forge(lambda t, m: None), train(make(), 2)
    before = state_of(present)
    with pytest.raises(InputError, match=r"is of a run with another config: config\.json was changed"):
        load_checkpoint(path, present, config=other)
    with pytest.raises(InputError, match="is of a run with another config"):
        check_config(path, other)
    assert state_of(present) == before
    check_config(path, {"options": {"a": (1.0, 2)}, "lr": 0.01})


def test_a_checkpoint_without_a_digest_is_of_an_earlier_version(forge):
    path = forge(lambda t, m: m.pop("config"))
    present = make()
    load_checkpoint(path, present, config={"lr": 7})
    check_config(path, {"lr": 7})
    assert present.steps_done > 0


def test_weights_that_are_not_finite_are_not_loaded_into_a_network(forge):
    network = make().network
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(InputError, match="weights that are not finite"):
        load_network(forge(tensor("network/0.weight", NAN)), network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(InputError, match=r"0\.weight is torch\.complex64, expected torch\.float32"):
        load_network(forge(tensor("network/0.weight", lambda t: t.to(torch.complex64))), network)
    load_network(forge(lambda t, m: None), network.double())
