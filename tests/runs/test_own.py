"""`runs.train`: a network and data of one's own, with what the script has."""

import inspect
import json
from dataclasses import fields

import pytest
import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import layer, neuron
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, ReduceLROnPlateau
from torch.utils.data import TensorDataset

from snnprune import Connectivity, InputError, runs
from snnprune.training import Data, load, own_data

PIXELS, LABELS = (torch.as_tensor(array) for array in load_digits(return_X_y=True))
INPUTS = PIXELS.float() / 16
DATA = ((INPUTS[:1000], LABELS[:1000]), (INPUTS[1000:], LABELS[1000:]))
SHORT = {"epochs": 2, "batch_size": 50, "quiet": True, "device": "cpu", "compile": "off"}


class Spiking(nn.Module):
    """Shows an input for four time steps."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        parts = (layer.Linear(64, 24, bias=False), neuron.LIFNode(), layer.Linear(24, classes, bias=False))
        self.layers = nn.Sequential(*parts, neuron.LIFNode(v_threshold=0.5))
        for module in self.modules():
            if hasattr(module, "step_mode"):
                module.step_mode = "m"

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(4 * inputs.expand(4, *inputs.shape))


def fresh(classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return Spiking(classes)


def test_it_trains_writes_a_run_folder_and_returns_the_finished_run(tmp_path):
    network = fresh()
    done = runs.train(
        network, DATA, method="gradr", density=0.2, out=tmp_path / "run", lr=1e-2, **SHORT | {"epochs": 8}
    )
    assert done.summary["accuracy"] > 0.6
    assert done.connectivity == Connectivity.from_network(network)
    assert done.connectivity.nonzero == round(0.2 * done.connectivity.prunable)
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "checkpoint.safetensors", "connectivity.npz", "figures", "summary.json"} <= written
    assert "FinishedRun" in repr(done)
    assert [row["epoch"] for row in done.rows] == list(range(1, 9))
    assert next(iter(done.batches(3))).shape == (3, 64)


def test_what_is_not_given_is_as_it_is_for_the_script():
    takes = inspect.signature(runs.train).parameters
    known = {entry.name: entry.default for entry in (*fields(runs.Config), *fields(runs.Runtime))}
    given = {name: entry.default for name, entry in takes.items() if entry.default is not entry.empty}
    shared = given.keys() & known.keys()
    assert {name: given[name] for name in shared} == {name: known[name] for name in shared}
    assert given.keys() - shared == {"optimizer", "classes"}
    assert given["optimizer"] is given["classes"] is None


def test_a_stopped_run_goes_on_to_the_same_result(tmp_path):
    options = {"method": "rigl", "density": 0.3, **SHORT}
    whole = runs.train(fresh(), DATA, out=tmp_path / "whole", **options)
    with pytest.raises(runs.Stopped, match=r"go on with: runs\.train\(\.\.\., resume=True\)"):
        runs.train(fresh(), DATA, out=tmp_path / "parts", stop_after=0.0, **options)
    resumed = runs.train(fresh(), DATA, out=tmp_path / "parts", resume=True, **options)
    assert resumed.connectivity == whole.connectivity
    assert all(torch.equal(a, b) for a, b in zip(resumed.network.parameters(), whole.network.parameters(), strict=True))
    again = runs.train(fresh(), DATA, out=tmp_path / "parts", resume=True, **options)
    assert again.summary == resumed.summary


def rates(made: torch.optim.Optimizer, seen: list[float]) -> None:
    made.register_step_post_hook(lambda *_: seen.append(made.param_groups[0]["lr"]))


def test_an_optimizer_and_a_schedule_of_ones_own(tmp_path):
    network, seen = fresh(), []
    made = SGD(network.parameters(), lr=0.4, momentum=0.9)
    rates(made, seen)
    runs.train(network, DATA, density=0.5, optimizer=made, schedule=lambda s, n: 1 - s / n, out=tmp_path / "a", **SHORT)
    assert seen == pytest.approx([0.4 * (1 - step / 40) for step in range(40)])
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["optimizer"] == "SGD"
    assert "<lambda>" in config["schedule"]


def test_a_torch_scheduler_is_stepped_and_resumed(tmp_path):
    def start():
        network = fresh()
        made = AdamW(network.parameters(), lr=1e-2)
        return network, {"optimizer": made, "schedule": CosineAnnealingLR(made, T_max=40)}

    options = {"method": "gmp", "density": 0.3, **SHORT}
    network, own = start()
    seen: list[float] = []
    rates(own["optimizer"], seen)
    whole = runs.train(network, DATA, out=tmp_path / "whole", **own, **options)
    assert seen[0] == pytest.approx(1e-2)
    assert seen[20] == pytest.approx(5e-3)
    network, own = start()
    with pytest.raises(runs.Stopped):
        runs.train(network, DATA, out=tmp_path / "parts", stop_after=0.0, **own, **options)
    network, own = start()
    resumed = runs.train(network, DATA, out=tmp_path / "parts", resume=True, **own, **options)
    assert all(torch.equal(a, b) for a, b in zip(resumed.network.parameters(), whole.network.parameters(), strict=True))


def test_datasets_names_and_a_factory_of_optimizers(tmp_path):
    sets = tuple(TensorDataset(*pair) for pair in DATA)
    network = fresh()
    runs.train(network, sets, method="dense", optimizer=lambda p: SGD(p, lr=0.1), out=tmp_path / "a", **SHORT)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    named = runs.train(flat, "digits", method="snip", density=0.5, loss="ce", out=tmp_path / "b", **SHORT)
    assert named.config["data"] == "digits"
    data = load("digits")
    assert runs.train(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), data, density=0.5, out=tmp_path / "c", **SHORT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"network": fresh(7)},
            r"Spiking does not fit the 64 inputs and 10 classes of own: outputs must be \[T, 1, 10\]",
        ),
        ({"data": "letters"}, "unknown data 'letters'"),
        ({"data": DATA[0][0]}, r"data must be a name, a Data, or \(training, evaluation\)"),
        ({"data": (DATA[0], (INPUTS[:5, :4], LABELS[:5]))}, r"must have the same shape, found \(64,\) and \(4,\)"),
        (
            {"data": (DATA[0], (INPUTS[:5], LABELS[:4]))},
            "evaluation data must have a label for each input: found 5 and 4",
        ),
        ({"data": ((INPUTS[:9], -LABELS[:9]), DATA[1])}, "training labels must be 0 or more: found -8"),
        ({"data": ((INPUTS[:9], INPUTS[:9, 0]), DATA[1])}, "training labels must be whole numbers"),
        ({"data": ((PIXELS.long(), LABELS), DATA[1])}, "training inputs must be floating point, or uint8 images"),
        ({"data": (3, DATA[1])}, r"training data must be \(inputs, labels\) or a dataset, found int"),
        ({"data": ([1, 2, 3], DATA[1])}, r"training data must have items \(tensor, label\)"),
        ({"classes": 5}, "labels must be from 0 to 4, for 5 classes: found 9"),
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"compile": "maybe"}, "compile must be one of auto, on, off, found 'maybe'"),
        ({"optimizer": 3}, "optimizer must be a torch optimizer or a function, found 3"),
        ({"schedule": 3}, "schedule must be a function or a torch scheduler, found 3"),
        ({"density": 0.0}, r"density must be in \(0, 1\]"),
        ({"colour": "red"}, "gradr does not take colour"),
    ],
)
def test_what_cannot_be_used_is_one_error_and_no_folder(options, message, tmp_path):
    given = {"network": fresh(), "data": DATA, "density": 0.5, **SHORT, **options}
    with pytest.raises(InputError, match=message):
        runs.train(given.pop("network"), given.pop("data"), out=tmp_path / "run", **given)
    assert not (tmp_path / "run").exists()


def test_schedulers_that_cannot_be_used(tmp_path):
    network = fresh()
    made = SGD(network.parameters(), lr=0.1)
    other = SGD(fresh().parameters(), lr=0.1)

    class Plan:
        def __call__(self, step: int) -> float:
            return 1.0

    for schedule, message in (
        (ReduceLROnPlateau(made), "waits for a metric"),
        (CosineAnnealingLR(other, 5), "is of another optimizer"),
        (LambdaLR(made, Plan()), ""),
    ):
        options = {"optimizer": made, "schedule": schedule, "density": 0.5, **SHORT}
        if message:
            with pytest.raises(InputError, match=message):
                runs.train(network, DATA, out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_another_training_is_not_resumed_and_no_script_takes_it_over(tmp_path, capsys):
    from experiments import train as script
    from snnprune.cli import main

    runs.train(fresh(), DATA, density=0.5, out=tmp_path / "run", **SHORT)
    with pytest.raises(InputError, match=r"has density = 0\.5: resume it with the same"):
        runs.train(fresh(), DATA, density=0.2, out=tmp_path / "run", resume=True, **SHORT)
    assert script.main(["--resume", "--out", str(tmp_path / "run")]) == 2
    assert "was made by snnprune.runs.train" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "run")]) == 2
    assert "report it with budget.assess" in capsys.readouterr().err


def test_own_images_are_scaled_and_classes_counted():
    images = (torch.arange(2 * 3 * 4 * 4) % 256).to(torch.uint8).view(2, 3, 4, 4)
    data = own_data((images, torch.tensor([0, 2])), (images, torch.tensor([1, 1])), name="mine")
    assert isinstance(data, Data)
    assert (data.classes, data.shape, data.image_shape, data.name) == (3, (3, 4, 4), (3, 4, 4), "mine")
    assert torch.equal(data.prepare(images), images.float() / 255)
    assert own_data(*DATA).image_shape is None
