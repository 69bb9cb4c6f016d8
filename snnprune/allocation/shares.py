"""Division of a whole number in given proportions."""

import math
from collections.abc import Mapping


def deal(total: int, proportions: Mapping[str, float], capacities: Mapping[str, int]) -> dict[str, int]:
    """Divide `total` into whole numbers in these proportions, none above its capacity.

    A share that would exceed its capacity is set to it, and the others divide the rest. Fractions are rounded down; the
    remaining units go to the largest remainders, ties in order.

    Args:
        total: 0 or more, at most the sum of the capacities.
        proportions: name -> number above 0.
        capacities: name -> 0 or more.
    """
    exact = _fractions(total, proportions, capacities)
    counts = {name: math.floor(value + 1e-9) for name, value in exact.items()}
    missing = total - sum(counts.values())
    below = (name for name in counts if counts[name] < capacities[name])
    for name in sorted(below, key=lambda name: counts[name] - exact[name])[:missing]:
        counts[name] += 1
    return counts


def _fractions(total: int, proportions: Mapping[str, float], capacities: Mapping[str, int]) -> dict[str, float]:
    """Divide `total` as `deal`, without rounding."""
    full: set[str] = set()
    while True:
        rest = total - sum(capacities[name] for name in full)
        weight = sum(proportions[name] for name in proportions if name not in full)
        factor = rest / weight if weight else 0.0
        # Filling one share raises the factor for the others, which can fill the next: repeat until none exceeds.
        over = {name for name in proportions if name not in full and factor * proportions[name] > capacities[name]}
        if not over:
            return {name: capacities[name] if name in full else factor * proportions[name] for name in proportions}
        full |= over
