"""Schedules: the density after each step, and the steps at which synapses are chosen; and learning rates."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import InputError
from .registry import Registry


class Schedule(Protocol):
    """Answers two questions about a number of steps done; 0 is before the first."""

    def density_at(self, step: int) -> float:
        """Density after `step` steps, in (0, 1]; it never rises."""
        ...

    def updates_at(self, step: int) -> bool:
        """Whether synapses are chosen after `step` steps."""
        ...


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """Everything at once.

    Attributes:
        density: from `at` on, in (0, 1].
        at: step; 0 prunes before any training.

    Raises:
        InputError: a value outside its range.
    """

    density: float
    at: int

    def __post_init__(self) -> None:
        _check(self.density, 0, self.at)

    def density_at(self, step: int) -> float:
        """1 before `at`, then the density."""
        return self.density if step >= self.at else 1.0

    def updates_at(self, step: int) -> bool:
        """At `at` alone."""
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
        every: steps between two choices.
        power: 1 or more.

    Raises:
        InputError: a value outside its range.
    """

    density: float
    begin: int = 0
    end: int
    every: int = 100
    power: int = 3

    def __post_init__(self) -> None:
        _check(self.density, self.begin, self.end)
        if self.every < 1 or self.power < 1:
            raise InputError(f"every and power must be 1 or more, found {self.every} and {self.power}")

    def density_at(self, step: int) -> float:
        """On the ramp; constant before and after it."""
        return self.density + (1 - self.density) * self.remaining_at(step)

    def remaining_at(self, step: int) -> float:
        """Share of the way down that is left after `step` steps: (1 - progress)^power."""
        if step >= self.end:
            return 0.0
        if step <= self.begin:
            return 1.0
        return (1 - (step - self.begin) / (self.end - self.begin)) ** self.power

    def updates_at(self, step: int) -> bool:
        """Every `every` steps on the ramp, and at its end."""
        return step == self.end or (self.begin < step < self.end and (step - self.begin) % self.every == 0)


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """A constant share of what is left goes in every round, at equal distances of steps.

    Attributes:
        density: after the last round, in (0, 1].
        rounds: how many.
        begin: the step at which the first round begins.
        end: the step at which the last round ends. With fewer steps than rounds several rounds end on one step; with 0
            all are done before the first.

    Raises:
        InputError: a value outside its range.
    """

    density: float
    rounds: int
    begin: int = 0
    end: int

    def __post_init__(self) -> None:
        _check(self.density, self.begin, self.end)
        if self.rounds < 1:
            raise InputError(f"rounds must be 1 or more, found {self.rounds}")

    def density_at(self, step: int) -> float:
        """density^(rounds done / rounds)."""
        return self.density ** (self.rounds_done(step) / self.rounds)

    def updates_at(self, step: int) -> bool:
        """At the end of every round."""
        return self.rounds_done(step) > self.rounds_done(step - 1)

    def rounds_done(self, step: int) -> int:
        """Number of rounds that have ended after `step` steps."""
        if step >= self.end:
            return self.rounds
        return max(0, step - self.begin) * self.rounds // max(1, self.end - self.begin)


def rounds_for(density: float, rate: float) -> int:
    """Rounds that leave at most `density` when the share `rate` of what is left goes in each; at least 1."""
    return max(1, math.ceil(math.log(density) / math.log(1 - rate) - 1e-9))


def interval(steps: int) -> int:
    """Steps between two choices in `steps` steps: 100, or fewer, so that there are 50 choices."""
    return min(100, max(1, steps // 50))


Factory = Callable[..., Schedule]
# name -> function of density, begin, end, every and rate, by keyword
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


def make(name: str, *, density: float, begin: int, end: int, every: int | None = None, rate: float = 0.25) -> Schedule:
    """A schedule by name.

    Args:
        name: "one-shot" (at `end`), "linear", "cubic" or "rounds".
        density: to end with, in (0, 1].
        begin: the last step before a ramp or the first round; "one-shot" does not look at it.
        end: step from which the density is the one asked for.
        every: steps between two choices on a ramp; None: what `interval` says.
        rate: share of what is left that goes in each of the rounds, in (0, 1).

    Raises:
        InputError: unknown name, `end` before `begin`, or a value outside its range.
    """
    factory = SCHEDULES.find(name)
    _check(density, begin, end)
    if not 0 < rate < 1:
        raise InputError(f"rate must be in (0, 1), found {rate}")
    every = interval(end - begin) if every is None else every
    return factory(density=density, begin=begin, end=end, every=every, rate=rate)


def _check(density: float, begin: int, end: int) -> None:
    if not 0 < density <= 1:
        raise InputError(f"density must be in (0, 1], found {density}")
    if not 0 <= begin <= end:
        raise InputError(f"a schedule ends after it begins: found begin {begin}, end {end}")


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
