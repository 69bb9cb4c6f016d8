"""The film of a training, as a user calls for it."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from experiments import rewiring_film, train
from snnprune import Connectivity, InputError
from snnprune.report import Footage
from snnprune.runs import run
from snnprune.runs.config import Config, Runtime
from snnprune.runs.recording import Recorder

SMALL = ["--data", "digits", "--epochs", "3", "--batch-size", "64", "--timesteps", "2", "--lr", "0.01"]
DENSITY = ["--density", "0.1"]
PICTURES = sorted(["film.gif", "strip.png", "turnover.png", "hidden.png"])


def call(*arguments: str | Path) -> int:
    return rewiring_film.main([str(argument) for argument in arguments])


def make(tmp_path: Path, *options: str) -> Footage:
    assert call(*SMALL, *options, "--out", tmp_path) == 0
    return Footage.load(tmp_path / "film.npz")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.Flatten(), nn.Linear(4 * 36, 10, bias=False))


def trainer(**options) -> run.Trainer:
    config = {"model": "digits-mlp", "data": "digits", "epochs": 1, "timesteps": 2, "density": 0.1} | options
    return run.make_trainer(Config(**config), Runtime(compile="off"))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    make(folder, *DENSITY, "--every", "5")
    return folder


def test_a_film_has_its_files_and_frames(film: Path, capsys):
    assert files(film) == sorted(["film.npz", *PICTURES])
    footage = Footage.load(film / "film.npz")
    assert footage.steps.tolist() == [1, *range(5, 66, 5), 66]
    assert footage.layers == ("fc1.weight", "fc2.weight")
    assert (footage.layer, footage.image, footage.shape) == ("fc1.weight", (1, 8, 8), (128, 64))
    with Image.open(film / "film.gif") as image:
        assert image.n_frames == len(footage) == 15
        assert image.info["loop"] == 0


def test_draw_only_draws_the_same_bytes(film: Path, tmp_path: Path, capsys):
    (tmp_path / "film.npz").write_bytes((film / "film.npz").read_bytes())
    assert call("--draw-only", "--out", tmp_path) == 0
    assert "on the test images with 9.998% of the synapses; a film of 15 frames (0." in capsys.readouterr().out
    for name in PICTURES:
        assert (tmp_path / name).read_bytes() == (film / name).read_bytes()


@pytest.mark.parametrize("method", ["gradr", "stds", "rigl", "gmp", "snip", "admm"])
def test_what_is_recorded_adds_up(method: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(rewiring_film, "PICTURES", {"film.gif": lambda _, path: path.touch()})
    footage = make(tmp_path, "--method", method, *DENSITY, "--every", "20")
    survived, pruned, regrown, present = footage.survived, footage.pruned, footage.regrown, footage.present
    assert (survived[1:] + pruned[1:] == present[:-1]).all()
    assert (survived + regrown == present).all()
    assert (present + footage.tried <= footage.prunable).all()
    assert (pruned[0] + regrown[0] + footage.tried[0] == 0).all()
    for frame in range(len(footage)):
        assert footage.mask(frame).sum() == present[frame, 0]
        assert (footage.changes(frame) == 4).sum() == footage.tried[frame, 0]
    hidden = ~footage.fixed & (footage.quantity != "weight")
    assert (footage.counts.sum(axis=2)[hidden] == footage.prunable).all()
    assert (footage.counts.sum(axis=2)[~hidden] == present[~hidden]).all()
    assert np.isfinite(footage.accuracy).all()


def test_a_dense_training_is_filmed_too(tmp_path: Path):
    footage = make(tmp_path, "--method", "dense", "--every", "30")
    assert footage.density(-1) == 1
    assert footage.quantity == "weight"


def test_watching_changes_nothing(film: Path, tmp_path: Path):
    options = [*SMALL, *DENSITY, "--model", "digits-mlp", "--out", str(tmp_path)]
    assert train.main(options) == 0
    expected = Connectivity.load(tmp_path / "connectivity.safetensors")
    footage = Footage.load(film / "film.npz")
    assert np.array_equal(footage.mask(len(footage) - 1), expected["fc1.weight"].numpy())


def test_a_strength_above_0_is_a_synapse_that_exists(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(rewiring_film, "PICTURES", {"film.gif": lambda _, path: path.touch()})
    footage = make(tmp_path, "--alpha", "0.1", "--every", "5")
    assert footage.quantity == "strength"
    assert not footage.fixed.any()
    alive = footage.counts[:, :, footage.counts.shape[2] // 2 :].sum(axis=2)
    assert np.array_equal(alive[:-1], footage.present[:-1])


def test_what_is_dormant_after_a_selection_is_at_0(film: Path):
    footage = Footage.load(film / "film.npz")
    assert footage.quantity == "hidden"
    assert np.isnan(footage.zone).all()
    assert footage.fixed.tolist() == [step >= 43 for step in footage.steps]  # 65 % of 66 steps
    half = footage.counts.shape[2] // 2
    around_0 = footage.counts[:, :, half - 1]  # exactly 0 is counted just below it
    assert (around_0 >= footage.prunable - footage.present)[1:][~footage.fixed[1:]].all()


def test_the_dead_zone_is_recorded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(rewiring_film, "PICTURES", {"film.gif": lambda _, path: path.touch()})
    footage = make(tmp_path, "--method", "stds", *DENSITY, "--every", "5")
    assert footage.quantity == "hidden"
    assert np.array_equal(np.isnan(footage.zone), footage.fixed)
    assert (np.diff(footage.zone[~footage.fixed]) > 0).all()


def test_another_layer_and_validation(tmp_path: Path):
    footage = make(tmp_path, *DENSITY, "--every", "40", "--layer", "fc2", "--validation", "200")
    assert (footage.layer, footage.image, footage.shape) == ("fc2.weight", (), (10, 128))
    assert footage.evaluated_on == "validation"


def test_a_convolution_is_a_matrix(tmp_path: Path):
    mine = ["--model", "torch.nn:Sequential"]
    assert call(*SMALL, *mine, "--out", tmp_path / "no") == 2
    recorder = Recorder(trainer(model=f"{__name__}:convolutional"), layer=None, title="")
    recorder.record()
    assert recorder.footage(0.5).shape == (4, 9)


def test_what_suits_a_film_where_nothing_is_said():
    assert rewiring_film._config({}) == Config(density=0.03)
    small = {"data": "digits", "model": "digits-mlp", "epochs": 20, "batch_size": 32, "lr": 3e-3}
    assert rewiring_film._config({"data": "digits"}) == Config(density=0.1, **small)
    assert rewiring_film._config({"data": "digits", "lr": 0.1}) == Config(density=0.1, **small | {"lr": 0.1})
    assert rewiring_film._config({"data": "digits", "model": "a:b"}).model == "a:b"
    assert rewiring_film._config({"method": "gradr"}).density is None
    assert rewiring_film._config({"alpha": 0.1}).density is None
    assert rewiring_film._config({"criterion": "taylor", "density": 0.1}).method == "pruning"


@pytest.mark.parametrize(
    ("method", "steps", "expected"),
    [
        (SimpleNamespace(schedule=SimpleNamespace(every=91)), 7020, 182),
        (SimpleNamespace(schedule=SimpleNamespace(every=100)), 7020, 200),
        (SimpleNamespace(schedule=SimpleNamespace(every=300)), 7020, 300),
        (SimpleNamespace(schedule=SimpleNamespace(every=1000)), 7020, 176),
        (SimpleNamespace(schedule=None), 7020, 176),
        (SimpleNamespace(schedule=SimpleNamespace(every=1)), 20, 1),
    ],
)
def test_frames_keep_time_with_the_method(method: object, steps: int, expected: int):
    assert rewiring_film._interval(SimpleNamespace(method=method, total_steps=steps), None) == expected


def test_the_accuracy_is_that_since_the_frame_before():
    watched = trainer(epochs=2, batch_size=400)
    recorder = Recorder(watched, layer=None, title="")
    right = [0]
    for _ in range(2):
        for _ in watched.train_epoch():
            right.append(int(watched.correct))
            recorder.record()
        watched.finish_epoch()
    one, two, three, *_ = right[1:]
    expected = [one, two - one, three - two, right[4], right[5] - right[4], right[6] - right[5]]
    assert [frame["accuracy"] for frame in recorder.frames] == [count / 400 for count in expected]
    recorder.record()
    assert np.isnan(recorder.frames[-1]["accuracy"])


def test_values_that_are_not_finite_are_left_out():
    watched = trainer(method="magnitude")
    recorder = Recorder(watched, layer="fc1.weight", title="")
    weight = watched.method.parameters["fc1.weight"].data
    weight[0] = float("nan")
    recorder.record()
    assert recorder.frames[0]["counts"][0].sum() == weight.numel() - 64
    weight.fill_(0)
    empty = Recorder(watched, layer="fc1", title="")
    empty.record()
    assert empty.widths["fc1.weight"] == 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layer", "conv9"], "unknown layer 'conv9': known are fc1, fc2"),
        (["--every", "0"], "--every must be 1 step or more, found 0"),
        (["--every", "1", "--epochs", "30"], "--every 1 makes 660 frames, more than 400: choose 2 or more"),
        (["--method", "magic"], "unknown method 'magic'"),
        (["--method", "rigl"], "rigl needs density"),
        (["--epochs", "0"], "--epochs must be 1 or more, found 0"),
        (
            ["--draw-only"],
            "--draw-only draws an earlier recording, on which --data, --epochs, --batch-size, --timesteps, --lr has",
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_folder(options: list[str], message: str, tmp_path: Path, capsys):
    assert call(*SMALL, *options, "--out", tmp_path / "film") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert not (tmp_path / "film").exists()


def test_drawing_what_is_not_there_and_what_is_not_asked_for(tmp_path: Path, capsys):
    assert call("--draw-only", "--out", tmp_path / "none") == 2
    assert "no film at" in capsys.readouterr().err
    assert call("--draw-only", "--layer", "fc2", "--every", "3", "--quiet", "--out", tmp_path) == 2
    assert "--layer, --every, --quiet has no effect: leave it out" in capsys.readouterr().err
    assert files(tmp_path) == []


def test_ctrl_c_in_the_training_writes_nothing(tmp_path: Path, monkeypatch, capsys):
    step = run.Trainer._step

    def interrupt(self, images, labels):
        step(self, images, labels)
        if self.steps_done == 30:
            raise KeyboardInterrupt

    monkeypatch.setattr(run.Trainer, "_step", interrupt)
    assert call(*SMALL, *DENSITY, "--out", tmp_path) == 130
    assert "stopped at step 30 of 66; nothing was written" in capsys.readouterr().err
    assert files(tmp_path) == []


@pytest.mark.parametrize(("owner", "left"), [(Figure, ["film.gif", "film.npz"]), (Image.Image, ["film.npz"])])
def test_ctrl_c_in_the_drawing_leaves_whole_files(
    owner: type, left: list[str], film: Path, tmp_path: Path, monkeypatch, capsys
):
    (tmp_path / "film.npz").write_bytes((film / "film.npz").read_bytes())

    def interrupt(_self: object, path: Path, *_arguments: object, **_options: object) -> None:
        if isinstance(path, Path):
            path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, "savefig" if owner is Figure else "save", interrupt)
        assert call("--draw-only", "--out", tmp_path) == 130
    error = capsys.readouterr().err
    assert error.startswith("stopped while drawing; film.npz is complete, continue with: ")
    assert error.endswith(f"python -m experiments.rewiring_film --draw-only --out {tmp_path}\n")
    assert files(tmp_path) == left
    assert call("--draw-only", "--out", tmp_path) == 0
    assert (tmp_path / "strip.png").read_bytes() == (film / "strip.png").read_bytes()


def test_a_folder_that_cannot_be_made_is_reported_before_the_training(tmp_path: Path, capsys):
    (tmp_path / "file").touch()
    assert call(*SMALL, *DENSITY, "--out", tmp_path / "file" / "film") == 2
    assert "error: cannot write to" in capsys.readouterr().err


def test_numbers_that_cannot_be_written(tmp_path: Path):
    recorder = Recorder(trainer(), layer=None, title="")
    recorder.record()
    with pytest.raises(InputError, match="cannot write"):
        recorder.footage(0.5).save(tmp_path / "missing" / "film.npz")
