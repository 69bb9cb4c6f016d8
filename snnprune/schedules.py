"""How a density falls over the steps of a training."""


def cubic(step: int, *, start: float, end: float, steps: int) -> float:
    """Density on the cubic schedule of Zhu and Gupta ("To Prune, or Not to Prune", 2017, equation 1).

    Args:
        step: steps done, from 0.
        start: density at step 0.
        end: density from `steps` on.
        steps: length of the ramp, at least 1.

    Returns:
        end + (start - end) * (1 - step / steps)^3, constant after the ramp.
    """
    remaining = 1 - min(max(step / steps, 0.0), 1.0)
    return end + (start - end) * remaining**3
