"""The scripts, as a user calls them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import models
from experiments import quickstart, train
from snnprune import Connectivity, Dense, InputError
from snnprune.export import load_csr
from snnprune.runs import config, run
from snnprune.runs.config import Config, Runtime
from snnprune.training import RunFolder, load_network
from snnprune.training.data import names

ROOT = Path(__file__).parents[2]

SMALL = [
    "--model",
    "digits-mlp",
    "--data",
    "digits",
    "--epochs",
    "3",
    "--batch-size",
    "64",
    "--timesteps",
    "3",
    "--lr",
    "0.01",
]
DENSITY = ["--density", "0.1"]
SAME = ("checkpoint.safetensors", "connectivity.safetensors", "connectivity.npz", "config.json")
WIDTH = 12


def factory(timesteps: int) -> nn.Module:
    """A user's own network, found as tests.experiments.test_train:factory would be."""
    assert timesteps == 3
    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 10))


class Mine(Dense):
    """A user's own method."""


class Recurrent(nn.Module):
    """A network on which paths cannot be counted: its values leave torch."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.read(torch.from_numpy(images.flatten(1).numpy() + 1) if not images.requires_grad else images)


def convolutional() -> nn.Module:
    """Four kernels of 2x2 over 8x8 pixels, 49 positions each; then 196 inputs for 10 classes."""
    return nn.Sequential(nn.Conv2d(1, 4, 2, bias=False), nn.Flatten(), nn.Linear(196, 10, bias=False))


class Idle(nn.Sequential):
    """A network with a convolution that it never runs."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self[0](input.flatten(1))


def idle() -> nn.Module:
    return Idle(nn.Linear(64, 10), nn.Conv2d(1, 4, 2))


def headless() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, WIDTH))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        outputs = self.read(images.flatten(1))
        return outputs, outputs


def pair() -> nn.Module:
    return Pair()


def not_a_network() -> str:
    return "nothing"


def call(*arguments: str | Path) -> int:
    return train.main([str(argument) for argument in arguments])


def summary(folder: Path) -> dict:
    return json.loads((folder / "summary.json").read_text())


def test_a_combination_without_a_name_is_reachable(tmp_path):
    combination = ["--criterion", "taylor", "--allocation", "lamp", "--schedule", "cubic", "--calibration", "64"]
    assert call(*SMALL, *DENSITY, *combination, "--out", tmp_path / "run") == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert [config[name] for name in ("method", "criterion", "allocation")] == ["pruning", "taylor", "lamp"]
    assert summary(tmp_path / "run")["nonzero"] == 947
    assert call("--resume", *combination, "--out", tmp_path / "run") == 0


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("density=0.5", "--option density is not a method's own: give --density"),
        ("steps=5", "--option steps is not a method's own: give --epochs"),
        ("begin=half", "begin, a share of the steps, must be in [0, 1]; found 'half'"),
        ("every=2.5", "every must be a whole number, found 2.5"),
    ],
)
def test_an_option_that_is_none_of_the_methods_own_is_told(option, told, tmp_path, capsys):
    options = ["--method", "gmp", "--option", option, "--out", tmp_path / "run"]
    assert call(*SMALL, *DENSITY, *options) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_named_method_takes_another_criterion(tmp_path, capsys):
    options = ["--method", "magnitude", "--criterion", "wanda", "--allocation", "fan-in=12"]
    assert call(*SMALL, *DENSITY, *options, "--out", tmp_path / "run") == 0
    found = Connectivity.load(tmp_path / "run" / "connectivity.safetensors")
    assert max(int(mask.sum(1).max()) for mask in found.values()) <= 12
    assert call(*SMALL, *DENSITY, "--method", "gradr", "--criterion", "wanda", "--out", tmp_path / "no") == 2
    assert "gradr does not take criterion: it takes alpha, sparsity, density" in capsys.readouterr().err


def test_a_run_folder_holds_everything(tmp_path, capsys):
    assert call(*SMALL, *DENSITY, "--out", tmp_path / "run") == 0
    folder = tmp_path / "run"
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "environment.json", "metrics.jsonl", "summary.json", "figures", *SAME} <= names
    told = summary(folder)
    assert told["nonzero"] == round(0.1 * told["prunable"]) == round(0.1 * 9472)
    assert told["accuracy"] > 0.3
    assert told["method"] == "gradr"
    assert told["effective_density"] <= told["density"] == told["nonzero"] / told["prunable"]
    assert told["layers"].keys() == {"fc1.weight", "fc2.weight"}
    assert {"seconds", "seed", "evaluated_on", "dead_neurons"} <= told.keys()
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3
    pictures = {path.name for path in (folder / "figures").iterdir()}
    assert pictures == {"training.png", "layers.png", "connectivity-fc1.png", "connectivity-fc2.png"}
    out = capsys.readouterr().out
    assert "fc1.weight" in out
    assert "on the test images with 9.998% of the synapses" in out


def test_connectivity_weights_and_export_agree(tmp_path):
    call(*SMALL, *DENSITY, "--out", tmp_path)
    network = models.build("digits-mlp", timesteps=3)
    load_network(tmp_path / "checkpoint.safetensors", network)
    connectivity = Connectivity.load(tmp_path / "connectivity.safetensors")
    assert connectivity == Connectivity.from_network(network)
    for name, matrix in load_csr(tmp_path / "connectivity.npz").items():
        weight = dict(network.named_parameters())[name].detach().numpy()
        assert np.array_equal(matrix.toarray(), weight)


def test_an_accuracy_on_held_out_images_does_not_read_the_test_set(tmp_path, monkeypatch):
    seen = []
    read = run.load
    monkeypatch.setattr(run, "load", lambda *args, **options: seen.append(read(*args, **options)) or seen[-1])
    call(*SMALL, "--method", "dense", "--validation", "200", "--out", tmp_path)
    assert seen[0].evaluated_on == summary(tmp_path)["evaluated_on"] == "validation"
    assert len(seen[0].train) + len(seen[0].evaluation) == 1437
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["evaluation_accuracy"] == summary(tmp_path)["accuracy"]


def test_stop_and_resume_end_with_the_same_bytes(tmp_path, capsys):
    assert call(*SMALL, *DENSITY, "--out", tmp_path / "whole") == 0
    assert call(*SMALL, *DENSITY, "--out", tmp_path / "parts", "--stop-after", "0") == 130
    assert "stopped at step 1 of 66, saved; go on with: python -m experiments.train --resume" in capsys.readouterr().err
    assert not (tmp_path / "parts" / "summary.json").exists()
    while call("--resume", "--out", tmp_path / "parts", "--stop-after", "0.05") == 130:
        pass
    for name in SAME:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert summary(tmp_path / "parts")["accuracy"] == summary(tmp_path / "whole")["accuracy"]


def test_a_finished_run_is_not_run_again(tmp_path, capsys):
    call(*SMALL, *DENSITY, "--out", tmp_path)
    written = (tmp_path / "summary.json").stat().st_mtime_ns
    capsys.readouterr()
    assert call("--resume", "--out", tmp_path) == 0
    assert "of the synapses" in capsys.readouterr().out
    assert (tmp_path / "summary.json").stat().st_mtime_ns == written


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    step = run.Trainer._step

    def interrupt(self, images, labels):
        step(self, images, labels)
        if self.steps_done == 30:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run.Trainer, "_step", interrupt)
    assert call(*SMALL, *DENSITY, "--out", tmp_path) == 130
    assert f"stopped at step 31 of 66, saved; go on with: python -m experiments.train --resume --out {tmp_path}" in (
        capsys.readouterr().err
    )
    monkeypatch.undo()
    assert call("--resume", "--out", tmp_path) == 0


def test_a_second_ctrl_c_interrupts_at_once():
    before = signal.getsignal(signal.SIGINT)
    with run._stop_on_request(None) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_outside_of_the_training_is_one_line(monkeypatch, tmp_path, capsys):
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "make_trainer", interrupted)
    assert call(*SMALL, *DENSITY, "--out", tmp_path) == 130
    assert capsys.readouterr().err == "interrupted; what was saved is kept\n"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_killed_at_ten_random_moments_ends_with_the_same_bytes(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # one number of threads in both, and no waiting for cores
    options = [*SMALL, "--epochs", "120", *DENSITY, "--device", "cpu"]
    command = [sys.executable, "-m", "experiments.train"]

    def start(*arguments: str) -> subprocess.Popen:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([*command, *arguments], env=environment, **quiet)

    whole = start(*options, "--out", str(tmp_path / "whole"))
    folder = tmp_path / "killed"
    chance, kills = random.Random(0), 0
    process = start(*options, "--out", str(folder))
    for _ in range(10):
        while process.poll() is None and not (folder / "metrics.jsonl").exists():
            time.sleep(0.01)
        before = (folder / "metrics.jsonl").stat().st_mtime_ns
        while process.poll() is None and (folder / "metrics.jsonl").stat().st_mtime_ns == before:
            time.sleep(0.01)  # until it trains again
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        process = start("--resume", "--out", str(folder))
    assert (process.wait(), whole.wait(), kills) == (0, 0, 10)
    for name in SAME:
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert [row["epoch"] for row in RunFolder(folder).rows()] == list(range(1, 121))


def test_a_network_and_a_method_of_the_users_own(tmp_path, capsys):
    mine = ["--model", f"{__name__}:factory", "--method", f"{__name__}:Mine"]
    assert call(*SMALL, *mine, "--out", tmp_path) == 0
    assert summary(tmp_path)["prunable"] == 64 * WIDTH + WIDTH * 10
    # a run folder is data: what it names is imported only when it is named again
    (tmp_path / "summary.json").unlink()
    assert call("--resume", "--out", tmp_path) == 2
    assert f"has --model {__name__}:factory: give that option again to import it" in capsys.readouterr().err
    assert call("--resume", "--out", tmp_path, *mine) == 0


def test_a_network_on_which_paths_cannot_be_counted(tmp_path, caplog):
    assert call(*SMALL, "--model", f"{__name__}:Recurrent", *DENSITY, "--out", tmp_path) == 0
    assert "no effective density: paths cannot be counted in this network (" in caplog.text
    assert "values leave torch in the network" in caplog.text
    assert summary(tmp_path)["effective_density"] is None
    assert summary(tmp_path)["nonzero"] == 64


def test_connections_are_counted_beside_synapses(tmp_path, capsys):
    dense = ["--method", "dense", "--model", f"{__name__}:convolutional"]
    assert call(*SMALL, *dense, "--out", tmp_path) == 0
    told = summary(tmp_path)
    assert told["nonzero"] == 4 * 4 + 196 * 10
    assert told["connections"] == told["possible_connections"] == 4 * 4 * 49 + 196 * 10
    assert "100.000% of the synapses (100.000% of the connections)" in capsys.readouterr().out


def test_a_network_on_which_connections_cannot_be_counted(tmp_path, caplog, capsys):
    assert call(*SMALL, "--method", "dense", "--model", f"{__name__}:idle", "--out", tmp_path) == 0
    assert "connections are not counted: " in caplog.text
    assert summary(tmp_path)["connections"] is None
    assert "of the connections" not in capsys.readouterr().out


@pytest.mark.parametrize("method", ["gradr", "gmp"])
def test_a_network_that_fits_a_chip_at_the_end(method, tmp_path, capsys):
    assert call(*SMALL, *DENSITY, "--method", method, "--chip", "dynap-se2", "--out", tmp_path) == 0
    told = summary(tmp_path)["chip"]
    assert (told["name"], told["verdict"], told["chips"], told["cores"]) == ("dynap-se2", "fits", 1, 1)
    assert "dynap-se2: fits; takes 1 of 4 cores" in capsys.readouterr().out
    found = Connectivity.load(tmp_path / "connectivity.safetensors")
    assert max(int(mask.sum(1).max()) for mask in found.values()) <= 64


def test_the_ann_twin_and_weight_decay_and_bf16(tmp_path):
    options = [
        "--neuron",
        "relu",
        "--weight-decay",
        "0.01",
        "--precision",
        "bf16",
        "--loss",
        "ce",
        "--augment",
        "affine",
    ]
    assert call(*SMALL, *DENSITY, *options, "--out", tmp_path) == 0
    assert summary(tmp_path)["neuron"] == "relu"
    assert summary(tmp_path)["nonzero"] == 947


def test_the_published_rule_by_alpha(tmp_path):
    assert call(*SMALL, "--alpha", "0.3", "--out", tmp_path) == 0
    assert 0 < summary(tmp_path)["density"] < 0.9


def test_options_of_the_method_are_passed_on_and_kept(tmp_path, capsys):
    options = [*DENSITY, "--option", "scope=layer", "--option", "settle=0.4"]
    assert call(*SMALL, *options, "--out", tmp_path) == 0
    assert json.loads((tmp_path / "config.json").read_text())["options"] == {"scope": "layer", "settle": 0.4}
    assert summary(tmp_path)["layers"]["fc2.weight"]["nonzero"] == 128
    assert call(*SMALL, *DENSITY, "--option", "colour=red", "--out", tmp_path / "b") == 2
    assert "gradr does not take colour: it takes alpha, sparsity, density, settle, scope" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        call(*SMALL, *DENSITY, "--option", "scope")
    assert "--option must be NAME=VALUE, found 'scope'" in capsys.readouterr().err


def test_tensorboard_files_are_written(tmp_path):
    assert call(*SMALL, *DENSITY, "--tensorboard", "--out", tmp_path) == 0
    assert list((tmp_path / "tensorboard").iterdir())


def test_tensorboard_that_is_not_installed(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert call(*SMALL, *DENSITY, "--tensorboard", "--out", tmp_path) == 2
    assert "--tensorboard needs tensorboard: pip install snnprune[tensorboard]" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "others"),
    [
        (["--method", "gradr"], "--alpha or --option sparsity=..."),
        (["--method", "softdeepr", "--option", "temperature=0.1"], "--alpha or --option sparsity=..."),
        (["--method", "stds"], "--option width=..."),
        (["--method", "upr"], "--option price=..."),
        ([], "--alpha or --option sparsity=..."),
    ],
)
def test_a_method_with_two_ways_is_given_one(options, others, tmp_path, capsys):
    assert call(*SMALL, *options, "--out", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert f"needs --density, such as --density 0.05, or {others}: found neither" in error
    assert not (tmp_path / "run").exists()


def test_options_from_a_file_and_those_typed_count_more(tmp_path, capsys):
    path = tmp_path / "config.toml"
    path.write_text('model = "digits-mlp"\ndata = "digits"\nepochs = 1\ntimesteps = 2\ndensity = 0.5\n')
    assert call("--config", path, *DENSITY, "--images", "300", "--device", "cpu", "--out", tmp_path / "run") == 0
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (written["epochs"], written["density"], written["images"]) == (1, 0.1, 300)
    assert summary(tmp_path / "run")["steps"] == 300 // 128
    assert call("--config", path, "--resume", *DENSITY, "--images", "300", "--out", tmp_path / "run") == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "config.toml has unknown keys colour: known are model, data"),
        ("epochs = ", "config.toml is not TOML"),
        ('model = "mine:make"', "has model mine:make: give it as --model, a file imports no code"),
        ('epochs = "3"', "--epochs must be a whole number, found '3'"),
        (None, "no TOML file at"),
    ],
)
def test_a_wrong_file_of_options(text, message, tmp_path, capsys):
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)
    assert call("--config", path, "--out", tmp_path / "run") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_help_lists_models_and_data_and_imports_no_torch(capsys):
    assert tuple(models.names()) == config.MODELS
    assert tuple(names()) == config.DATA
    code = (
        "import sys; from experiments import train\ntry: train.main(['--help'])\nfinally: print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert all(name in shown.stdout for name in (*config.MODELS, *config.DATA))
    assert shown.stdout.endswith("False\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "resnet"], "unknown model 'resnet': known are cifar10-cnn, digits-mlp"),
        (["--model", "no.such:thing"], "--model no.such:thing cannot be imported"),
        (["--model", f"{__name__}:not_a_network"], "must return a torch module, found str"),
        (["--model", "resnet", "--data", "mnist", "--data-root", "/nowhere"], "unknown model 'resnet'"),
        (["--data", "imagenet"], "unknown data 'imagenet': known are digits, mnist"),
        (["--method", "magic"], "unknown method 'magic': known are admm, deepr"),
        (["--density", "0"], "--density must be in (0, 1], found 0.0"),
        (["--density", "1.2"], "--density must be in (0, 1], found 1.2"),
        (["--alpha", "0"], "--alpha must be above 0, found 0.0"),
        (["--alpha", "-1"], "--alpha must be above 0, found -1.0"),
        (["--density", "0.1", "--alpha", "0.1"], "give either density or alpha (with sparsity), found both"),
        (["--method", "dense", "--density", "0.1"], "dense does not take density: it takes exclude"),
        (["--model", "torch.nn:Flatten"], "Flatten has no synapses"),
        (["--model", "lenet5"], "--model lenet5 does not fit the 1x8x8 inputs and 10 classes of digits: "),
        (["--model", f"{__name__}:headless"], "outputs must be [T, 1, 10] or [1, 10] for one input, found [1, 12]"),
        (["--model", f"{__name__}:pair"], "outputs must be [T, 1, 10] or [1, 10] for one input, found tuple"),
        (["--chip", "dynap-se2", "--alpha", "0.1"], "--chip needs --density, and takes the place of --allocation"),
        (["--chip", "odin", *DENSITY, "--allocation", "lamp"], "--chip needs --density, and takes the place of"),
        (
            ["--chip", "odin", *DENSITY, "--method", "set"],
            "--chip works with methods that choose by an allocation",
        ),
        (["--chip", "eyeriss", *DENSITY], "unknown chip 'eyeriss': known are akida1000"),
        (["--chip", "spinnaker1", *DENSITY], "SpiNNaker 1 has no limit that single neurons or channels must keep"),
        (
            ["--chip", "xylo-imu", *DENSITY],
            "makes this network fit: 64 inputs of the network, the limit is 16",
        ),
        (["--epochs", "0"], "--epochs must be 1 or more, found 0"),
        (["--lr", "nan"], "--lr must be above 0, found nan"),
        (["--seed", "-1"], "--seed must be 0 or more, found -1"),
        (["--hold", "1.5"], "--hold must be in [0, 1], found 1.5"),
        (["--batch-size", "5000"], "batch size 5000 is more than the 1437 training images"),
        (["--validation", "1437"], "validation must be 1 to 1436"),
        (["--seed", "9" * 20], "--seed must be at most 9223372036854775807, found 99999999999999999999"),
        (["--epochs", str(2**63 - 1)], "steps must be at most 9223372036854775807"),
        (["--stop-after", "nan"], "--stop-after must be 0 or more, found nan"),
        (["--weight-decay", "inf"], "--weight-decay must be 0 or more, found inf"),
        (["--lr", "1e300"], "--lr must be at most 1e+18 in size, found 1e+300"),
        (["--calibration", "0"], "--calibration must be 1 or more, found 0"),
        (["--model", ":x"], "--model must be package.module:attribute, found ':x'"),
        (["--model", ".x:y"], "--model must be package.module:attribute, found '.x:y'"),
        (["--method", ".x:y"], "--method must be package.module:attribute, found '.x:y'"),
        (["--model", "os:path"], "--model os:path must be a function that makes a network"),
        (
            ["--model", "torch.nn:Linear"],
            "--model torch.nn:Linear needs in_features, out_features",
        ),
        (["--model", f"64-{10**15}-10"], f"--model 64-{10**15}-10 cannot be made"),
        (["--model", "64-" + "9" * 5000], "unknown model '64-999"),
        (["--allocation", "0:4"], "N:M must have 1 <= N <= M, found 0:4"),
        (["--allocation", f"fan-in={10**29}"], "the fan-in cap must be at most 9223372036854775807"),
        (["--option", "settle=NaN"], "settle must be in (0, 1], found 'NaN'"),
        (["--option", "power=Infinity"], "power must be a number, found 'Infinity'"),
        (["--option", "exclude=3"], "exclude must be text or a class or a list, found 3"),
        (["--option", "scope=[1]"], "scope must be 'global' or 'layer', found [1]"),
        (["--device", "cuda:99"], "CUDA devices; take --device cpu"),
        (["--device", "abacus"], "--device 'abacus' is not a device: take cpu, cuda or cuda:N"),
        (["--device", "meta"], "--device 'meta' is not supported"),
        (
            ["--data", "mnist", "--data-root", "/nowhere", "--no-download"],
            "mnist is missing or incomplete in '/nowhere'",
        ),
    ],
)
def test_bad_input_gets_one_line_exit_code_2_and_no_folder(options, message, tmp_path, capsys):
    goal = [] if {"--density", "--alpha", "--method"} & set(options) else DENSITY
    assert call(*SMALL, *options, *goal, "--out", tmp_path / "run") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_absent(tmp_path, capsys):
    assert call(*SMALL, *DENSITY, "--device", "cuda", "--out", tmp_path / "run") == 2
    assert "error: --device cuda: this machine has 0 CUDA devices; take --device cpu" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--loss", "--neuron", "--precision", "--compile", "--augment"])
def test_choices_are_listed_by_the_parser(option, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        call(*SMALL, option, "else", "--out", tmp_path / "run")
    assert stopped.value.code == 2
    assert "choose from" in capsys.readouterr().err


def test_a_loss_that_turns_nan_keeps_the_last_good_checkpoint(tmp_path, monkeypatch, capsys):
    step = run.Trainer._step

    def poisoned(self, images, labels):
        if self.steps_done == 45:
            next(iter(self.network.parameters())).data.fill_(float("nan"))
        step(self, images, labels)

    monkeypatch.setattr(run.Trainer, "_step", poisoned)
    assert call(*SMALL, "--method", "dense", "--neuron", "relu", "--out", tmp_path) == 2
    assert "error: the loss is nan at step 46 of 66 (epoch 3)" in capsys.readouterr().err
    monkeypatch.undo()
    assert call("--resume", "--out", tmp_path) == 0
    assert len(RunFolder(tmp_path).rows()) == 3


def test_resuming_nothing_and_resuming_with_other_options(tmp_path, capsys):
    assert call("--resume", "--out", tmp_path / "none") == 2
    assert "holds no run: config.json is missing" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    call(*SMALL, *DENSITY, "--out", tmp_path / "run", "--stop-after", "0")
    assert call("--resume", "--out", tmp_path / "run", "--epochs", "9", "--seed", "4") == 2
    assert "has --epochs 3, --seed 0: resume it with the same options" in capsys.readouterr().err
    assert call(*SMALL, *DENSITY, "--out", tmp_path / "run") == 2
    assert "holds a run already: add --resume" in capsys.readouterr().err


@pytest.mark.parametrize("damage", [lambda content: content[:-100], lambda content: content[:-5] + b"\0\1\2\3\4"])
def test_a_damaged_checkpoint_is_refused(damage, tmp_path, capsys):
    call(*SMALL, *DENSITY, "--out", tmp_path, "--stop-after", "0")
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert call("--resume", "--out", tmp_path) == 2
    assert "is damaged" in capsys.readouterr().err.replace("or it is damaged", "is damaged")


def test_a_checkpoint_of_another_network_is_refused(tmp_path, capsys):
    call(*SMALL, *DENSITY, "--out", tmp_path / "a", "--stop-after", "0")
    wide = [f"{__name__}:factory" if option == "digits-mlp" else option for option in SMALL]
    call(*wide, *DENSITY, "--out", tmp_path / "b", "--stop-after", "0")
    (tmp_path / "b" / "checkpoint.safetensors").replace(tmp_path / "a" / "checkpoint.safetensors")
    assert call("--resume", "--out", tmp_path / "a") == 2
    assert "is of another network" in capsys.readouterr().err


def test_a_folder_in_use_is_refused(tmp_path, capsys):
    with RunFolder(tmp_path):
        assert call(*SMALL, *DENSITY, "--out", tmp_path) == 2
    assert "is in use by another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epochs": 3, "colour": "red"}, "config.json has unknown keys colour: known are model, data"),
        ({"epochs": "many"}, "--epochs must be a whole number, found 'many'"),
        ({"epochs": True}, "--epochs must be a whole number, found True"),
        ({"model": None}, "--model must be text, found None"),
        ({"loss": "hinge"}, "--loss must be one of mse, ce, tet, found 'hinge'"),
    ],
)
def test_a_config_is_checked_when_it_is_read(content, message):
    with pytest.raises(InputError) as error:
        Config.from_json(content)
    assert message in str(error.value)


def test_help_explains_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        call("--help")
    assert stopped.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for told in ("--density FLOAT share of the synapses to end with, in (0, 1]", "(default: 15)", "--resume"):
        assert told in text
    assert Runtime().out in text


def test_quickstart_prints_a_table_and_can_be_called_again(tmp_path, capsys):
    for _ in range(2):
        assert quickstart.main(["--out", str(tmp_path), "--epochs", "2"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines[2:6]] == ["dense", "gradr-20", "gradr-10", "gradr-5"]
        assert lines[5].split()[2:4] == ["5.00%", "474"]
    assert (tmp_path / "gradr-5" / "figures" / "layers.png").is_file()


def test_mnist_from_a_script(data_root, tmp_path):
    options = ["--model", "mnist-mlp", "--data", "mnist", "--data-root", data_root, "--no-download", "--epochs", "1"]
    assert call(*options, "--density", "0.2", "--timesteps", "2", "--out", tmp_path) == 0
    assert summary(tmp_path)["accuracy"] > 0.9
    assert summary(tmp_path)["nonzero"] == round(0.2 * 635_200)
