"""Run folders written before the library was laid out anew (commit 8bf79d4) are read and resumed."""

import json
import shutil
from pathlib import Path

import torch

from experiments import train
from snnprune import Connectivity
from snnprune.cli import main

DATA = Path(__file__).parents[1] / "data"


def test_an_old_run_that_was_stopped_goes_on_to_the_same_end(tmp_path):
    shutil.copytree(DATA / "run-0-stopped", tmp_path / "run")
    assert train.main(["--resume", "--out", str(tmp_path / "run"), "--device", "cpu", "--quiet"]) == 0
    ours = Connectivity.load(tmp_path / "run" / "connectivity.safetensors")
    theirs = Connectivity.load(DATA / "run-0" / "connectivity.safetensors")
    assert ours == theirs
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (tmp_path / "run", DATA / "run-0")]
    assert abs(summaries[0]["accuracy"] - summaries[1]["accuracy"]) < 0.01
    assert summaries[0].keys() >= summaries[1].keys()
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 4


def test_an_old_run_is_reported(tmp_path, capsys):
    shutil.copytree(DATA / "run-0", tmp_path / "run")
    torch.manual_seed(0)
    assert main(["report", str(tmp_path / "run"), "--chip", "truenorth", "--samples", "20"]) == 0
    assert "118  1,184" in capsys.readouterr().out
    report = json.loads((tmp_path / "run" / "report" / "report.json").read_text())
    assert report["run"]["method"] == "movement"
    assert report["connectivity"]["nonzero"] == 118
