"""The page of a report, in a real browser."""

import base64
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import models
from experiments import train
from snnprune import Connectivity, InputError, budget, cli, geometry, report
from snnprune.report.run.fans import plot_fans
from tests.report import browser

needs_browser = pytest.mark.skipif(browser.PATH is None, reason="no browser: apt install chromium")
TABLES = "const [chips, layers] = document.querySelectorAll('table');"
# The text of a column, and what its head says of the order.
COLUMN = "[...{table}.tBodies[0].rows].map(row => row.cells[{index}].textContent)"
ORDERS = "[...{table}.querySelectorAll('th')].map(head => head.getAttribute('aria-sort'))"
ORDER = ["fits by size", "needs more chips", "cannot"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    options = ["--model", "digits-mlp", "--data", "digits", "--epochs", "1", "--timesteps", "2", "--density", "0.1"]
    assert train.main([*options, "--out", str(folder / "run")]) == 0
    assert cli.main(["report", str(folder / "run"), "--out", str(folder / "out"), "--samples", "50"]) == 0
    return folder / "out" / "report.html"


def test_the_page_asks_for_nothing_outside_of_itself(page):
    text = page.read_text()
    assert "default-src 'none'" in text
    assert set(re.findall(r"(?:src|href)=['\"]?([^'\" >]{0,5})", text)) == {"data:"}
    assert not re.search(r"https?://", text)


def test_what_pruning_does_not_save_is_said(page):
    text = page.read_text()
    assert "brainscales2, odin, speck, tianjic, truenorth: Pruning single synapses saves no memory there" in text
    assert "zero weights cost nothing: the hardware skips every one of them" in text


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    with browser.Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def column(chromium: browser.Browser, table: str, index: int) -> list[str]:
    """The cells of a column of the "chips" or the "layers", from the top."""
    return chromium.evaluate(f"(() => {{ {TABLES} return {COLUMN.format(table=table, index=index)} }})()")


def orders(chromium: browser.Browser, table: str) -> list[str]:
    """How each column is sorted, by aria-sort."""
    return chromium.evaluate(f"(() => {{ {TABLES} return {ORDERS.format(table=table)} }})()")


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_nothing_overflows_and_all_pictures_show(width, dark, page, chromium):
    chromium.visit(page, width=width, dark=dark)
    assert chromium.errors == []
    assert chromium.evaluate("innerWidth") == width
    assert chromium.evaluate("document.scrollingElement.scrollWidth") <= width
    pictures = chromium.evaluate("[...document.images].map(image => [image.alt, image.naturalWidth])")
    assert [alt for alt, _ in pictures] == ["Fan-in and fan-out", "Connectivity of fc1", "Connectivity of fc2"]
    assert all(pixels > 100 for _, pixels in pictures)
    paper = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", paper))) < 200) == dark
    assert chromium.evaluate("getComputedStyle(document.images[0]).backgroundColor") == "rgb(255, 255, 255)"


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_tables_are_sorted_by_keyboard(width, page, chromium):
    chromium.visit(page, width=width)
    ranks = [ORDER.index(text[2:]) for text in column(chromium, "chips", 1)]
    assert ranks == sorted(ranks)
    assert orders(chromium, "chips") == ["none", "ascending", "none", "none", "none"]
    chromium.press("Tab")  # the box of the table, which scrolls
    chromium.press("Tab")
    assert chromium.evaluate("document.activeElement.textContent") == "chip"
    chromium.press("Enter")
    names = column(chromium, "chips", 0)
    assert names == sorted(names)
    assert orders(chromium, "chips") == ["ascending", "none", "none", "none", "none"]
    chromium.press(" ")
    assert column(chromium, "chips", 0) == names[::-1]
    assert orders(chromium, "chips")[0] == "descending"
    chromium.press("Tab")
    chromium.press(" ")
    assert [ORDER.index(text[2:]) for text in column(chromium, "chips", 1)] == ranks


@needs_browser
def test_numbers_are_sorted_as_numbers(tmp_path, chromium):
    network = torch.nn.Sequential(torch.nn.Linear(6, 30), torch.nn.Linear(30, 1), torch.nn.Linear(1, 4))
    report.save_page(budget.assess(network, torch.rand(2, 6), chips=["odin"]), tmp_path / "page.html")
    chromium.visit(tmp_path / "page.html", width=1280)
    assert column(chromium, "layers", 2) == ["180", "30", "4"]
    chromium.evaluate("document.querySelectorAll('table')[1].querySelectorAll('th button')[2].focus()")
    chromium.press("Enter")
    assert column(chromium, "layers", 2) == ["4", "30", "180"]
    assert orders(chromium, "layers")[2] == "ascending"


def test_the_lead_says_verdicts_cost_and_the_dense_accuracy(page, tmp_path):
    run = page.parents[1] / "run"
    lead = re.search(r"<p class=lead>(.*?)</p>", page.read_text())
    assert lead is not None
    assert re.match(r"Fits \d+ of 14 chips by size; [\d,]+ operations, [\d.]+ nJ a sample", lead[1])
    assert "(dense" not in page.read_text().split("<h2>")[0].replace("(dense ANN", "")
    options = ["--model", "digits-mlp", "--data", "digits", "--epochs", "1", "--timesteps", "2", "--method", "dense"]
    assert train.main([*options, "--out", str(tmp_path / "dense")]) == 0
    accuracy = json.loads((tmp_path / "dense" / "summary.json").read_text())["accuracy"]
    given = ["report", str(run), "--samples", "5", "--chip", "odin", "--out", str(tmp_path / "out")]
    assert cli.main([*given, "--dense", str(tmp_path / "dense")]) == 0
    assert f"(dense {accuracy:.2%})" in (tmp_path / "out" / "report.html").read_text()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["run"]["dense_accuracy"] == accuracy


def test_maps_of_a_run_are_not_drawn_anew(page, tmp_path, monkeypatch):
    run = page.parents[1] / "run"
    before = (run / "figures" / "connectivity-fc1.png").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr("snnprune.report.run.figures.plot_connectivity", None)
        assert cli.main(["report", str(run), "--samples", "5", "--chip", "odin", "--out", str(tmp_path)]) == 0
    assert base64.b64encode(before).decode() in (tmp_path / "report.html").read_text()
    # one that is damaged is drawn, and left as it is
    (tmp_path / "connectivity-fc1.png").write_text("no picture")
    kept = Connectivity.load(run / "connectivity.safetensors")
    network = models.build("digits-mlp", timesteps=2)
    pictures = report.report_pictures(kept, geometry(network), image_shape=(1, 8, 8), figures=tmp_path)
    assert pictures["Connectivity of fc1"] == before
    assert (tmp_path / "connectivity-fc1.png").read_text() == "no picture"


def deep() -> torch.nn.Module:
    sizes = [8, 7, 6, 5, 5, 4, 3]
    layers = [part for pair in pairwise(sizes) for part in (torch.nn.Linear(*pair), torch.nn.ReLU())]
    return torch.nn.Sequential(torch.nn.BatchNorm1d(8), *layers)


def test_a_page_of_any_network_with_folded_maps(tmp_path):
    network = deep()
    known = {"accuracy": 0.75, "dense_accuracy": 0.8}
    result = budget.assess(network, torch.rand(4, 8), chips=["odin", "truenorth"], run=known)
    pictures = report.report_pictures(Connectivity.from_network(network), geometry(network))
    report.save_page(result, tmp_path / "page.html", pictures=pictures)
    text = (tmp_path / "page.html").read_text()
    assert text.count("<details>") == len(pictures) - 2 == 5
    assert "normalisation folded into weights (BatchNorm1d)" in text
    assert "graded spikes into 3, 5, 7 and 2 other layers" in text
    assert re.search(r"<p class=lead>Fits \d of 2 chips by size; \d+ multiplications, ", text)
    assert "<p class=faint>75.00% accuracy (dense 80.00%), " in text
    assert "A network</h1>" in text
    with pytest.raises(InputError, match=r"takes the result of budget\.assess, found dict"):
        report.save_page({}, tmp_path / "other.html")
    with pytest.raises(InputError, match="does not exist"):
        report.save_page(result, tmp_path / "none" / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_fans_are_drawn_for_every_kind_of_layer(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Flatten(), torch.nn.Linear(12, 4))
    empty = Connectivity({**dict(Connectivity.dense(network)), "2.weight": torch.zeros(4, 12, dtype=torch.bool)})
    plot_fans(empty, geometry(network), path=tmp_path / "fans.png")
    first = (tmp_path / "fans.png").read_bytes()
    plot_fans(empty, geometry(network), path=tmp_path / "again.png")
    assert np.frombuffer(first, np.uint8).size > 1000
    assert (tmp_path / "again.png").read_bytes() == first
    with pytest.raises(InputError):
        plot_fans(empty, geometry(network), path=tmp_path / "none" / "fans.png")


def test_without_room_for_temporary_files_there_is_one_line(monkeypatch):
    def full():
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("snnprune.report.run.pictures.TemporaryDirectory", full)
    masks = Connectivity({"fc.weight": torch.ones(2, 3, dtype=torch.bool)})
    with pytest.raises(InputError, match="no temporary folder can be made"):
        report.report_pictures(masks, {})
