"""Pages of the site that lie outside of docs/, and links to them."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# Page of the site -> file of the repository.
PAGES = {
    "index.md": "README.md",
    "benchmarks.md": "benchmarks/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
}
# Links as they work in the repository -> as they work on the site, where all pages lie in one folder.
LINKS = {
    "](../README.md": "](index.md",
    "](../benchmarks/README.md": "](benchmarks.md",
    "](../docs/": "](",
    "](docs/": "](",
    "](benchmarks/README.md": "](benchmarks.md",
    "](CHANGELOG.md": "](changelog.md",
    "](CONTRIBUTING.md": "](contributing.md",
    "](../CHANGELOG.md": "](changelog.md",
}


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for name, source in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn the links."""
    for repository, site in LINKS.items():
        markdown = markdown.replace(repository, site)
    return markdown
