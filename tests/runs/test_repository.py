"""Only an option that is typed now imports code from the current folder."""

import subprocess
import sys
from pathlib import Path

import pytest

import models
from snnprune import InputError
from snnprune.runs import repository

TRAP = "from pathlib import Path; Path(__file__).with_suffix('.ran').touch(); raise SystemExit('trap')\n"
OLD_RUN = Path(__file__).parents[1] / "data" / "run-0"


def trapped(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / f"{name}.py").write_text(TRAP)
    return folder


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)


def test_the_command_imports_nothing_from_the_current_folder(tmp_path):
    trapped(tmp_path, "models", "torch", "numpy", "spikingjelly", "matplotlib", "argparse", "sklearn")
    out = tmp_path / "out"
    report = command("-m", "snnprune", "report", OLD_RUN, "--chip", "odin", "--samples", 5, "--out", out, cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert (out / "report.json").is_file()
    assert not list(tmp_path.glob("*.ran"))


def test_a_typed_model_is_imported_from_there_and_takes_no_other_modules_place(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import json, torch\n"
        "def make(classes): return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16, bias=False),\n"
        "    torch.nn.ReLU(), torch.nn.Linear(16, classes, bias=False))\n"
    )
    trapped(tmp_path, "json", "models")
    arguments = ["report", OLD_RUN, "--model", "mine:make", "--samples", 5, "--chip", "odin", "--out", tmp_path / "out"]
    report = command("-m", "snnprune", *arguments, cwd=tmp_path)
    assert "is of another network" in report.stderr  # found and called; the weights are those of another
    assert report.returncode == 2
    assert not list(tmp_path.glob("*.ran"))


def test_the_models_are_those_beside_the_package(monkeypatch):
    assert repository.repository_models() is models
    other = type(sys)("models")
    other.__file__ = "/elsewhere/models.py"
    monkeypatch.setitem(sys.modules, "models", other)
    found = repository.repository_models()
    assert found.names() == models.names()
    assert sys.modules["models"] is other
    assert repository.repository_models() is found


def test_a_wheel_has_no_models(monkeypatch, tmp_path):
    monkeypatch.setattr(repository, "_FOLDER", tmp_path / "models")
    monkeypatch.delitem(sys.modules, "snnprune_repository_models", raising=False)
    with pytest.raises(InputError, match=r"not part of the installed package: pass --model package\.module:factory"):
        repository.repository_models()
