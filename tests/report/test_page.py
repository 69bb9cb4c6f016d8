"""The page of a report, in a real browser."""

import base64
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import train
from snnprune import Connectivity, InputError, budget, cli, geometry, report
from snnprune.report.run.fans import plot_fans

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
# What the browser is asked to do on the page, and to write down.
VISIT = """<script>
const said = { errors: [] };
addEventListener("error", event => said.errors.push(event.message));
addEventListener("securitypolicyviolation", event => said.errors.push(event.blockedURI));
addEventListener("load", () => {
  const column = (table, place) => [...table.tBodies[0].rows].map(row => row.cells[place].textContent);
  const [chips, layers] = document.querySelectorAll("table");
  said.heads = [...document.querySelectorAll("h2")].map(head => head.textContent);
  said.verdicts = column(chips, 1).map(text => text.slice(2));
  const press = button => { button.focus(); button.click(); };  // Enter and space click a focused button
  const heads = chips.querySelectorAll("th button");
  press(heads[0]); said.up = column(chips, 0); said.sorted = heads[0].parentElement.getAttribute("aria-sort");
  press(heads[0]); said.down = column(chips, 0);
  press(heads[1]); said.ranks = column(chips, 1); said.unsorted = heads[0].parentElement.getAttribute("aria-sort");
  press(layers.querySelectorAll("th button")[2]); said.synapses = column(layers, 2);
  said.focus = document.activeElement.tagName;
  said.width = innerWidth;
  said.overflow = document.scrollingElement.scrollWidth - innerWidth;
  said.pictures = [...document.images].map(image => [image.alt, image.naturalWidth]);
  parent.postMessage(JSON.stringify(said), "*");
});
</script>"""
# A window is never narrower than 500 pixels, a frame is.
FRAME = """<!doctype html><iframe src=visited.html width={width} height=900 style="border: 0"></iframe><script>
addEventListener("message", event => {{
  const note = document.createElement("pre");
  note.id = "said"; note.textContent = event.data; document.body.append(note);
}});
</script>"""


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


def browse(page: Path, folder: Path, *, width: int) -> dict:
    """Let a browser of this width visit the page, and return its notes."""
    assert BROWSER is not None
    visited = folder / "visited.html"
    visited.write_text(page.read_text().replace("<style>", f"{VISIT}<style>", 1))
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width))
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    look = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1400,1000"]
    command = [BROWSER, *look, *quiet, f"--user-data-dir={folder / 'profile'}"]
    result = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", frame.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<pre id="said">(.*?)</pre>', result.stdout, flags=re.DOTALL)
    assert found is not None, result.stderr[-2000:]
    return json.loads(found[1].replace("&amp;", "&"))


@pytest.mark.skipif(BROWSER is None, reason="no browser: apt install chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_it_loads_sorts_and_shows_its_pictures(width, page, tmp_path):
    said = browse(page, tmp_path, width=width)
    assert said["errors"] == []
    assert said["overflow"] <= 0
    assert said["width"] == width
    assert said["heads"][0] == "Does it fit?"
    order = ["fits by size", "needs more chips", "cannot"]
    ranks = [order.index(verdict) for verdict in said["verdicts"]]
    assert ranks == sorted(ranks)
    assert said["up"] == sorted(said["up"])
    assert said["down"] == said["up"][::-1]
    assert [order.index(text[2:]) for text in said["ranks"]] == ranks
    assert (said["sorted"], said["unsorted"], said["focus"]) == ("ascending", "none", "BUTTON")
    counts = [int(text.replace(",", "")) for text in said["synapses"]]
    assert counts == sorted(counts)
    assert [alt for alt, _ in said["pictures"]] == ["Fan-in and fan-out", "Connectivity of fc1", "Connectivity of fc2"]
    assert all(width > 100 for _, width in said["pictures"])


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
    assert cli.main([*given, "--dense", str(run)]) == 2


def test_maps_of_a_run_are_not_drawn_anew(page, tmp_path, monkeypatch):
    run = page.parents[1] / "run"
    before = (run / "figures" / "connectivity-fc1.png").read_bytes()
    monkeypatch.setattr("snnprune.report.run.figures.plot_connectivity", None)
    assert cli.main(["report", str(run), "--samples", "5", "--chip", "odin", "--out", str(tmp_path)]) == 0
    assert base64.b64encode(before).decode() in (tmp_path / "report.html").read_text()


def deep() -> torch.nn.Module:
    sizes = [8, 7, 6, 5, 5, 4, 3]
    layers = [part for pair in pairwise(sizes) for part in (torch.nn.Linear(*pair), torch.nn.ReLU())]
    return torch.nn.Sequential(torch.nn.BatchNorm1d(8), *layers)


def test_a_page_of_any_network_with_folded_maps(tmp_path):
    network = deep()
    result = budget.assess(network, torch.rand(4, 8), chips=["odin", "truenorth"])
    pictures = report.report_pictures(Connectivity.from_network(network), geometry(network))
    report.save_page(result, tmp_path / "page.html", pictures=pictures)
    text = (tmp_path / "page.html").read_text()
    assert text.count("<details>") == len(pictures) - 2 == 5
    assert "normalisation folded into weights (BatchNorm1d)" in text
    assert "graded spikes into 3, 5" in text
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
