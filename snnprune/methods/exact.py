"""Products with masks that are exactly 0 at absent synapses whatever the values are: 0 * inf would be nan."""

import ctypes
import os
from collections.abc import Callable, Mapping

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
    """Return whether two tensors on the CPU, of one shape and dtype, are equal bit for bit; nan equals itself."""
    if _memcmp is not None and _laid_out_alike(first, second):
        return _memcmp(first.data_ptr(), second.data_ptr(), first.nbytes) == 0
    kind = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[first.element_size()]
    return np.array_equal(first.view(kind).numpy(), second.view(kind).numpy())


def _find_memcmp() -> Callable[[int, int, int], int] | None:
    """Return the C library's comparison of memory: torch.equal takes four times as long, numpy 1.6 times."""
    if os.name != "posix":
        return None
    memcmp = ctypes.CDLL(None).memcmp
    memcmp.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    return memcmp


_memcmp = _find_memcmp()


def _laid_out_alike(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors fill their memory without gaps, in the same order."""
    dense = first.is_contiguous() or (first.dim() == 4 and first.is_contiguous(memory_format=torch.channels_last))
    return dense and first.stride() == second.stride()


class LastWeights:
    """Copies of weights in the CPU's memory as a step left them, by which changes between two steps are found.

    A comparison with a copy takes a fifth of the time that it takes to compute again what the weights should be. Copies
    and pickled files of this object are empty.
    """

    def __init__(self) -> None:
        self._copies: dict[str, Tensor] = {}

    def remember(self, weights: Mapping[str, Tensor]) -> None:
        """Copy the weights; those on other devices are left out, since a comparison would have to be read back."""
        for name, weight in weights.items():
            if not on_host(weight):
                continue
            kept = self._copies.get(name)
            if kept is None or kept.dtype != weight.dtype or kept.stride() != weight.stride():
                self._copies[name] = weight.detach().clone()
            else:
                kept.copy_(weight.detach())

    def unchanged(self, name: str, weight: Tensor) -> bool:
        """Return whether a weight is as it was; False if it was not copied."""
        return name in self._copies and same_bits(weight, self._copies[name])

    def forget(self) -> None:
        """Drop all copies."""
        self._copies = {}

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return LastWeights, ()
