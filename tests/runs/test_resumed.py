"""A run that is resumed is the run that was stopped, or it is refused: every option, every row, every file."""

import json
import logging
import shutil
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from experiments import quickstart, train
from snnprune import InputError
from snnprune.cli import main as command
from snnprune.runs import read_run
from snnprune.runs.config import Config
from snnprune.runs.guard import guard
from snnprune.runs.options import Parser
from snnprune.runs.summary import read_summary
from snnprune.training import RunFolder

OPTIONS = ["--model", "64-12-10", "--data", "digits", "--images", "256", "--epochs", "3", "--batch-size", "64"]
OPTIONS += ["--timesteps", "2", "--density", "0.2", "--device", "cpu", "--quiet"]
SAME = ("checkpoint.safetensors", "connectivity.safetensors", "connectivity.npz", "config.json")
# Field of a config -> another valid value.
OTHER: dict[str, Any] = {
    "model": "64-13-10", "data": "mnist", "images": 257, "method": "set", "density": 0.25, "alpha": 0.1,
    "criterion": "taylor", "allocation": "erk", "schedule": "linear", "chip": "odin", "calibration": 256,
    "options": {"settle": 0.3}, "epochs": 4, "batch_size": 32, "lr": 0.002, "hold": 0.7, "weight_decay": 0.01,
    "loss": "ce", "timesteps": 3, "neuron": "relu", "augment": "affine", "precision": "bf16", "validation": 20,
    "seed": 1,
}  # fmt: skip


def call(*arguments: str | Path) -> int:
    return train.main([str(argument) for argument in arguments])


def resume(folder: Path) -> int:
    return call("--resume", "--out", folder, "--device", "cpu", "--quiet")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert call(*OPTIONS, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def half(tmp_path_factory) -> Path:
    """A run that was stopped after its second epoch."""
    folder, epochs = tmp_path_factory.mktemp("half") / "run", []
    with pytest.MonkeyPatch.context() as patched:
        add = RunFolder.add_row
        patched.setattr(RunFolder, "add_row", lambda self, row: add(self, row) or epochs.append(row))
        patched.setattr("snnprune.runs.run._stop_on_request", stop_when(lambda: len(epochs) == 2))
        assert call(*OPTIONS, "--out", folder) == 130
    return folder


def stop_when(reached: Any) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def stop(_seconds: float | None) -> Any:
        yield reached

    return stop


@pytest.fixture
def run(half, tmp_path) -> Path:
    return Path(shutil.copytree(half, tmp_path / "run"))


def edit(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_every_field_has_another_value_here():
    assert OTHER.keys() == {entry.name for entry in fields(Config)}


def test_a_copy_goes_on_to_the_same_end(run, whole):
    assert resume(run) == 0
    for name in SAME:
        assert (run / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("field", OTHER)
def test_a_config_in_which_one_value_was_changed_is_not_resumed(field, run, capsys):
    before = (run / "checkpoint.safetensors").read_bytes()
    edit(run / "config.json", **{field: OTHER[field]})
    assert resume(run) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert (run / "checkpoint.safetensors").read_bytes() == before
    assert not (run / "summary.json").exists()


def test_a_config_that_is_written_otherwise_is_the_same(run, whole):
    content = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(dict(reversed(content.items())) | {"weight_decay": 0}))
    assert resume(run) == 0
    assert (run / "connectivity.npz").read_bytes() == (whole / "connectivity.npz").read_bytes()


@pytest.mark.parametrize("field", ["timesteps", "neuron", "seed"])
def test_a_finished_run_whose_config_was_changed_is_neither_shown_nor_read(field, whole, tmp_path, capsys):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    edit(run / "config.json", **{field: OTHER[field]})
    assert resume(run) == 2
    assert "is of a run with another config" in capsys.readouterr().err
    assert command(["report", str(run), "--samples", "5"]) == 2
    assert "is of a run with another config" in capsys.readouterr().err
    with pytest.raises(InputError, match="is of a run with another config"):
        read_run(run)


def test_other_options_than_those_of_the_folder_are_refused_by_every_script(tmp_path, capsys):
    assert quickstart.main(["--out", str(tmp_path), "--epochs", "1"]) == 0
    assert quickstart.main(["--out", str(tmp_path), "--epochs", "1"]) == 0
    capsys.readouterr()
    assert quickstart.main(["--out", str(tmp_path), "--epochs", "2"]) == 2
    assert "has --epochs 1: resume it with the same options" in capsys.readouterr().err


# --- Rows


@pytest.mark.parametrize("line", [0, 1])
@pytest.mark.parametrize(
    ("old", "new"), [('"epoch"', '"epoch'), ('"density": 0', '"density": 1'), ("}", ', "x": "\\u001b[31m"}'), ("{", "")]
)
def test_a_damaged_row_is_not_resumed(line, old, new, run, capsys):
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    rows[line] = rows[line].replace(old, new, 1)
    (run / "metrics.jsonl").write_text("".join(rows))
    assert resume(run) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert f"metrics.jsonl, line {line + 1}" in message
    assert "\x1b" not in message


@pytest.mark.parametrize("left", [0, 1])
def test_rows_that_are_lost_are_restored(left, run, whole):
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(rows[:left]))
    if not left:
        (run / "metrics.jsonl").unlink()
    assert resume(run) == 0
    found, expected = RunFolder(run).rows(), RunFolder(whole).rows()
    assert [{**row, "seconds": 0} for row in found] == [{**row, "seconds": 0} for row in expected]
    assert [row["seconds"] is None for row in found] == [epoch > left for epoch in (1, 2)] + [False]
    known = sum(row["seconds"] for row in found if row["seconds"] is not None)
    assert json.loads((run / "summary.json").read_text())["seconds"] == known


def test_a_run_whose_times_are_all_lost_is_finished(whole, tmp_path, capsys):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    for name in ("metrics.jsonl", "summary.json", "connectivity.npz"):
        (run / name).unlink()
    assert resume(run) == 0
    assert "an unknown time; everything is in" in capsys.readouterr().out
    assert json.loads((run / "summary.json").read_text())["seconds"] is None
    assert (run / "connectivity.npz").read_bytes() == (whole / "connectivity.npz").read_bytes()
    assert resume(run) == 0


# --- Other files


def test_another_number_of_threads_is_warned_of(run, capsys, caplog):
    edit(run / "environment.json", threads=99)
    with caplog.at_level(logging.WARNING):
        assert resume(run) == 0
    assert "in place of 99: the result may differ in bits from that of one go" in caplog.text
    (entry,) = json.loads((run / "environment.json").read_text())["resumed"]
    assert entry["threads"] != 99


def test_a_lost_environment_is_written_again(run):
    (run / "environment.json").unlink()
    assert resume(run) == 0
    assert "torch" in json.loads((run / "environment.json").read_text())


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("accuracy", 1.5), ("accuracy", True), ("accuracy", "0.9"), ("accuracy", None), ("nonzero", 10**9),
        ("nonzero", 0.5), ("density", -1), ("evaluated_on", 3), ("seconds", -1), ("layers", []), ("chip", {}),
        ("chip", {"name": 1, "verdict": "fits", "reasons": []}), ("connections", 10**12), ("dead_neurons", 3),
    ],
)  # fmt: skip
def test_a_damaged_summary_is_one_line(entry, value, whole, tmp_path, capsys):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    edit(run / "summary.json", **{entry: value})
    with pytest.raises(InputError, match=rf"summary\.json is damaged: {entry} is"):
        read_summary(RunFolder(run))
    assert resume(run) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_report_is_not_written_through_a_link_in_a_foreign_folder(whole, tmp_path, capsys):
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    (tmp_path / "mine").write_text("mine")
    (run / "report").mkdir()
    (run / "report" / "report.html").symlink_to(tmp_path / "mine")
    assert command(["report", str(run), "--samples", "5", "--chip", "odin"]) == 2
    assert "is a link to" in capsys.readouterr().err
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_run_is_not_resumed_through_a_link_in_a_foreign_folder(run, tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    for name in (".metrics.jsonl.part", ".checkpoint.safetensors.part", "summary.json", "figures"):
        (run / name).symlink_to(tmp_path / "mine")
        assert resume(run) == 2
        assert "is a link to" in capsys.readouterr().err
        (run / name).unlink()
    assert (tmp_path / "mine").read_text() == "mine"


# --- What is shown


def test_control_characters_of_names_are_escaped_wherever_they_are_shown(run, tmp_path, capsys):
    strange = tmp_path / "a\x1b[31m\nb"
    run.rename(strange)
    assert resume(strange) == 0
    edit(strange / "summary.json", evaluated_on="\x1b]0;x\x07", chip={"name": "\x1b", "verdict": "\r", "reasons": [3]})
    assert resume(strange) == 0
    assert call("--resume", "--out", f"{tmp_path}/none\x1b[2J") == 2
    with pytest.raises(SystemExit):
        Parser(prog="x").parse_args(["--a\x1b[2J"])
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "\\x1b[2J" in shown.err


def test_warnings_of_scripts_are_escaped(capsys):
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        assert guard(lambda: logging.getLogger("x").warning("layer %s", "a\x1b[2J")) == 0
    finally:
        root.handlers = before
    assert capsys.readouterr().err == "layer a\\x1b[2J\n"
