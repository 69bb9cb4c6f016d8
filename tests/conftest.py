"""Shared by all tests. Before torch is imported: idle OpenMP threads are to sleep, or busy cores stall them."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the real data sets, in the layout of torchvision."""
    root = os.environ.get("SNNPRUNE_DATA")
    if not root:
        pytest.skip("real data wanted: set SNNPRUNE_DATA to a folder with torchvision's MNIST")
    return Path(root)
