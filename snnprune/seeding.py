"""Reproducible random numbers, independent of torch's global generator and of its default dtype and device."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .options import Seed, check


def generator(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator that is a function of its key: equal keys give equal numbers.

    The key is hashed. `torch.Generator().manual_seed(seed)` would repeat the very numbers that the weights were
    initialised with after `torch.manual_seed(seed)`, and random scores would follow those weights.

    Args:
        key: seed, step, index, ...; each 0 to 2^63 - 1.
        device: of the drawn numbers.

    Raises:
        InputError: a part of the key that is no such integer.
    """
    parts = [check("seed", part, Seed) for part in key]
    seed = int(np.random.SeedSequence([*parts, 0x5EED]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(seed)


def uniform(shape: Sequence[int], numbers: torch.Generator) -> Tensor:
    """Draw numbers from [0, 1), float32 on the CPU.

    Args:
        shape: of the tensor.
        numbers: of `generator`, on the CPU.
    """
    return torch.rand(shape, generator=numbers, dtype=torch.float32, device="cpu")
