"""Products with masks that are exactly 0 at absent synapses whatever the values are: 0 * inf would be nan."""

import numpy as np
import torch
from torch import Tensor


def keep_(values: Tensor, mask: Tensor) -> Tensor:
    """Set values to 0 where `mask` is 0, in place.

    Args:
        values: floating point, any numbers, nan and infinity included.
        mask: 1 or 0, of the same shape.
    """
    return masked(values, mask, out=values)


def masked(values: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return the values where `mask` is 1, and 0 where it is 0; arguments as in `keep_`.

    Args:
        values: as in `keep_`.
        mask: likewise.
        out: memory of the result; may be that of `values`.
    """
    if not on_host(values):  # one pass, and nothing is read back
        kept = torch.where(mask != 0, values, torch.zeros((), dtype=values.dtype, device=values.device))
        return kept if out is None else out.copy_(kept)
    # On a CPU a product takes a tenth of the time of a selection, which is needed only if there is a nan in it. A sum
    # is nan if any term is; infinities of both signs make it nan as well, which costs time and changes nothing.
    product = torch.mul(values, mask, out=out)
    if bool(product.sum().isnan()):
        product.masked_fill_(mask == 0, 0)
    return product


def on_host(*tensors: Tensor) -> bool:
    """Return whether all tensors are in the CPU's memory, where reading a value takes no waiting."""
    return all(tensor.device.type == "cpu" for tensor in tensors)


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors on the CPU, of one shape and dtype, are equal bit for bit; nan equals itself.

    By numpy, which takes a seventh of the time of torch.equal.
    """
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[first.element_size()]
    return np.array_equal(first.view(kind).numpy(), second.view(kind).numpy())
