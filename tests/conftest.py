"""Shared by all tests. Before torch is imported: idle OpenMP threads are to sleep, or busy cores stall them."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # processes side by side, and their children, share the cores
    os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="module")
def _one_thread(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tensors of a few dozen numbers are half as fast again on one thread; scripts and benchmarks keep the default."""
    before = torch.get_num_threads()
    room = request.node.path.relative_to(Path(__file__).parent).parts[0]
    if room in ("allocation", "budget", "criteria", "methods"):
        torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the real data sets, in the layout of torchvision."""
    root = os.environ.get("SNNPRUNE_DATA")
    if not root:
        pytest.skip("real data wanted: set SNNPRUNE_DATA to a folder with torchvision's MNIST")
    return Path(root)
