"""Dealing a whole number out in given proportions."""

import math
from collections.abc import Mapping


def deal(total: int, wanted: Mapping[str, float], room: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers in the proportion of `wanted`, none above its room, whose sum is `total`.

    What would exceed its room fills it, and the others share what is left. Fractions are rounded down, and what is then
    missing goes to the largest remainders, ties in order.

    Args:
        total: 0 or more, at most all the room.
        wanted: name -> above 0; only the proportions matter.
        room: name -> 0 or more.
    """
    exact = _within(total, wanted, room)
    counts = {name: math.floor(value + 1e-9) for name, value in exact.items()}
    missing = total - sum(counts.values())
    roomy = (name for name in counts if counts[name] < room[name])
    for name in sorted(roomy, key=lambda name: counts[name] - exact[name])[:missing]:
        counts[name] += 1
    return counts


def _within(total: int, wanted: Mapping[str, float], room: Mapping[str, int]) -> dict[str, float]:
    """Fractions in the proportion of `wanted`, none above its room, whose sum is `total`."""
    full: set[str] = set()
    while True:
        left = total - sum(room[name] for name in full)
        weight = sum(wanted[name] for name in wanted if name not in full)
        factor = left / weight if weight else 0.0
        over = {name for name in wanted if name not in full and factor * wanted[name] > room[name]}
        if not over:
            return {name: room[name] if name in full else factor * wanted[name] for name in wanted}
        full |= over
