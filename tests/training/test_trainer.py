import copy
import logging
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import models
from snnprune import Connectivity, InputError, methods
from snnprune.compiling import CompiledOrEager
from snnprune.training import (
    Recipe,
    Trainer,
    find_loss,
    forward_of,
    load,
    load_checkpoint,
    load_network,
    rates,
    steps_in_epoch,
)
from snnprune.training import save_checkpoint as save
from snnprune.training.augment import affine

DIGITS = load("digits", validation=400)
EPOCHS = 4


def make(*, model: str = "digits-mlp", method: str = "gradr", lr: float = 3e-3, optimizer=None, **recipe) -> Trainer:
    torch.manual_seed(3)
    network = models.build(model, timesteps=3)
    chosen = (optimizer or torch.optim.Adam)(network.parameters(), lr=lr)
    options = {"density": 0.2} if method == "gradr" else {}
    settings = Recipe(
        **{
            "epochs": EPOCHS,
            "batch_size": 64,
        }
        | recipe
    )
    steps = settings.epochs * steps_in_epoch(DIGITS, settings.batch_size)
    return Trainer(network, chosen, methods.create(method, network, chosen, steps=steps, **options), DIGITS, settings)


def run(trainer: Trainer, *, until: int | None = None) -> Trainer:
    """Train to the end, or until `until` steps are done."""
    while trainer.epoch < trainer.recipe.epochs:
        for _ in trainer.train_epoch(lambda: until is not None and trainer.steps_done >= until):
            pass
        if trainer.batch < trainer.steps_per_epoch:
            return trainer
        trainer.finish_epoch()
        if until is not None and trainer.steps_done >= until:
            return trainer
    return trainer


def test_it_learns_the_digits_sparsely():
    trainer = run(make(epochs=12))
    assert trainer.steps_done == trainer.total_steps == 12 * (1037 // 64)
    assert trainer.evaluate() > 0.75
    connectivity = trainer.method.connectivity()
    assert connectivity.nonzero == round(0.2 * connectivity.prunable)
    assert connectivity == Connectivity.from_network(trainer.network)


def test_an_epoch_reports_its_figures():
    trainer = make(method="dense", epochs=1)
    losses = []
    trainer.recipe = Recipe(epochs=1, batch_size=64, loss=lambda o, y: losses.append(mse(o, y)) or losses[-1])
    for step in trainer.train_epoch():
        assert step == trainer.steps_done
    row = trainer.finish_epoch()
    assert row["epoch"] == 1
    assert row["step"] == len(losses) == trainer.total_steps
    assert row["train_loss"] == pytest.approx(sum(loss.item() for loss in losses) / len(losses), rel=1e-5)
    assert 0.1 < row["train_accuracy"] < 1
    assert row["density"] == 1


mse = find_loss("mse")


def test_the_learning_rate_is_held_and_then_falls():
    trainer = make(epochs=2, hold=0.5)
    seen = [trainer.optimizer.param_groups[0]["lr"] for _ in trainer.train_epoch()]
    trainer.finish_epoch()
    seen += [trainer.optimizer.param_groups[0]["lr"] for _ in trainer.train_epoch()]
    assert seen[:17] == [3e-3] * 17
    assert all(later < earlier for earlier, later in pairwise(seen[16:]))
    assert seen[-1] < 3e-5


@pytest.mark.parametrize("stop", [1, 15, 16, 17, 33, 63])
@pytest.mark.parametrize("recipe", [{}, {"augment": affine}, {"bf16": True}], ids=["plain", "affine", "bf16"])
def test_a_resumed_training_ends_with_the_same_bytes(stop, recipe, tmp_path):
    save(tmp_path / "whole", run(make(**recipe)))
    save(tmp_path / "part", run(make(**recipe), until=stop))
    torch.manual_seed(12345)
    resumed = make(**recipe)
    load_checkpoint(tmp_path / "part", resumed)
    assert resumed.steps_done == stop
    save(tmp_path / "resumed", run(resumed))
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.NAdam, torch.optim.RMSprop, torch.optim.Adagrad])
def test_checkpoints_hold_any_optimizer(optimizer, tmp_path):
    def kind(parameters, lr):
        return optimizer(parameters, lr=lr, **({"momentum": 0.9} if optimizer is torch.optim.SGD else {}))

    save(tmp_path / "whole", run(make(optimizer=kind, epochs=2)))
    save(tmp_path / "part", run(make(optimizer=kind, epochs=2), until=9))
    resumed = make(optimizer=kind, epochs=2)
    load_checkpoint(tmp_path / "part", resumed)
    save(tmp_path / "resumed", run(resumed))
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_checkpoint_keeps_the_memory_layout_of_the_optimizer(tmp_path):
    network = nn.Sequential(nn.Conv2d(2, 4, 3)).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    trainer = Trainer(
        network, optimizer, methods.create("dense", network, optimizer, steps=1), DIGITS, Recipe(epochs=1)
    )
    network(torch.rand(1, 2, 5, 5)).sum().backward()
    optimizer.step()
    save(tmp_path / "a", trainer)
    load_checkpoint(tmp_path / "a", trainer)
    state = optimizer.state[network[0].weight]
    assert state["exp_avg"].stride() == network[0].weight.stride()
    optimizer.step()


def test_weights_alone_load_into_a_plain_network(tmp_path):
    trainer = run(make(epochs=1))
    save(tmp_path / "a", trainer)
    plain = models.build("digits-mlp", timesteps=3)
    load_network(tmp_path / "a", plain)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in trainer.network.state_dict().items())


def test_a_checkpoint_of_another_network_or_training_is_refused_and_changes_nothing(tmp_path):
    save(tmp_path / "a", run(make(epochs=1)))
    other = make(model="mnist-mlp")
    before = copy.deepcopy(other.network.state_dict())
    with pytest.raises(
        InputError, match=r"is of another network: .* fc1\.weight is \(128, 64\) in the first and \(800, 784\)"
    ):
        load_checkpoint(tmp_path / "a", other)
    with pytest.raises(InputError, match="is of another network"):
        load_network(tmp_path / "a", other.network)
    assert all(torch.equal(value, before[name]) for name, value in other.network.state_dict().items())
    with pytest.raises(InputError, match="16 steps an epoch, this one has 32: use the same data and batch size"):
        load_checkpoint(tmp_path / "a", make(batch_size=32))


def test_a_loss_that_is_no_number_stops_the_training_and_names_the_step():
    calls = 0

    def breaks(output: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return mse(output, labels) * (float("nan") if calls == 21 else 1.0)

    trainer = make(loss=breaks)
    with pytest.raises(InputError, match=r"the loss is nan at step 21 of 64 \(epoch 2\): lower the learning rate"):
        run(trainer)


def test_weights_that_the_last_step_of_an_epoch_spoils_are_noticed_before_they_are_saved():
    trainer = make(method="dense")

    def spoil(optimizer, _args, _kwargs):
        if trainer.batch == 15:
            optimizer.param_groups[0]["params"][1].data.fill_(float("inf"))

    trainer.optimizer.register_step_post_hook(spoil)
    with pytest.raises(InputError, match=r"fc2\.weight is no longer finite after step 16 of 64 \(epoch 1\)"):
        run(trainer)
    assert trainer.losses.isfinite().all()


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(InputError, match="batch size 2000 is more than the 1037 training images"):
        make(method="dense", batch_size=2000)


def test_losses_by_hand():
    output = torch.tensor([[[1.0, 0.0]], [[0.0, 0.0]]])  # T=2, one sample, rates (0.5, 0)
    label = torch.tensor([0])
    assert rates(output).tolist() == [[0.5, 0.0]]
    assert mse(output, label).item() == pytest.approx((0.5**2 + 0) / 2)
    logits = torch.tensor([[0.5, 0.0]])
    assert find_loss("ce")(output, label).item() == pytest.approx(nn.functional.cross_entropy(logits, label).item())
    steps = [nn.functional.cross_entropy(output[t], label).item() for t in range(2)]
    assert find_loss("tet")(output, label).item() == pytest.approx(sum(steps) / 2)
    assert find_loss("tet")(output[0], label).item() == pytest.approx(steps[0])
    with pytest.raises(InputError, match="unknown loss 'hinge': known are ce, mse, tet"):
        find_loss("hinge")


def test_without_a_compiler_the_network_runs_eagerly_and_says_so_once(monkeypatch, caplog):
    def broken(_network, **_options):
        def call(_images):
            raise RuntimeError("no compiler found\nmore")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(CompiledOrEager, "_reported", False)
    network = nn.Linear(2, 2)
    forward = forward_of(network, "auto", steps=10**6)
    with caplog.at_level(logging.WARNING):
        results = [forward(torch.ones(1, 2)) for _ in range(2)]
        forward_of(network, "auto", steps=10**6)(torch.ones(1, 2))
    assert [record.message for record in caplog.records] == [
        "continuing without torch.compile, which failed (RuntimeError: no compiler found)"
    ]
    assert torch.equal(results[0], network(torch.ones(1, 2)))


def test_without_a_compiler_the_rewiring_runs_eagerly_too(monkeypatch):
    def broken(_function, **_options):
        def call(*_arguments):
            raise RuntimeError("no compiler found")

        return call

    plain, compiled = run(make(epochs=1)), make(epochs=1)
    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(CompiledOrEager, "_reported", True)
    compiled.method.compile()
    compiled.forward = forward_of(compiled.network, "auto", steps=10**6)
    run(compiled)
    for name, weight in plain.network.state_dict().items():
        torch.testing.assert_close(compiled.network.state_dict()[name], weight)


def test_a_compiled_network_is_used_and_its_later_errors_are_not_hidden(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda network, **_options: network)
    network = nn.Linear(2, 2)
    forward = forward_of(network, "auto", steps=10**6)
    assert torch.equal(forward(torch.ones(1, 2)), network(torch.ones(1, 2)))
    with pytest.raises(RuntimeError):
        forward(torch.ones(1, 3))


@pytest.mark.filterwarnings("ignore")  # the compiler's own warnings
def test_a_compiled_training_learns_the_same():
    eager, compiled = make(epochs=1), make(epochs=1)
    compiled.forward = forward_of(compiled.network, "on", steps=1)
    compiled.method.compile()
    run(eager)
    run(compiled)
    assert compiled.method.connectivity().jaccard(eager.method.connectivity()) > 0.9
    for name, weight in compiled.network.state_dict().items():
        torch.testing.assert_close(weight, eager.network.state_dict()[name], rtol=0.05, atol=0.02)
