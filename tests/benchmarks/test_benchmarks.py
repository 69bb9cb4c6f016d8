"""The benchmarks run, stop and go on; what they measure is not tested."""

import csv
import json
import sys

import pytest

import models
from benchmarks import budget, chips_mnist, global_magnitude, gpu, gradr_mnist, graph, rewiring_cost, training_step
from snnprune.runs.config import Config

SMALL = Config(model="digits-mlp", data="digits", method="gradr", density=0.1, epochs=3, batch_size=64, timesteps=2)


def call(monkeypatch, main, *arguments: object):
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, arguments)])
    return main()


def test_a_gpu_job_stops_by_the_clock_and_goes_on_when_called_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(gpu.TRAININGS, "small", SMALL)
    options = ["small", "--device", "cpu", "--scratch", tmp_path / "scratch", "--results", tmp_path / "results"]
    assert call(monkeypatch, gpu.main, *options, "--stop-after", 0) == 130
    assert not (tmp_path / "results").exists()
    assert call(monkeypatch, gpu.main, *options) == 0
    assert "small:" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "results" / "small").iterdir()} == set(gpu.KEPT)


def test_an_unknown_gpu_job_lists_the_known_ones(monkeypatch, capsys):
    assert call(monkeypatch, gpu.main, "cifar11") == 2
    assert "unknown job 'cifar11': known are cuda-tests, training-step-mnist" in capsys.readouterr().err


def test_a_command_job_is_run(monkeypatch):
    monkeypatch.setitem(gpu.COMMANDS, "nothing", ["-c", "raise SystemExit(7)"])
    assert call(monkeypatch, gpu.main, "nothing") == 7


def test_the_training_step_is_measured(tmp_path, monkeypatch, capsys):
    ways = ["--ways", "time-loop", "multi-step", "--methods", "adam", "closed-loop"]
    options = [
        "--model",
        "digits-mlp",
        "--rounds",
        2,
        "--block",
        3,
        "--warm-up",
        1,
        *ways,
        "--out",
        tmp_path / "a.json",
    ]
    call(monkeypatch, training_step.main, *options, "--no-memory")
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [(row["way"], row["method"]) for row in rows] == [
        (way, method) for way in ("time-loop", "multi-step") for method in ("adam", "closed-loop")
    ]
    assert all(row["fastest_ms"] <= row["median_ms"] for row in rows)
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_peak_memory_is_measured_in_a_child(monkeypatch):
    options = ["--model", "digits-mlp"]
    assert training_step.memory_in_child("multi-step", "adam", options) > 0
    assert call(monkeypatch, training_step.main, *options, "--memory-of", "multi-step", "adam") is None


def test_ratios_by_hand():
    seconds = {"time-loop adam": [4.0, 6.0], "default adam": [2.0, 2.0], "default gradr": [3.0, 5.0]}
    rows = training_step.report(seconds, {"default gradr": 7.0})
    assert rows[1]["speedup_over_time_loop"] == [2.0, 2.5]
    assert rows[2]["cost_over_adam"] == [1.5, 2.0]
    assert "speedup_over_time_loop" not in rows[2]
    assert rows[2]["peak_memory_mb"] == 7


def test_the_mnist_table_gives_mean_and_spread():
    rows = [
        {"density": density, "accuracy": accuracy, "nonzero": round(density * 635_200)}
        for density in gradr_mnist.DENSITIES
        for accuracy in (0.98, 0.97, 0.99)
    ]
    lines = gradr_mnist.table(rows).splitlines()
    assert lines[2] == "| dense | 635,200 | **98.00 %** | ± 1.00 |  |"
    assert lines[3] == "| 4.6 % | 29,219 | **98.00 %** | ± 1.00 | 98.3 % |"


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_the_mnist_benchmark_writes_its_table_when_all_seeds_are_there(seeds, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gradr_mnist, "DENSITIES", (1.0, 0.5))
    monkeypatch.setattr(
        gradr_mnist,
        "execute",
        lambda config, runtime: {"density": config.density or 1.0, "accuracy": 0.9, "seconds": 1.0, "nonzero": 1},
    )
    options = ["--seeds", *seeds, "--out", tmp_path / "runs", "--results", tmp_path]
    assert call(monkeypatch, gradr_mnist.main, *options) == 0
    written = tmp_path / "gradr-mnist.csv"
    assert written.exists() == (len(seeds) == 3)
    if written.exists():
        assert written.read_text().splitlines()[:2] == [
            "method,side,density,seed,accuracy,nonzero,seconds",
            "dense,snn,1.0,0,0.9,1,1.0",
        ]
    assert "dense" in capsys.readouterr().out


def test_networks_are_pruned_to_chips_and_without_their_limits(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(chips_mnist, "ROWS", {"dynap-se2": ("64-100-10", 0.3)})
    monkeypatch.setattr(chips_mnist, "RUN", {"data": "digits", "epochs": 1, "batch_size": 64, "timesteps": 2})
    options = ["--seeds", "0", "1", "--out", str(tmp_path / "runs"), "--results", str(tmp_path / "table")]
    assert chips_mnist.main(options) == 0
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [(row["chip"], row["method"], row["seed"]) for row in rows] == [
        ("dynap-se2", method, seed) for seed in "01" for method in ("gradr", "gradr-chip")
    ]
    assert {row["verdict"] for row in rows if row["method"] == "gradr-chip"} == {"fits"}
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[2].startswith("| dynap-se2 | 64-100-10 | 30 % | ")
    assert "| 2 of 2 | " in lines[2]
    assert lines[2] in capsys.readouterr().out


def test_the_global_allocation_is_measured_beside_torchs(tmp_path, monkeypatch):
    monkeypatch.setattr(global_magnitude, "build", lambda: models.build("digits-mlp"))
    assert call(monkeypatch, global_magnitude.main, "--repetitions", 1, "--results", tmp_path / "found.json") == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["weights"] == 9472
    assert found["kept"] == {"ours": 474, "torch": 474}
    assert set(found["seconds"]) == set(found["copies_of_the_weights"]) == {"ours", "torch"}


def test_the_cost_of_rewiring_is_measured_beside_adam(tmp_path, capsys):
    small = ["--model", "digits-mlp", "--rounds", "1", "--block", "2", "--whole-steps", "1"]
    path = tmp_path / "cost.json"
    assert rewiring_cost.main([*small, "--methods", "gradr", "--results", str(path)]) == 0
    rows = {row["method"]: row for row in json.loads(path.read_text())["rows"]}
    assert set(rows) == {"adam", "gradr"}
    assert rows["adam"]["share_of_step"] == 0
    assert rows["gradr"]["copies_held"] == 2.0  # strengths and signs
    assert "| gradr | " in capsys.readouterr().out


@pytest.mark.parametrize("row", sorted(rewiring_cost.ROWS))
def test_every_method_lives_its_whole_life_in_the_memory_measurement(row):
    subject = rewiring_cost.Subject("digits-mlp", None, rewiring_cost.SHORT)
    method = subject.rewire(row, rewiring_cost.SHORT)
    for _ in range(rewiring_cost.SHORT):
        subject.step()
    density = rewiring_cost.ROWS[row][1].get("density")
    assert density is None or method.connectivity().nonzero == round(density * 9472)


def test_shares_of_a_step_by_hand():
    seconds = {"adam": [0.1, 0.1, 0.2], "gradr": [0.2, 0.15, 0.2]}
    rows = rewiring_cost.report(seconds, whole=2.0, memory={"gradr": (2.0, 3.0)})
    assert [row["share_of_step"] for row in rows] == [0, 0.05]
    assert [row["over_adam"] for row in rows] == [1, 1.5]
    assert (rows[1]["copies_held"], rows[1]["copies_at_peak"]) == (2, 3)


def test_the_budget_is_measured_beside_a_plain_evaluation(tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "in_fresh_process", lambda work, *arguments: work(*arguments))
    path = tmp_path / "budget.json"
    assert budget.main(["--models", "mnist-mlp", "--batch-size", "2", "--rounds", "1", "--results", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["counting"]["mnist-mlp"]["ratio"] > 0
    assert set(found["placing"]) == {"mnist-mlp, 3 %"}
    assert found["placing"]["mnist-mlp, 3 %"]["verdicts"]["loihi1"] == "fits"


def test_looking_into_networks_is_measured(tmp_path):
    assert graph.main(["--rounds", "1", "--large", "digits-mlp", "--results", str(tmp_path / "graph.json")]) == 0
    found = json.loads((tmp_path / "graph.json").read_text())
    assert found["effective"]["digits-mlp"]["effective_of_kept"] > 0
    assert set(found["counting"]) == {"mnist-mlp", "lenet5"}
