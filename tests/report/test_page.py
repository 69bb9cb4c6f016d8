"""The page of a report, in a real browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments import train
from snnprune import Connectivity, InputError, cli, geometry
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
  said.verdicts = column(chips, 1);
  chips.querySelectorAll("th")[0].click(); said.up = column(chips, 0);
  chips.querySelectorAll("th")[0].click(); said.down = column(chips, 0);
  layers.querySelectorAll("th")[2].click(); said.synapses = column(layers, 2);
  said.pictures = [...document.images].map(image => [image.alt, image.naturalWidth]);
  const note = document.createElement("pre");
  note.id = "said"; note.textContent = JSON.stringify(said); document.body.append(note);
});
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


@pytest.mark.skipif(BROWSER is None, reason="a browser wanted: apt install chromium")
def test_in_a_browser_it_loads_sorts_and_shows_its_pictures(page, tmp_path):
    assert BROWSER is not None
    visited = tmp_path / "visited.html"
    visited.write_text(page.read_text().replace("<style>", f"{VISIT}<style>", 1))
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        *quiet,
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    result = subprocess.run(
        [*command, "--virtual-time-budget=5000", "--dump-dom", visited.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r'<pre id="said">(.*?)</pre>', result.stdout, flags=re.DOTALL)
    assert found is not None, result.stderr[-2000:]
    said = json.loads(found[1].replace("&amp;", "&"))
    assert said["errors"] == []
    assert said["heads"][0] == "Does it fit?"
    order = ["fits", "needs-more-chips", "cannot"]
    assert [order.index(verdict) for verdict in said["verdicts"]] == sorted(map(order.index, said["verdicts"]))
    assert said["up"] == sorted(said["up"])
    assert said["down"] == said["up"][::-1]
    counts = [int(text.replace(",", "")) for text in said["synapses"]]
    assert counts == sorted(counts)
    assert [alt for alt, _ in said["pictures"]] == ["Fan-in and fan-out", "Connectivity of fc1", "Connectivity of fc2"]
    assert all(width > 100 for _, width in said["pictures"])


def test_fans_are_drawn_for_every_kind_of_layer(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.Flatten(), torch.nn.Linear(12, 4))
    empty = Connectivity({**dict(Connectivity.dense(network)), "2.weight": torch.zeros(4, 12, dtype=torch.bool)})
    plot_fans(tmp_path / "fans.png", empty, geometry(network))
    first = (tmp_path / "fans.png").read_bytes()
    plot_fans(tmp_path / "again.png", empty, geometry(network))
    assert np.frombuffer(first, np.uint8).size > 1000
    assert (tmp_path / "again.png").read_bytes() == first
    with pytest.raises(InputError):
        plot_fans(tmp_path / "none" / "fans.png", empty, geometry(network))
