"""Exact selection of the synapses with the largest scores."""

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

# Scores in the sample that brackets the threshold.
_SAMPLE = 2**18
# Scores that are compared at a time, few enough to stay in the cache.
_IN_CACHE = 2**18


def keep_largest(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return boolean tensors that are true at exactly the `count` largest scores of all tensors together.

    Of equal scores the first are taken, in the order of the tensors and of their indices. Nothing is read back from a
    GPU; on a CPU hardly any memory is needed besides the result.

    Args:
        scores: name -> scores, floating point, any shapes. With a NaN among them fewer than
            `count` are kept: callers must rule it out first (`connectivity.check_scores` does).
        count: number of scores to keep; 0 or less keeps none, more than there are keeps all.

    Returns:
        name -> boolean tensor of the shape of its scores.
    """
    total = sum(tensor.numel() for tensor in scores.values())
    if count <= 0 or count >= total:
        return {name: torch.full_like(tensor, count > 0, dtype=torch.bool) for name, tensor in scores.items()}
    if (alike := comparable(scores)) is not scores:
        return {name: kept.to(scores[name].device) for name, kept in keep_largest(alike, count).items()}
    if next(iter(scores.values())).device.type == "cpu":
        return _largest_on_host(scores, count)
    flat = torch.cat([tensor.detach().reshape(-1) for tensor in scores.values()])
    kept = _largest_on_device(flat, count)
    parts = kept.split([tensor.numel() for tensor in scores.values()])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(scores.items(), parts, strict=True)}


def comparable(scores: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return scores that can be compared: on one device, in the widest of their dtypes. Copies only what differs."""
    first, *others = scores.values()
    dtype = reduce(torch.promote_types, (tensor.dtype for tensor in others), first.dtype)
    if all(tensor.dtype == dtype and tensor.device == first.device for tensor in scores.values()):
        return scores
    return {name: tensor.detach().to(first.device, dtype) for name, tensor in scores.items()}


def keep_share(scores: Mapping[str, Tensor], density: float) -> dict[str, Tensor]:
    """Return masks of the share `density` of all scores, the largest, and of one score at least; as `keep_largest`."""
    return keep_largest(scores, max(1, round(density * sum(tensor.numel() for tensor in scores.values()))))


def _largest_on_host(scores: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    threshold = _threshold([tensor.detach().reshape(-1) for tensor in scores.values()], count)
    kept = {name: tensor.contiguous() > threshold for name, tensor in scores.items()}
    missing = count - sum(int(mask.count_nonzero()) for mask in kept.values())
    for name, mask in kept.items():
        ties = scores[name].eq(threshold).contiguous().view(-1)
        taken = min(int(ties.count_nonzero()), missing)
        ties[_prefix_with(ties, taken) :] = False
        mask.view(-1).logical_or_(ties)
        missing -= taken
    return kept


def _threshold(scores: Sequence[Tensor], count: int) -> float:
    """Return the `count`-th largest score.

    After Floyd and Rivest ("Expected Time Bounds for Selection", 1975): two scores of a sample bracket the threshold
    almost surely, and only the scores between them are partitioned. The scores are read five times and not copied.

    Args:
        scores: flat, of one dtype, on the CPU.
        count: between 1 and the number of scores.
    """
    low, high = _bracket(scores, count)
    parts = [part for tensor in scores for part in tensor.split(_IN_CACHE)]
    # In descending order: scores above `high`, equal to it, between the two, equal to `low`. The threshold belongs to
    # the first of these groups at which the number of scores seen (`before` plus the group) reaches `count`. Groups of
    # equal scores are only counted, since they can be huge (the zeros of a pruned network) and need no sorting.
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
    # The threshold is not within the bracket (rare: the sample misled, or there is a NaN): partition all scores.
    return _nth_largest(torch.cat(list(scores)), count)


def _bracket(scores: Sequence[Tensor], count: int) -> tuple[float, float]:
    """Return two scores, low <= high, of a sample that almost surely have the `count`-th largest of all within them."""
    total = sum(tensor.numel() for tensor in scores)
    step = max(1, total // _SAMPLE)
    sample = torch.cat([tensor[::step] for tensor in scores]).sort(descending=True).values
    share = count / total
    # In a random sample the rank of the threshold is binomial. Five standard deviations to both sides (and 2 for
    # rounding) miss it less than once in a million times, and leave about a hundredth of the scores between.
    rank = share * sample.numel()
    slack = 5 * math.sqrt(sample.numel() * share * (1 - share)) + 2
    first, last = (min(max(round(at), 0), sample.numel() - 1) for at in (rank - slack, rank + slack))
    return float(sample[last]), float(sample[first])


def _nth_largest(scores: Tensor, count: int) -> float:
    """Return the `count`-th largest score; numpy's partition takes a tenth of the time of torch.kthvalue on a CPU."""
    numbers = scores.to(torch.promote_types(scores.dtype, torch.float32), copy=True).numpy()
    numbers.partition(numbers.size - count)
    return float(numbers[numbers.size - count])


def _prefix_with(flags: Tensor, count: int) -> int:
    """Return the length of the shortest prefix with `count` true flags. Bisected: a running count would take memory."""
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
    """Return the mask of the `count` largest; no shape or branch depends on the data, so nothing waits for the GPU."""
    rank = flat.numel() - count + 1
    if torch.are_deterministic_algorithms_enabled():  # kthvalue is refused then, although its value is always the same
        threshold = flat.sort(stable=True).values[rank - 1]
    else:
        threshold = flat.kthvalue(rank).values
    kept = flat > threshold
    ties = flat == threshold
    # The running count needs an integer for each score: int32, half the memory, wherever it can hold the count.
    order = ties.cumsum(0, dtype=torch.int32 if flat.numel() < 2**31 else torch.int64)
    return kept | (ties & (order <= count - kept.sum()))
