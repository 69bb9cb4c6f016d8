"""Exact selection: the synapses with the largest scores, counted to the last one."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

# Scores that are drawn to find the few among which the threshold lies, and that are looked at in one go.
_SAMPLE, _IN_CACHE = 2**18, 2**18


def keep_largest(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Boolean tensors that are true at exactly the `count` largest scores, over all tensors together.

    Equal scores are taken in the order of the tensors and of their indices. From a GPU nothing is read back.
    On a CPU it takes hardly any memory besides its result.

    Args:
        scores: name -> scores, floating point, any shapes, one device and dtype. With a NaN among them fewer are kept,
            since none is larger than it: callers must rule out NaN first (`criteria.score` does).
        count: how many to keep, between 0 and the number of scores.

    Returns:
        name -> boolean tensor of the shape of its scores.
    """
    total = sum(tensor.numel() for tensor in scores.values())
    if count <= 0 or count >= total:
        return {name: torch.full_like(tensor, count > 0, dtype=torch.bool) for name, tensor in scores.items()}
    if next(iter(scores.values())).device.type == "cpu":
        return _largest_on_host(scores, count)
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in scores.values()])
    kept = _largest_on_device(flat, count)
    parts = kept.split([tensor.numel() for tensor in scores.values()])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(scores.items(), parts, strict=True)}


def keep_share(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Keep a share of all scores, at least one score; otherwise as `keep_largest`."""
    return keep_largest(scores, max(1, round(density * sum(tensor.numel() for tensor in scores.values()))))


def _largest_on_host(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    threshold = _threshold([tensor.detach().reshape(-1) for tensor in scores.values()], count)
    kept = {name: tensor.contiguous() > threshold for name, tensor in scores.items()}
    wanting = count - sum(int(mask.count_nonzero()) for mask in kept.values())
    for name, mask in kept.items():
        ties = scores[name].eq(threshold).contiguous().view(-1)
        found = min(int(ties.count_nonzero()), wanting)
        ties[_reaching(ties, found) :] = False
        mask.view(-1).logical_or_(ties)
        wanting -= found
    return kept


def _threshold(scores: Sequence[Tensor], count: int) -> float:
    """The `count`-th largest score.

    After Floyd and Rivest ("Expected Time Bounds for Selection", 1975): two scores of a sample are chosen between which
    it lies almost surely; only those between them are sorted. All are looked at five times, and none is copied.

    Args:
        scores: flat, of one dtype, on the CPU.
        count: between 1 and their number.
    """
    low, high = _bracket(scores, count)
    parts = [part for tensor in scores for part in tensor.split(_IN_CACHE)]
    before = sum(int((part > high).count_nonzero()) for part in parts)
    at_high = sum(int((part == high).count_nonzero()) for part in parts)
    if before < count <= before + at_high:
        return high
    before += at_high
    between = torch.cat([part[(part > low) & (part < high)] for part in parts])
    if before < count <= before + between.numel():
        return _nth_largest(between, count - before)
    before += between.numel()
    at_low = sum(int((part == low).count_nonzero()) for part in parts) if low < high else 0
    if before < count <= before + at_low:
        return low
    return _nth_largest(torch.cat(list(scores)), count)  # a sample that misled, or a NaN


def _bracket(scores: Sequence[Tensor], count: int) -> tuple[float, float]:
    """Two scores of a sample between which the `count`-th largest almost surely lies; they may be equal to it.

    The rank of a score in the sample is binomial: five standard deviations around the expected rank miss it about once
    in a million calls, which costs a full sort and no wrong result.
    """
    total = sum(tensor.numel() for tensor in scores)
    step = max(1, total // _SAMPLE)
    sample = torch.cat([tensor[::step] for tensor in scores]).sort(descending=True).values
    share = count / total
    expected, slack = share * sample.numel(), 5 * math.sqrt(sample.numel() * share * (1 - share)) + 2
    first, last = (min(max(round(at), 0), sample.numel() - 1) for at in (expected - slack, expected + slack))
    return float(sample[last]), float(sample[first])


def _nth_largest(scores: Tensor, count: int) -> float:
    """By numpy, whose partition takes a tenth of the time of torch.kthvalue on a CPU; in new memory."""
    numbers = scores.to(torch.promote_types(scores.dtype, torch.float32), copy=True).numpy()
    numbers.partition(numbers.size - count)
    return float(numbers[numbers.size - count])


def _reaching(flags: Tensor, count: int) -> int:
    """Length of the shortest prefix with `count` true flags. Bisected, since a running count would take memory."""
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
