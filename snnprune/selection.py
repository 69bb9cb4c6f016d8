"""Exact selection: the synapses with the largest scores, counted to the last one."""

from collections.abc import Mapping

import torch
from torch import Tensor


def keep_largest(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Boolean tensors that are true at exactly the `count` largest scores, over all tensors together.

    Equal scores are taken in the order of the tensors and of their indices. From a GPU nothing is read back.
    On a CPU it takes the memory of one copy of the scores besides its result.

    Args:
        scores: name -> scores, floating point, any shapes, one device and dtype. With a NaN among them fewer are kept,
            since none is larger than it: who may have one must look (`criteria.score` does).
        count: how many to keep, between 0 and the number of scores.

    Returns:
        name -> boolean tensor of the shape of its scores.
    """
    total = sum(tensor.numel() for tensor in scores.values())
    if count <= 0 or count >= total:
        return {name: torch.full_like(tensor, count > 0, dtype=torch.bool) for name, tensor in scores.items()}
    if next(iter(scores.values())).device.type == "cpu":
        return _largest_on_host(scores, count)
    kept = _largest_on_device(_flat(scores), count)
    parts = kept.split([tensor.numel() for tensor in scores.values()])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(scores.items(), parts, strict=True)}


def keep_share(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """The same for a share of all scores, and one score at least."""
    return keep_largest(scores, max(1, round(density * sum(tensor.numel() for tensor in scores.values()))))


def _largest_on_host(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """By numpy, whose partition takes a tenth of the time of torch.kthvalue on a CPU."""
    flat = _flat(scores)
    numbers = flat.to(torch.promote_types(flat.dtype, torch.float32)).numpy()
    numbers.partition(numbers.size - count)  # in place
    threshold = float(numbers[numbers.size - count])
    del flat, numbers
    kept = {name: tensor.contiguous() > threshold for name, tensor in scores.items()}
    wanting = count - sum(int(mask.count_nonzero()) for mask in kept.values())
    for name, mask in kept.items():
        ties = scores[name].eq(threshold).contiguous().view(-1)
        found = min(int(ties.count_nonzero()), wanting)
        ties[_reaching(ties, found) :] = False
        mask.view(-1).logical_or_(ties)
        wanting -= found
    return kept


def _reaching(flags: Tensor, count: int) -> int:
    """How many flags it takes from the first until so many are true. Bisected: a running count would take memory."""
    begin, end = 0, flags.numel() if count else 0
    while end - begin > 1:
        middle = (begin + end) // 2
        found = int(flags[begin:middle].count_nonzero())
        if found >= count:
            end = middle
        else:
            begin, count = middle, count - found
    return end


def _largest_on_device(flat: Tensor, count: int) -> Tensor:
    """The same without a shape or a branch that depends on the data, so that nothing waits for the device."""
    threshold = flat.kthvalue(flat.numel() - count + 1).values
    kept = flat > threshold
    ties = flat == threshold
    # A running count takes a whole number for each score: int32 where that can hold it.
    order = ties.cumsum(0, dtype=torch.int32 if flat.numel() < 2**31 else torch.int64)
    return kept | (ties & (order <= count - kept.sum()))


def _flat(scores: Mapping[str, Tensor]) -> Tensor:
    """All scores in a row, in new memory."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in scores.values()])
