"""The comparison: its protocol, its grid, and what it says of the results."""

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from experiments import compare, draw, transfer
from snnprune import Connectivity, InputError
from snnprune.report import plot_comparison
from snnprune.runs.comparison import grid as grid_of_runs
from snnprune.runs.comparison.protocol import Protocol, read_protocol
from snnprune.runs.comparison.results import draw as draw_results
from snnprune.runs.comparison.results import measured_with, read_results
from snnprune.runs.comparison.verdict import Result, distinguishable, sentences, table

ROOT = Path(__file__).parents[2]
RUN = {"model": "digits-mlp", "data": "digits", "epochs": 2, "batch_size": 64, "timesteps": 2, "lr": 0.01}
PROTOCOL = """
title = "Digits"
methods = ["dense", "gmp", "combined"]
densities = [0.2, 0.1]
seeds = [0]
controls = ["shuffled", "scratch-e", "scratch-b"]
control_of = "gmp"

[run]
model = "digits-mlp"
data = "digits"
epochs = 2
batch_size = 64
timesteps = 2
lr = 0.01

[method.combined]
method = "pruning"
criterion = "taylor"
allocation = "lamp"
schedule = "linear"
options = { begin = 0.1 }
"""


def protocol(**changes) -> Protocol:
    return Protocol(**{"methods": ["gmp", "dense"], "densities": [0.1, 0.05], "run": RUN, **changes})


def call(script, *arguments: str | Path) -> int:
    return script.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """The protocol above, carried out."""
    folder = tmp_path_factory.mktemp("grid")
    (folder / "digits.toml").write_text(PROTOCOL)
    assert call(compare, folder / "digits.toml", "--out", folder / "runs", "--results", folder / "table") == 0
    return folder


def test_the_table_has_a_row_for_every_run(grid):
    rows = list(csv.DictReader((grid / "table.csv").read_text().splitlines()))
    assert list(rows[0]) == ["method", "side", "density", "seed", "accuracy", "seconds"]
    per_side = 1 + 2 * 2 + 3 * 2
    assert len(rows) == 2 * per_side
    assert {row["side"] for row in rows} == {"snn", "ann"}
    assert all(0 <= float(row["accuracy"]) <= 1 and float(row["seconds"]) >= 0 for row in rows)


def test_page_and_figures_are_written(grid):
    page = (grid / "table.md").read_text()
    assert page.startswith(
        "# Digits\n\n## The spiking network\n\n| method | dense | 20 % | 10 % |\n|---|---|---|---|\n"
    )
    assert "- At 20 %, 10 % there is one seed: differences between methods are not tested." in page
    assert f"over the seeds 0. Made by `python -m experiments.compare {grid / 'digits.toml'}` with torch" in page
    assert (grid / "table-accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in grid.glob("table-*.png")] == ["table-accuracy.png"]  # two methods: nothing to compare


def test_the_controls_train_what_was_found_from_other_weights(grid):
    runs = grid / "runs" / "snn"
    found, drawn, again = (
        Connectivity.load(runs / f"{name}-10-0" / "connectivity.safetensors")
        for name in ("gmp", "gmp-shuffled", "gmp-scratch-e")
    )
    assert again == found
    assert drawn != found
    assert drawn.layers() == found.layers()
    configs = {name: json.loads((runs / f"gmp{name}-10-0" / "config.json").read_text()) for name in ("", "-scratch-b")}
    assert configs["-scratch-b"]["epochs"] == 2 * configs[""]["epochs"]
    assert configs["-scratch-b"]["seed"] != configs[""]["seed"]


def test_what_is_done_is_not_run_again(grid, monkeypatch):
    monkeypatch.setattr(grid_of_runs, "execute", lambda *_: pytest.fail("a finished run was run again"))
    before = (grid / "table.csv").read_bytes()
    assert call(compare, grid / "digits.toml", "--out", grid / "runs", "--results", grid / "table") == 0
    assert (grid / "table.csv").read_bytes() == before


def test_a_folder_with_other_options_is_refused(grid, capsys):
    (grid / "other.toml").write_text(PROTOCOL.replace("lr = 0.01", "lr = 0.02"))
    assert call(compare, grid / "other.toml", "--out", grid / "runs") == 2
    assert "holds a run with other lr: choose another --out" in capsys.readouterr().err


def test_a_connectivity_can_change_sides(grid, capsys):
    assert call(transfer, grid / "digits.toml", "--out", grid / "runs", "--results", grid / "moved") == 0
    assert "`python -m experiments.transfer --method gmp" in (grid / "moved.md").read_text()
    shown = capsys.readouterr().out
    assert "- ANN twin, 10 %: found on the spiking network" in shown
    assert "margin" not in shown  # with one seed there is none
    assert "\n\n\n" not in (grid / "moved.md").read_text()
    found = Connectivity.load(grid / "runs" / "ann" / "gmp-10-0" / "connectivity.safetensors")
    assert Connectivity.load(grid / "runs" / "snn" / "gmp-transfer-10-0" / "connectivity.safetensors") == found
    assert "gmp-transfer,snn,0.1,0," in (grid / "moved.csv").read_text()


def test_several_jobs_find_the_same(grid, tmp_path):
    text = PROTOCOL.partition("[method")[0].replace('"dense", "gmp", "combined"', '"gmp"')
    text = text.replace("[0.2, 0.1]", '[0.1]\nsides = ["ann"]').replace(
        '"shuffled", "scratch-e", "scratch-b"', '"scratch-e"'
    )
    (tmp_path / "one.toml").write_text(text)
    assert call(compare, tmp_path / "one.toml", "--out", tmp_path / "runs", "--jobs", "2", "--compile", "off") == 0
    for name in ("gmp-10-0", "gmp-scratch-e-10-0"):
        one, other = (folder / "runs" / "ann" / name / "connectivity.safetensors" for folder in (grid, tmp_path))
        assert Connectivity.load(one) == Connectivity.load(other)


def test_runs_that_fail_are_reported(tmp_path, capsys):
    (tmp_path / "bad.toml").write_text(
        PROTOCOL.replace('"combined"', '"taylor"')
        .partition("[method")[0]
        .replace("lr = 0.01", "lr = 1e18")
        .replace("[0.2, 0.1]", '[0.1]\nsides = ["ann"]')
    )
    assert call(compare, tmp_path / "bad.toml", "--out", tmp_path / "runs", "--compile", "off") == 2
    message = capsys.readouterr().err
    assert "no run succeeded" in message
    assert "lower the learning rate" in message
    assert "has no connectivity: that run failed" in message


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(tmp_path, jobs):
    (tmp_path / "long.toml").write_text(
        PROTOCOL.replace("epochs = 2", "epochs = 400").partition("[method")[0].replace('"combined"', '"gradr"')
    )
    command = [sys.executable, "-m", "experiments.compare", tmp_path / "long.toml", "--out", tmp_path / "runs"]
    process = subprocess.Popen(
        [*map(str, command), "--jobs", str(jobs), "--compile", "off"],
        cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    running = tmp_path / "runs" / "snn" / "dense-100-0" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not running.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert "the same command goes on" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert (running.parent / "checkpoint.safetensors").is_file()


def test_a_comparison_of_nothing_pruned_has_a_table_alone(tmp_path):
    text = PROTOCOL.partition("[method")[0].replace('"dense", "gmp", "combined"', '"dense"')
    text = "\n".join(line for line in text.splitlines() if not line.startswith("control"))
    (tmp_path / "dense.toml").write_text(text)
    assert call(compare, tmp_path / "dense.toml", "--out", tmp_path / "runs", "--compile", "off") == 0
    assert "| dense |" in (tmp_path / "runs" / "results.md").read_text()
    assert not list((tmp_path / "runs").glob("*.png"))


def test_transfer_must_know_the_method(tmp_path, capsys):
    text = "\n".join(line for line in PROTOCOL.splitlines() if not line.startswith("control"))
    (tmp_path / "p.toml").write_text(text)
    assert call(transfer, tmp_path / "p.toml", "--out", tmp_path / "runs") == 2
    assert "has no control_of: give --method, one of dense, gmp, combined" in capsys.readouterr().err


# --- The protocol


def test_what_the_grid_asks_for(tmp_path):
    runs = list(protocol(controls=["scratch-b"], control_of="gmp", seeds=[3]).runs(tmp_path))
    assert [(r.side, r.method, r.density) for r in runs[:3]] == [
        ("snn", "gmp", 0.1),
        ("snn", "gmp", 0.05),
        ("snn", "dense", 1.0),
    ]
    assert [r.method for r in runs[6:]] == ["gmp-scratch-b"] * 4
    assert {r.config.epochs for r in runs[6:]} == {4}
    assert {(r.config.neuron, r.side) for r in runs} == {("lif", "snn"), ("relu", "ann")}


def test_the_committed_protocols_are_right():
    for path in (ROOT / "experiments" / "protocols").glob("*.toml"):
        assert len(list(read_protocol(path).runs("runs"))) > 8


@pytest.mark.parametrize("name", ["mnist", "mnist-gmp", "mnist-transfer", "fashion-mnist"])
def test_the_committed_tables_are_whole_and_follow_from_their_rows(name):
    asked = read_protocol(ROOT / "experiments" / "protocols" / f"{name.removesuffix('-transfer')}.toml")
    if name.endswith("-transfer"):
        asked = transfer.both_ways(asked, "gmp")
    rows = read_results(ROOT / "docs" / "results" / f"{name}.csv")
    cells = [(run.method, run.side, run.density, run.seed) for run in asked.runs("")]
    assert [(row.method, row.side, row.density, row.seed) for row in rows] == cells
    page = (ROOT / "docs" / "results" / f"{name}.md").read_text()
    for side in asked.sides:
        here = [row for row in rows if row.side == side]
        assert table(here) in page
        assert "\n".join(sentences(here)) in page


def test_the_pressure_of_deep_r_can_be_compared():
    runs = protocol(methods=["deepr", "pressed"], method={"pressed": {"method": "deepr", "alpha": 0.01}}).runs("")
    assert {(r.method, r.config.alpha, r.config.density) for r in runs} == {
        (method, alpha, density) for method, alpha in (("deepr", None), ("pressed", 0.01)) for density in (0.1, 0.05)
    }


def test_what_goes_wrong_with_one_run_is_not_the_others_trouble(tmp_path, monkeypatch, capsys):
    execute = grid_of_runs.execute

    def fail(config, runtime):
        if config.method == "gmp":
            raise MemoryError("no room")
        execute(config, runtime)

    monkeypatch.setattr(grid_of_runs, "execute", fail)
    text = PROTOCOL.partition("[method")[0].replace('"dense", "gmp", "combined"', '"gmp", "random"')
    text = "\n".join(line for line in text.splitlines() if not line.startswith("control"))
    (tmp_path / "p.toml").write_text(text.replace("[0.2, 0.1]", '[0.1]\nsides = ["ann"]'))
    assert call(compare, tmp_path / "p.toml", "--out", tmp_path / "runs", "--compile", "off") == 2
    message = capsys.readouterr()
    assert "1 of 2 runs failed and are not in the table" in message.err
    assert "gmp-10-0: MemoryError: no room" in message.err
    assert "| random |" in message.out


def test_a_chip_can_be_one_methods_own_or_for_all():
    own = protocol(method={"gmp": {"chip": "truenorth"}})
    assert {(run.method, run.config.chip) for run in own.runs("")} == {("gmp", "truenorth"), ("dense", None)}
    shared = {"run": RUN | {"chip": "loihi1"}, "controls": ["scratch-e"], "control_of": "gmp"}
    chips = {run.method: run.config.chip for run in protocol(**shared).runs("")}
    assert chips == {"gmp": "loihi1", "dense": None, "gmp-scratch-e": None}  # what is given is not pruned again
    both = protocol(methods=["gmp", "gradr"], run=RUN | {"chip": "loihi1"}, method={"gmp": {"chip": "truenorth"}})
    assert {(run.method, run.config.chip) for run in both.runs("")} == {("gmp", "truenorth"), ("gradr", "loihi1")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": []}, "methods must be a list with one entry or more"),
        ({"seeds": 3}, "seeds must be a list"),
        ({"sides": ["snn", "cnn"]}, "sides has unknown cnn: known are snn, ann"),
        ({"controls": ["luck"]}, "controls has unknown luck: known are shuffled, scratch-e, scratch-b, transfer"),
        ({"controls": ["shuffled"]}, "controls need control_of, one of the methods gmp, dense: found None"),
        ({"controls": ["transfer"], "control_of": "gmp", "sides": ["snn"]}, "transfer needs both sides"),
        ({"densities": [1.0]}, "densities must be between 0 and 1, found 1.0"),
        ({"run": {"method": "gmp"}}, r"\[run\] has unknown method"),
        ({"run": {"epoch": 3}}, r"\[run\] has unknown epoch: known are model, data"),
        ({"method": {"gmp": {"epochs": 30}}}, r"\[method.gmp\] has unknown epochs: known are method, alpha"),
        ({"method": {"snip": {}}}, r"\[method.snip\] is not among the methods gmp, dense"),
        ({"methods": ["gmpp"]}, "unknown method 'gmpp'"),
        ({"methods": ["gmp", "gmp"]}, "methods has gmp twice"),
        ({"densities": [0.1, 0.05, 0.1000000001]}, "densities has 10 % twice"),
        ({"densities": ["0.1"]}, "densities must be between 0 and 1, found '0.1'"),
        ({"seeds": [-1]}, "seeds must be whole numbers from 0 on, found -1"),
        ({"run": 3}, "run must be a table, found 3"),
        ({"title": 5}, "title must be text of one line, at most 300 characters, found 5"),
        ({"title": "a\x1b[31m"}, "title must be text of one line"),
        ({"title": ""}, "title must be text"),
        ({"methods": [1]}, "methods must be text of one line, at most 300 characters, found 1"),
        ({"methods": "gmp"}, "methods must be a list with one entry or more, found 'gmp'"),
        ({"methods": {"gmp": 1}}, "methods must be a list"),
        ({"sides": [[1]]}, r"sides must be text of one line, at most 300 characters, found \[1\]"),
        ({"sides": ["snn", "snn"]}, "sides has snn twice"),
        ({"sides": [{}]}, "sides must be text"),
        ({"controls": ["shuffled", "shuffled"], "control_of": "gmp"}, "controls has shuffled twice"),
        ({"controls": "shuffled"}, "controls must be a list, found 'shuffled'"),
        ({"control_of": ["gmp"]}, "control_of must be text"),
        ({"seeds": [True]}, "seeds must be whole numbers from 0 on, found True"),
        ({"seeds": [10**30]}, "seeds must be below"),
        ({"seeds": [1, 1]}, "seeds has 1 twice"),
        ({"seeds": list(range(10**4))}, "the protocol has 80,000 runs, more than 20,000"),
        ({"densities": [True]}, "densities must be between 0 and 1, found True"),
        ({"densities": [math.inf]}, "densities must be between 0 and 1, found inf"),
        ({"densities": [math.nan]}, "densities must be between 0 and 1, found nan"),
        ({"method": {"gmp": 3}}, r"\[method.gmp\] must be a table, found 3"),
        ({"method": {"gmp": {"method": ["gmp"]}}}, r"\[method.gmp\] must have the name of a method, found \['gmp'\]"),
        ({"method": {"gmp": {"options": 3}}}, "--option must be a mapping, found 3"),
        ({"methods": ["../gmp"], "method": {"../gmp": {"method": "gmp"}}}, "cannot be the name of a folder"),
        ({"methods": ["a/b"], "method": {"a/b": {"method": "gmp"}}}, "methods has 'a/b', which cannot be the name"),
        ({"methods": ["a\\b"], "method": {"a\\b": {"method": "gmp"}}}, "cannot be the name of a folder"),
        ({"methods": [".."], "method": {"..": {"method": "gmp"}}}, "cannot be the name of a folder"),
        ({"methods": ["é" * 100], "method": {"é" * 100: {"method": "gmp"}}}, "cannot be the name of a folder"),
        ({"methods": ["a\nb"], "method": {"a\nb": {"method": "gmp"}}}, "methods must be text of one line"),
        ({"methods": ["a" * 400]}, "methods must be text of one line, at most 300"),
        (
            {"methods": ["a-transfer"], "method": {"a-transfer": {"method": "gmp"}}},
            "names that end in -shuffled, .* are",
        ),
        ({"methods": ["gradr"], "method": {"gradr": {"alpha": 0.1}}}, "with it gradr ends at a density of its own"),
    ],
)
def test_a_wrong_protocol_is_reported_in_one_line(changes, message):
    with pytest.raises(InputError, match=message) as error:
        protocol(**changes)
    assert "\n" not in str(error.value)


def test_an_environment_that_is_missing_or_damaged_does_not_keep_the_results(grid, tmp_path, caplog):
    results = [Result("gmp", "snn", 0.1, seed, 0.9, 1.0, tmp_path / str(seed)) for seed in range(5)]
    contents = [
        None,
        "{",
        '{"torch": 3, "gpu": [], "date": 5}',
        '{"torch": "9.9", "processor": "P", "date": "2026-01-02"}',
    ]
    resumed = '{"torch": "8.8", "gpu": "G", "date": "2026-01-01", "resumed": [{"torch": "9.9", "gpu": "H"}, 3]}'
    for result, content in zip(results, [*contents, resumed], strict=True):
        result.folder.mkdir()
        if content is not None:
            (result.folder / "environment.json").write_text(content)
    words = measured_with([result.folder for result in results])
    assert words == (
        "torch of an unknown version and 9.9 and 8.8, an unknown machine and P and G and H, 2026-01-01 to 2026-01-02"
    )
    assert measured_with([tmp_path]).endswith("an unknown machine, an unknown day")


def test_a_damaged_summary_is_found_before_anything_runs(grid, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "runs"
    shutil.copytree(grid / "runs", folder)
    (folder / "snn" / "gmp-10-0" / "summary.json").write_text('{"accuracy": 7}')
    shutil.rmtree(folder / "snn" / "gmp-20-0")
    monkeypatch.setattr(grid_of_runs, "execute", lambda *_: pytest.fail("a run was started"))
    assert call(compare, grid / "digits.toml", "--out", folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "gmp-10-0/summary.json is damaged: accuracy is 7" in line


HEAD = "method,side,density,seed,accuracy,seconds\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method,side,density,seed,accuracy,seconds,more\ngmp,snn,0.1,0,0.9,1,2\n", "KeyError\\('more'\\)"),
        (HEAD + "gmp,snn,0.1,0,0.9\n", "is no table"),
        (HEAD + "gmp,snn,0.1,0,0.9,1,2\n", "is no table"),
        (HEAD + ",snn,0.1,0,0.9,1\n", "method ''"),
        (HEAD + "a\x1b,snn,0.1,0,0.9,1\n", "is no table"),
        (HEAD + "gmp,tnn,0.1,0,0.9,1\n", "side 'tnn'"),
        (HEAD + "gmp,snn,1.1,0,0.9,1\n", "'1.1', expected a number from 0 to 1"),
        (HEAD + "gmp,snn,nan,0,0.9,1\n", "'nan', expected"),
        (HEAD + "gmp,snn,0.1,0,inf,1\n", "'inf', expected"),
        (HEAD + "gmp,snn,0.1,0.5,0.9,1\n", "'0.5', expected"),
        (HEAD + "gmp,snn,0.1,-1,0.9,1\n", "'-1', expected"),
        (HEAD + "gmp,snn,0_1,0,0.9,1\n", "'0_1', expected"),
        (HEAD + "gmp,snn,0.1,0,0.9,1e400\n", "'1e400', expected"),
        (HEAD + "gmp,snn,0.1,0,0.9,1\n" * 2, "has two rows of gmp, snn, 0.1, 0: leave one out"),
        (HEAD + 'gmp,snn,0.1,0,0.9,"1\n', "unexpected end of data"),
        (HEAD + "x" * 200_000 + ",snn,0.1,0,0.9,1\n", "field larger than field limit"),
    ],
)  # fmt: skip
def test_numbers_in_a_table_are_checked(text, message, tmp_path):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_results(tmp_path / "r.csv")
    assert str(error.value).isprintable()


def test_times_that_are_not_known_are_empty_cells(tmp_path):
    (tmp_path / "r.csv").write_text(HEAD + "gmp,snn,0.1,0,0.9,\n")
    assert read_results(tmp_path / "r.csv")[0].seconds is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods = [", "is not TOML"),
        ("colour = 'red'\n" + PROTOCOL, "the protocol has unknown colour: known are title, methods"),
    ],
)
def test_a_wrong_file_is_reported_by_name(text, message, tmp_path, capsys):
    (tmp_path / "p.toml").write_text(text)
    assert call(compare, tmp_path / "p.toml") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "p.toml" in error


def test_runs_and_tables_are_below_the_current_folder_where_nothing_is_said(tmp_path, monkeypatch):
    (tmp_path / "small.toml").write_text(PROTOCOL)
    monkeypatch.chdir(tmp_path)

    def carry_out(runs, _options) -> list[str]:
        for run in runs:
            run.folder.mkdir(parents=True)
            summary = {
                "accuracy": 0.5,
                "density": 0.1,
                "nonzero": 1,
                "prunable": 10,
                "seconds": 1.0,
                "evaluated_on": "test",
            }
            (run.folder / "summary.json").write_text(json.dumps(summary))
        return []

    monkeypatch.setattr(grid_of_runs, "run_all", carry_out)
    assert call(compare, "small.toml") == 0
    below = sorted(path.name for path in (tmp_path / "runs" / "small").iterdir())
    assert below == ["ann", "results-accuracy.png", "results.csv", "results.md", "snn"]
    assert (tmp_path / "runs" / "small" / "snn" / "gmp-20-0" / "summary.json").is_file()


def test_a_missing_file_and_no_jobs(tmp_path, capsys):
    assert call(compare, tmp_path / "none.toml") == 2
    assert "does not exist: give a protocol file" in capsys.readouterr().err
    (tmp_path / "p.toml").write_text(PROTOCOL)
    assert call(compare, tmp_path / "p.toml", "--jobs", "0") == 2
    assert "--jobs must be 1 or more, found 0" in capsys.readouterr().err


# --- The verdict


def results(**methods: list[float]) -> list[Result]:
    """At 10 % on the spiking side, in percent."""
    return [
        Result(name.replace("_", "-"), "snn", 0.1, seed, value / 100, 1.0, Path())
        for name, values in methods.items()
        for seed, value in enumerate(values)
    ]


def test_the_best_and_its_lead_by_hand():
    # means 98 and 97, spreads 0.1 and 0.1; t with 4 degrees of freedom is 2.776: 2.776 * sqrt(2 * 0.01 / 3) = 0.23
    rows = results(a=[97.9, 98.0, 98.1], b=[96.9, 97.0, 97.1])
    (line,) = sentences(rows)
    assert line == "- At 10 % **a** is best (98.00 ± 0.10 %), 1.00 points ahead of b: more than the margin (0.23)."
    assert "| a | **98.00 ± 0.10** |" in table(rows)
    assert "| b | 97.00 ± 0.10 |" in table(rows)


def test_methods_that_are_not_distinguishable_are_named_and_the_best_is_not_bold():
    # a has a spread of 0.28 and b none: t with one degree of freedom is 12.71, 12.71 * sqrt(0.08 / 2) = 2.54
    rows = results(b=[97.9, 97.9], a=[97.8, 98.2], c=[97.0, 98.6], d=[90.0, 90.1])
    (line,) = sentences(rows)
    assert line.startswith("- At 10 % a has the highest mean")
    assert "0.10 points ahead of b: within the margin (2.54). Not distinguishable from it: b, c." in line
    assert "**" not in table(rows) + line


def test_a_method_that_varies_is_named_although_the_second_is_behind():
    (line,) = sentences(results(a=[98.0, 98.0], b=[97.0, 97.0], c=[90.0, 99.0]))
    assert line.endswith("1.00 points ahead of b: more than the margin (0.00). Not distinguishable from it: c.")


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(2, 6))
def test_the_margin_is_that_of_welchs_test(seed, n, m):
    numbers = np.random.default_rng(seed)
    first, second = numbers.normal(98, 0.1, n).tolist(), numbers.normal(98, 0.3, m).tolist()
    apart = ttest_ind(first, second, equal_var=False).pvalue < 0.05
    assert distinguishable(first, second) == apart


def test_without_any_spread_every_difference_counts():
    assert distinguishable([98.0, 98.0], [97.9, 97.9])
    assert not distinguishable([98.0, 98.0], [98.0, 98.0])


def test_one_seed_says_nothing_of_differences():
    rows = results(a=[98.0], b=[97.0])
    assert sentences(rows) == ["- At 10 % there is one seed: differences between methods are not tested."]
    assert "**" not in table(rows)
    assert sentences(results(a=[98.0], b=[97.0, 97.0])) == sentences(rows)


def test_controls_never_win_and_a_lone_method_exceeds_none():
    rows = results(a=[90.0, 91.0], a_scratch_e=[99.0, 99.0])
    assert sentences(rows) == []
    assert "| a | 90.50 ± 0.71 |" in table(rows)
    assert "| a-scratch-e | 99.00 ± 0.00 |" in table(rows)


def transferred(own: list[float], came: list[float]) -> str:
    """The line about a transfer at 10 % to the spiking side."""
    rows = results(gmp_scratch_e=own, gmp_transfer=came, gmp_shuffled=[90.0] * len(own))
    (line,) = transfer.verdicts(transfer.both_ways(protocol(densities=[0.1]), "gmp"), rows)
    return line


def test_a_transfer_is_judged_by_the_margin_and_not_with_one_seed():
    start = "- spiking network, 10 %: found on the ANN twin"
    assert transferred([98.0], [97.0]) == f"{start} 97.00 %, found here 98.00 %; drawn at random 90.00 %."
    assert f"{start} 97.05 ± 0.07 %, worse than that found here (98.00 ± 0.00 %) by more than" in transferred(
        [98.0, 98.0], [97.0, 97.1]
    )
    assert "better than that found here" in transferred([97.0, 97.0], [98.0, 98.0])
    assert "%, within the margin of that found here (97.50 ± 0.71 %); drawn" in transferred([97.0, 98.0], [97.0, 99.0])


# --- Pictures


def test_layers_and_masks_are_drawn_from_three_methods_on(tmp_path):
    made = results(a=[90.0, 91.0], b=[90.0, 91.0], c=[90.0, 91.0])
    # densities as they come from files: equal, and each a number of its own
    made = [replace(r, folder=tmp_path / f"{r.method}{r.seed}", density=float(str(r.density))) for r in made]
    for result in made:
        result.folder.mkdir()
        Connectivity({"fc.weight": torch.rand(5, 5) < 0.3}).save(result.folder / "connectivity.safetensors")
    asked = protocol(methods=list("abc"), method={name: {"method": "gmp"} for name in "abc"})
    draw_results(tmp_path / "two", asked, made[:4])
    draw_results(tmp_path / "three", asked, made)
    names = ["three-accuracy.png", "three-layers.png", "three-masks.png", "two-accuracy.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == names


def test_a_table_is_drawn_again_by_the_script(tmp_path, capsys):
    table_of = ROOT / "docs" / "results" / "mnist.csv"
    (tmp_path / "r.csv").write_bytes(table_of.read_bytes())
    (tmp_path / "r.md").write_text("# A title\n")
    assert call(draw, tmp_path / "r.csv") == 0
    options = ["--methods", "gradr", "gmp", "--title", "Two", "--out", tmp_path / "b.svg"]
    assert call(draw, tmp_path / "r.csv", *options) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'r-accuracy.png'}\nwrote {tmp_path / 'b.svg'}\n"
    plot_comparison(
        [vars(row) for row in read_results(table_of)], title="Two", methods=["gradr", "gmp"], path=tmp_path / "c.svg"
    )
    assert (tmp_path / "b.svg").read_bytes() == (tmp_path / "c.svg").read_bytes()


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (None, [], "no table at r.csv: give the path of one"),
        ("method,side\ngmp,snn\n", [], "is no table of a comparison (KeyError('density'))"),
        ("method,side,density,seed,accuracy,seconds\ngmp,snn,much,0,0.9,1\n", [], "its columns must be method, side"),
        ("method,side,density,seed,accuracy,seconds\ngmp,snn,0.1,0,0.9,1\n", ["--methods", "set"], "no method 'set'"),
        ("method,side,density,seed,accuracy,seconds\ngmp,snn,0.1,0,0.9,1\n", ["--out", "a.gif"], "choose one of .png"),
    ],
)
def test_a_table_that_cannot_be_drawn_is_one_line(content, options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / "r.csv").write_text(content)
    assert call(draw, "r.csv", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ([] if content is None else ["r.csv"])


# --- On real digits


MNIST = """
methods = ["gmp"]
densities = [0.015]
sides = ["snn"]
seeds = [0]
controls = ["shuffled"]
control_of = "gmp"
run = { model = "mnist-mlp", data = "mnist", epochs = 1 }
"""


def test_which_synapses_are_kept_matters_on_mnist(data_root, tmp_path):
    (tmp_path / "short.toml").write_text(MNIST)
    assert call(compare, tmp_path / "short.toml", "--out", tmp_path, "--data-root", data_root, "--compile", "off") == 0
    rows = csv.DictReader((tmp_path / "results.csv").read_text().splitlines())
    accuracy = {row["method"]: float(row["accuracy"]) for row in rows}
    assert accuracy["gmp"] > accuracy["gmp-shuffled"] + 0.05
    found = Connectivity.load(tmp_path / "snn" / "gmp-1.5-0" / "connectivity.safetensors")
    assert found.nonzero == round(0.015 * 635_200)
