"""The promises of the project itself: lint, types, documentation that runs, a wheel that installs."""

import importlib
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

import snnprune
from snnprune.allocation import ALLOCATIONS
from snnprune.criteria.registry import CRITERIA
from snnprune.methods.registry import METHODS

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def examples() -> list:
    """Every Python block of every page. A page's blocks run one after another in one namespace."""
    found = []
    for page in PAGES:
        if blocks := re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL):
            found.append(pytest.param(blocks, id=str(page.relative_to(ROOT))))
    return found


@pytest.mark.parametrize("blocks", examples())
def test_the_examples_run(blocks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for registry in (METHODS, CRITERIA, ALLOCATIONS):  # what an example registers does not outlive it
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    namespace: dict = {"__name__": "example"}
    for block in blocks:
        exec(compile(block, "example", "exec"), namespace)
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        goal = (page.parent / path) if path else page
        assert goal.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", goal.read_text(), flags=re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
            assert anchor in anchors, f"{page.name} links to {target}"


def test_the_numbers_of_the_pages_are_those_of_the_results():
    table = (ROOT / "docs" / "results" / "gradr-mnist.md").read_text().strip()
    assert table in (ROOT / "README.md").read_text()
    table, _, _ = (ROOT / "docs" / "results" / "chips-mnist.md").read_text().partition("\n\n")
    assert table in (ROOT / "docs" / "chips.md").read_text()


def test_ci_runs_the_readme_command():
    lines = [line.strip() for line in (ROOT / "README.md").read_text().splitlines() if "pytest" in line]
    assert len(lines) == 1
    assert "grep -m 1 'pytest' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no checkout: git knows no files")
def test_nothing_stray_lies_at_the_top():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    top = {line.partition("/")[0] for line in tracked.stdout.splitlines()}
    fixed = {"pyproject.toml", "README.md", "LICENSE", ".gitignore", ".ci", "mkdocs.yml"}
    fixed |= {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md"}
    assert top == fixed | {"snnprune", "models", "experiments", "tests", "docs", "benchmarks"}


TYPES = pytest.param(
    ["pyright", "--pythonpath", sys.executable],
    marks=pytest.mark.skipif(
        tuple(map(int, torch.__version__.split(".")[:2])) < (2, 14), reason="older torch has other types"
    ),
)


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], TYPES],
    ids=lambda command: " ".join(command[:2]),
)
def test_lint_and_types(command):
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


ROOMS = ("methods", "criteria", "allocation", "budget", "export", "graph", "report", "training", "runs")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The documentation site; a warning fails."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=quiet)
    assert result.returncode == 0, result.stderr
    return folder


def test_the_site_has_its_pages_and_asks_for_nothing_outside(site):
    pages = {page.relative_to(site).as_posix(): page.read_text() for page in site.rglob("*.html")}
    assert {"index.html", "first-network/index.html", "changelog/index.html", "benchmarks/index.html"} <= pages.keys()
    for name, page in pages.items():
        outside = r"<(?:script|img|link)[^>]+(?:src|href)=\"?(?:https?:)?//[^>]*>"
        assert not [tag for tag in re.findall(outside, page) if "rel=canonical" not in tag], name
        assert not re.search(r":math:|:display:|\.\. math::", page), name
    assert (
        pages["api/methods/index.html"].count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">') >= 4
    )


@pytest.mark.parametrize("room", ROOMS)
def test_the_site_describes_every_public_name(site, room):
    page = (site / "api" / room / "index.html").read_text()
    described = set(re.findall(rf'id="?snnprune\.{room}\.(\w+)"?[ >]', page))
    assert described >= set(importlib.import_module(f"snnprune.{room}").__all__)


def test_the_site_describes_functions_and_not_the_modules_of_the_same_name(site):
    page = (site / "api" / "criteria" / "index.html").read_text()
    entries = dict(re.findall(r'<h2 id="snnprune\.criteria\.(\w+)"(.*?)(?=<h2 |\Z)', page, flags=re.DOTALL))
    assert "exclude" in entries["wanda"]


def test_the_site_lists_what_can_be_imported_from_the_library_itself(site):
    page = (site / "api" / "index.html").read_text()
    assert all(f"<code>{name}</code>" in page for name in {*snnprune.__all__} - {*ROOMS})


def test_the_citation_has_the_version_of_the_package():
    version = re.search(r'__version__ = "(.+)"', (ROOT / "snnprune" / "version.py").read_text())
    assert version is not None
    assert (ROOT / "CITATION.cff").read_text().count(f"version: {version[1]}\n") == 2
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text()


def test_importing_the_library_imports_nothing_heavy():
    heavy = ["matplotlib", "scipy", "sklearn", "torchvision", "torchaudio", "tensorboard", "tqdm", "torch._dynamo"]
    code = (
        "import sys; import spikingjelly.activation_based.neuron; before = set(sys.modules); import snnprune; "
        f"print([name for name in {heavy} if name in sys.modules and name not in before])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_wheel_carries_the_library_alone(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"snnprune", "snnprune-0.1.0.dist-info"}
    assert "snnprune/py.typed" in names
    assert "snnprune/budget/chips/loihi1.toml" in names
    assert any(name.endswith("LICENSE") for name in names)
