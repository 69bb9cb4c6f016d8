"""How a density falls, and how a learning rate falls, over the steps of a training."""

import math


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


def hold_then_cosine(step: int, *, steps: int, hold: float) -> float:
    """Factor of a learning rate that stays constant for a share of the training and then falls to 0 on a cosine.

    Args:
        step: steps done, from 0.
        steps: steps of the whole training, at least 1.
        hold: share of the training at full rate, in [0, 1]; 0 is a plain cosine, 1 a constant rate.

    Returns:
        A factor in [0, 1].
    """
    done = step / steps
    if done < hold or hold >= 1:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min((done - hold) / (1 - hold), 1.0)))
