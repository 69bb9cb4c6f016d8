"""Density schedules (the target density after each step, and when to select synapses anew); learning-rate decay."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

from .errors import InputError
from .options import Count, CountOrZero, Fraction, Interval, OpenFraction, Share, check_fields, checked
from .registry import Registry


@runtime_checkable
class Schedule(Protocol):
    """Target density and times of selections; `step` counts the optimizer steps done, 0 is before the first."""

    def density_at(self, step: int) -> float:
        """Return the target density after `step` steps, in (0, 1]; it never rises."""
        ...

    def updates_at(self, step: int) -> bool:
        """Return whether synapses are selected after `step` steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """The whole density at one step.

    Attributes:
        density: from step `at` on, in (0, 1].
        at: step of the only selection; 0 prunes before any training.

    Raises:
        InputError: a value outside its range.
    """

    density: Share
    at: CountOrZero

    def __post_init__(self) -> None:
        check_fields(self)

    def density_at(self, step: int) -> float:
        """Return 1 before `at`, then the density."""
        return self.density if step >= self.at else 1.0

    def updates_at(self, step: int) -> bool:
        """Return true at step `at` alone."""
        return step == self.at


@dataclass(frozen=True, kw_only=True)
class Polynomial:
    """density + (1 - density) * (1 - progress)^power between two steps; power 1 is linear.

    Power 3 is the schedule of Zhu and Gupta ("To Prune, or Not to Prune", 2017, equation 1): fast at first, when much
    is redundant, then ever more slowly.

    Attributes:
        density: from `end` on, in (0, 1].
        begin: the last step with density 1.
        end: step at which the density is reached, at least `begin`.
        every: steps between two selections, 1 or more.
        power: 1 or more.

    Raises:
        InputError: a value outside its range.
    """

    density: Share
    begin: int = 0
    end: int
    every: Count = 100
    power: Annotated[float, Interval(least=1)] = 3

    def __post_init__(self) -> None:
        check_fields(self)
        _check_order(self.begin, self.end)

    def density_at(self, step: int) -> float:
        """Return 1 up to `begin`, a value on the ramp, or the final density from `end` on."""
        return self.density + (1 - self.density) * self.remaining_at(step)

    def remaining_at(self, step: int) -> float:
        """Return the share of the whole decrease that is still to come after `step` steps: (1 - progress)^power."""
        if step >= self.end:
            return 0.0
        if step <= self.begin:
            return 1.0
        return (1 - (step - self.begin) / (self.end - self.begin)) ** self.power

    def updates_at(self, step: int) -> bool:
        """Return true at every multiple of `every` steps on the ramp, and at its end."""
        return step == self.end or (self.begin < step < self.end and (step - self.begin) % self.every == 0)


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """A constant share of the remaining synapses is removed in every round; rounds are equally long.

    Attributes:
        density: after the last round, in (0, 1].
        rounds: number of rounds, 1 or more.
        begin: the step at which the first round begins.
        end: the step at which the last round ends. With fewer steps than rounds several rounds end on one step; with 0
            all are done before the first step.

    Raises:
        InputError: a value outside its range.
    """

    density: Share
    rounds: Count
    begin: int = 0
    end: int

    def __post_init__(self) -> None:
        check_fields(self)
        _check_order(self.begin, self.end)

    def density_at(self, step: int) -> float:
        """Return density^(rounds done / rounds)."""
        return self.density ** (self.rounds_done(step) / self.rounds)

    def updates_at(self, step: int) -> bool:
        """Return true at the end of every round."""
        return self.rounds_done(step) > self.rounds_done(step - 1)

    def rounds_done(self, step: int) -> int:
        """Return the number of rounds that have ended after `step` steps."""
        if step >= self.end:
            return self.rounds
        return max(0, step - self.begin) * self.rounds // max(1, self.end - self.begin)


@checked
def rounds_for(density: Share, rate: OpenFraction) -> int:
    """Return the rounds it takes to `density` when each removes the share `rate` of the remaining synapses; 1 or more.

    The last round may remove less than `rate`.

    Raises:
        InputError: a density outside (0, 1], or a rate outside (0, 1).
    """
    return max(1, math.ceil(math.log(density) / math.log1p(-rate) - 1e-9))  # 1e-9: rounding must not add a round


@checked
def interval(steps: CountOrZero) -> int:
    """Return the steps between two selections in a search of `steps` steps: 100, or fewer to allow 50 selections."""
    return min(100, max(1, steps // 50))


Factory = Callable[..., Schedule]
# A factory takes density, begin, end, every and rate by keyword, and ignores what it does not need.
SCHEDULES: Registry[Factory] = Registry("schedule")


@SCHEDULES.register("one-shot")
def _one_shot(*, density: float, end: int, **_: Any) -> Schedule:
    return OneShot(density=density, at=end)


@SCHEDULES.register("linear")
def _linear(*, density: float, begin: int, end: int, every: int, **_: Any) -> Schedule:
    return Polynomial(density=density, begin=begin, end=end, every=every, power=1)


@SCHEDULES.register("cubic")
def _cubic(*, density: float, begin: int, end: int, every: int, **_: Any) -> Schedule:
    return Polynomial(density=density, begin=begin, end=end, every=every, power=3)


@SCHEDULES.register("rounds")
def _rounds(*, density: float, begin: int, end: int, rate: float, **_: Any) -> Schedule:
    return Rounds(density=density, rounds=rounds_for(density, rate), begin=begin, end=end)


@checked
def make(
    name: str, *, density: Share, begin: int, end: int, every: Count | None = None, rate: OpenFraction = 0.25
) -> Schedule:
    """Make a schedule by name.

    Args:
        name: "one-shot" (at `end`), "linear", "cubic" or "rounds".
        density: final density, in (0, 1].
        begin: the last step before a ramp or the first round; unused by "one-shot".
        end: step at which the final density is reached.
        every: steps between two selections on a ramp; None: as `interval`.
        rate: share of the remaining synapses that each round removes, in (0, 1).

    Raises:
        InputError: unknown name, `end` before `begin`, or a value outside its range.
    """
    factory = SCHEDULES.find(name)
    _check_order(begin, end)
    every = interval(end - begin) if every is None else every
    return factory(density=density, begin=begin, end=end, every=every, rate=rate)


def _check_order(begin: int, end: int) -> None:
    if not 0 <= begin <= end:
        raise InputError(f"a schedule must have 0 <= begin <= end, found begin {begin}, end {end}")


@checked
def hold_then_cosine(step: CountOrZero, *, steps: Count, hold: Fraction) -> float:
    """Return the factor of a learning rate that is constant for a share of the training, then falls to 0 on a cosine.

    Args:
        step: steps done, from 0.
        steps: steps of the whole training, at least 1.
        hold: share of the training at full rate, in [0, 1]; 0 is a plain cosine, 1 a constant rate.

    Returns:
        A factor in [0, 1].

    Raises:
        InputError: a value outside its range.
    """
    done = step / steps
    if done < hold or hold >= 1:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min((done - hold) / (1 - hold), 1.0)))
