"""Random numbers that can be drawn again, and that nothing else in a training draws."""

import numpy as np
import torch


def generator(*key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for what belongs to these numbers: the same key gives the same numbers.

    The key is hashed. `torch.Generator().manual_seed(seed)` would repeat the very numbers that the weights were
    initialised with after `torch.manual_seed(seed)`, and random scores would be those weights in disguise.

    Args:
        key: seed, step, index, ...; each 0 or more.
        device: where it draws.
    """
    seed = int(np.random.SeedSequence([*key, 0x5EED]).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator(device).manual_seed(seed)
