"""`snnprune report`: from a run folder to what it costs and where it fits."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments import train
from snnprune import cli

SMALL = ["--model", "digits-mlp", "--data", "digits", "--epochs", "1", "--timesteps", "3", "--density", "0.1"]


def factory(timesteps: int) -> nn.Module:
    assert timesteps == 3
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU(), nn.Linear(12, 10))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "run"
    assert train.main([*SMALL, "--out", str(folder)]) == 0
    return folder


def report(run: Path, *options: str | Path) -> int:
    return cli.main(["report", str(run), *map(str, options)])


def test_a_report_of_a_run(run, tmp_path, capsys):
    assert report(run, "--chip", "dynap-se2", "xylo-audio-2", "--out", tmp_path, "--samples", "200") == 0
    content = json.loads((tmp_path / "report.json").read_text())
    assert set(content) == {"run", "connectivity", "not_pruned", "operations", "energy", "chips"}
    assert content["run"]["accuracy"] == json.loads((run / "summary.json").read_text())["accuracy"]
    assert content["connectivity"]["nonzero"] == content["connectivity"]["connections"] == 947
    assert content["not_pruned"] == []
    operations = content["operations"]
    assert (operations["samples"], operations["timesteps"]) == (200, 3)
    assert operations["by_layer"]["fc1.weight"]["kind"] == "multiply-accumulates"
    assert operations["by_layer"]["fc1.weight"]["once"] is True
    assert 0 < operations["synaptic_operations"] == operations["by_layer"]["fc2.weight"]["operations"]
    assert operations["synaptic_operations"] < operations["if_dense"]
    assert operations["per_sample"]["0%"] <= operations["per_sample"]["50%"] <= operations["per_sample"]["100%"]
    energy = content["energy"]
    macs, adds = operations["multiply_accumulates"], operations["synaptic_operations"]
    assert energy["picojoules"] == pytest.approx(4.6 * macs + 0.9 * adds)
    assert energy["ann_twin"] == pytest.approx(4.6 * 947)
    assert energy["assumptions"]
    assert content["chips"]["dynap-se2"]["verdict"] == "fits"
    assert content["chips"]["xylo-audio-2"]["verdict"] == "cannot"
    assert "64 inputs of the network, the limit is 16" in content["chips"]["xylo-audio-2"]["reasons"]
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    shown = capsys.readouterr().out
    assert "dynap-se2: fits by size; takes 1 of 4 cores" in shown
    assert "not checked: weights rounded to 4 bits, the neuron model (LIFNode), analog inputs of fc1" in shown
    assert "connections" in shown


def test_all_chips_and_a_folder_of_its_own_by_default(run, capsys):
    assert report(run, "--samples", "10") == 0
    assert len(json.loads((run / "report" / "report.json").read_text())["chips"]) == 14
    # what it says of one image only
    assert report(run, "--samples", "1", "--chip", "odin") == 0
    assert json.loads((run / "report" / "report.json").read_text())["operations"]["per_sample"]["std"] == 0


def test_a_network_of_the_users_own_is_imported_only_if_it_is_named(tmp_path, capsys):
    mine = f"{__name__}:factory"
    assert train.main([*SMALL, "--model", mine, "--out", str(tmp_path / "run")]) == 0
    assert report(tmp_path / "run") == 2
    assert f"a folder's word alone imports nothing, pass --model {mine}" in capsys.readouterr().err
    assert report(tmp_path / "run", "--model", mine, "--chip", "odin", "--samples", "5") == 0
    assert report(tmp_path / "run", "--model", "no.such:thing") == 2
    assert "no.such:thing cannot be imported" in capsys.readouterr().err


def changed(run: Path, folder: Path, name: str, text: str | None) -> Path:
    folder.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", None, "holds no run: config.json is missing"),
        ("config.json", "{}", "config.json needs model, found None"),
        (
            "config.json",
            '{"model": "digits-mlp", "data": "digits", "neuron": "lif", "timesteps": "8"}',
            "config.json: --timesteps must be a whole number, found '8'",
        ),
        ("summary.json", None, "is not finished: python -m experiments.train --resume"),
        ("connectivity.safetensors", "nothing", "connectivity.safetensors"),
    ],
)
def test_a_folder_that_is_no_finished_run(name, text, message, run, tmp_path, capsys):
    assert report(changed(run, tmp_path / "broken", name, text)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1


def test_nothing_is_imported_from_the_current_folder(run, tmp_path, capsys, monkeypatch):
    (tmp_path / "models.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "models")
    assert report(run, "--chip", "odin", "--samples", "5") == 0
    assert "models" not in sys.modules or sys.modules["models"].__file__ != str(tmp_path / "models.py")
    assert not (tmp_path / "imported").exists()


def test_a_summary_may_know_the_dense_accuracy(run, tmp_path):
    summary = json.loads((run / "summary.json").read_text())
    known = changed(run, tmp_path / "known", "summary.json", json.dumps({**summary, "dense_accuracy": 0.875}))
    assert report(known, "--chip", "odin", "--samples", "5") == 0
    assert json.loads((known / "report" / "report.json").read_text())["run"]["dense_accuracy"] == 0.875
    assert "(dense 87.50%)" in (known / "report" / "report.html").read_text()


def test_a_run_to_compare_with_must_be_dense_finished_and_on_the_same_data(run, tmp_path, capsys):
    given = ["report", str(run), "--samples", "5", "--out", str(tmp_path / "out"), "--dense"]
    assert cli.main([*given, str(run)]) == 2
    assert (
        "must be a run with density 1, data digits, evaluated_on test, found density 0.09998,"
        in capsys.readouterr().err
    )
    assert cli.main([*given, str(tmp_path)]) == 2
    assert f"--dense {tmp_path} is no finished run: it has no summary.json" in capsys.readouterr().err
    other = {"density": 1.0, "data": "mnist", "evaluated_on": "test", "accuracy": 0.98, "nonzero": 5, "prunable": 5}
    (tmp_path / "summary.json").write_text(json.dumps(other))
    assert cli.main([*given, str(tmp_path)]) == 2
    assert "found density 1, data mnist, evaluated_on test" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wrong_options(run, tmp_path, capsys, monkeypatch):
    assert report(run, "--chip", "brain") == 2
    assert "unknown chip 'brain'" in capsys.readouterr().err
    assert report(run, "--samples", "0") == 2
    assert "--samples must be 1 or more, found 0" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert report(run, "--chip", "odin", "--samples", "5", "--out", tmp_path / "file" / "below") == 2
    assert "cannot make the folder" in capsys.readouterr().err
    assert torch.is_grad_enabled()
