"""Reproducible random numbers, independent of torch's global generator."""

import numpy as np
import torch


def generator(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a random generator that is a function of its key: equal keys give equal numbers.

    The key is hashed. `torch.Generator().manual_seed(seed)` would repeat the very numbers that the weights were
    initialised with after `torch.manual_seed(seed)`, and random scores would follow those weights.

    Args:
        key: seed, step, index, ...; each 0 or more.
        device: of the drawn numbers.
    """
    seed = int(np.random.SeedSequence([*key, 0x5EED]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(seed)
