"""Methods whose masks move, and tickets, against their oracles: every step, with Adam and with momentum."""

import math

import pytest

from snnprune.methods import ESL, NDSNN, SET, DeepR, DropAndGrow, IterativeMagnitude, RigL, UTicket
from tests.methods.oracle import (
    OPTIMIZERS,
    SEED,
    SIZES,
    STEPS,
    ByHand,
    Named,
    Oracle,
    compare,
    drawn,
    erdos_renyi_counts,
    normal,
    turnover,
    uniform,
    uniform_counts,
    walk,
)

# --- Deep R


class DeepROracle(Oracle):
    """Bellec et al. 2018, algorithm 1."""

    def __init__(
        self, optimizer: ByHand, *, density: float, alpha: float, temperature: float, settle: float, scope: str
    ) -> None:
        self.density, self.alpha, self.temperature, self.end = density, alpha, temperature, round(settle * STEPS)
        self.groups = [[name] for name in SIZES] if scope == "layer" else [list(SIZES)]
        super().__init__(optimizer)
        self.deaths = 0

    def begin(self) -> None:
        self.signs = {name: [math.copysign(1, w) for w in weights] for name, weights in self.weights.items()}
        self.present = drawn(SEED, uniform_counts(self.density))
        for name in SIZES:
            for i in range(SIZES[name]):
                if not self.present[name][i]:
                    self.remove(name, i)

    def follow(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return
        rate = self.optimizer.rate(t)
        dead = dict.fromkeys(SIZES, 0)
        for index, name in enumerate(SIZES):
            noise = normal(SEED, t - 1, index, name)
            for i in self.there(name):
                sign = self.signs[name][i]
                strength = sign * self.weights[name][i] - rate * self.alpha
                strength += math.sqrt(2 * rate * self.temperature) * sign * noise[i]
                if strength > 0:
                    self.weights[name][i] = sign * strength
                else:
                    self.remove(name, i)
                    dead[name] += 1
        self.deaths += sum(dead.values())
        for group in self.groups:
            positions = [(name, i) for name in group for i in range(SIZES[name])]
            left = sum(dead[name] for name in group)
            for position in walk(SEED, t - 1, "/".join(group), len(positions)):
                name, i = positions[position]
                if left and not self.present[name][i]:
                    self.present[name][i], self.weights[name][i] = True, self.signs[name][i] * 1e-12
                    left -= 1
            assert not left


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("alpha", "temperature"), [(0.02, 0.0), (0.005, 1e-3), (0.0, 1e-2), (0.0, 0.0)])
@pytest.mark.parametrize(
    ("density", "settle", "scope"), [(0.25, 0.8, "layer"), (0.75, 1.0, "layer"), (0.25, 0.8, "global")]
)
def test_deep_r_is_algorithm_1(optimizer, alpha, temperature, density, settle, scope):
    options = {"density": density, "alpha": alpha, "temperature": temperature, "settle": settle, "scope": scope}
    oracle = DeepROracle(optimizer(), **options)
    history = compare(lambda network, o: DeepR(network, o, steps=STEPS, seed=SEED, **options), oracle)
    assert oracle.deaths >= turnover(history) > 5
    for present in history:
        assert sum(map(sum, present.values())) == density * 80
        assert scope == "global" or all(sum(mask) == density * SIZES[name] for name, mask in present.items())


# --- Drop and grow


class DropAndGrowOracle(Oracle):
    """SET, RigL, ESL and NDSNN, by what they drop and grow."""

    def __init__(
        self,
        optimizer: ByHand,
        *,
        drop: str,
        grow: str,
        annealed: bool,
        every: int,
        density: float = 0.25,
        first: float | None = None,
        fraction: float = 0.3,
        end: float = 0.75,
    ) -> None:
        self.drop, self.grow, self.annealed, self.every = drop, grow, annealed, every
        self.fraction, self.end = fraction, round(end * STEPS)
        self.last, self.first = erdos_renyi_counts(density), erdos_renyi_counts(first or density)
        self.average: Named = {name: [0.0] * size for name, size in SIZES.items()}
        self.regrown = self.dropped = 0
        super().__init__(optimizer)

    def begin(self) -> None:
        self.present = drawn(SEED, self.first)
        for name in SIZES:
            for i in range(SIZES[name]):
                if not self.present[name][i]:
                    self.remove(name, i)

    def follow(self, t: int, gradients: Named) -> None:
        for name, average in self.average.items():
            self.average[name] = [0.9 * a + 0.1 * g for a, g in zip(average, gradients[name], strict=True)]
        if t > self.end or (t % self.every and t != self.end):
            return
        share = self.fraction * (1 + math.cos(math.pi * t / self.end)) / 2 if self.annealed else self.fraction
        for index, name in enumerate(SIZES):
            there = self.there(name)
            target = round(self.last[name] + (self.first[name] - self.last[name]) * (1 - t / self.end) ** 3)
            staying = self.strongest(name, there, gradients[name], min(len(there) - round(share * len(there)), target))
            self.dropped += len(there) - len(staying)
            if self.grow == "random":
                promise = uniform(SEED, t, index, name)
            else:
                promise = [abs(g) for g in (gradients if self.grow == "gradient" else self.average)[name]]
            candidates = sorted((i for i in range(SIZES[name]) if i not in staying), key=lambda i: -promise[i])
            new = candidates[: target - len(staying)]
            for i in range(SIZES[name]):
                if i in new and i in there:
                    self.regrown += 1  # with its weight and moments
                elif i in new:
                    self.present[name][i] = True
                elif i not in staying:
                    self.remove(name, i)

    def strongest(self, name: str, there: list[int], gradient: list[float], count: int) -> list[int]:
        weight = self.weights[name]
        if self.drop != "signed":
            worth = weight if self.drop == "magnitude" else gradient
            return sorted(there, key=lambda i: -abs(worth[i]))[:count]
        # The smallest positive and the largest negative are dropped, one by one, so that both lose the same share.
        positive = sorted((i for i in there if weight[i] >= 0), key=lambda i: weight[i])
        negative = sorted((i for i in there if weight[i] < 0), key=lambda i: -weight[i])
        gone = [0, 0]
        for _ in range(len(there) - count):
            groups = [k for k, group in enumerate((positive, negative)) if gone[k] < len(group)]
            following = {k: (positive, negative)[k][gone[k]] for k in groups}
            sizes = (len(positive), len(negative))
            gone[min(groups, key=lambda k: ((gone[k] + 1) / sizes[k], -following[k]))] += 1
        return positive[gone[0] :] + negative[gone[1] :]


RULES: dict[type[DropAndGrow], dict] = {
    SET: {"drop": "signed", "grow": "random", "annealed": False},
    RigL: {"drop": "magnitude", "grow": "gradient", "annealed": True},
    ESL: {"drop": "magnitude", "grow": "random", "annealed": True},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("kind", RULES)
def test_its_synapses_move_as_published(optimizer, every, kind):
    oracle = DropAndGrowOracle(optimizer(), every=every, **RULES[kind])
    history = compare(lambda network, o: kind(network, o, density=0.25, steps=STEPS, every=every, seed=SEED), oracle)
    assert oracle.dropped > turnover(history) > 5
    assert oracle.regrown > 0
    assert all(
        {name: sum(mask) for name, mask in present.items()}
        == erdos_renyi_counts(0.25)
        == {"0.weight": 11, "2.weight": 9}
        for present in history
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("grow", ["random", "gradient", "momentum"])
@pytest.mark.parametrize("drop", ["magnitude", "signed", "gradient"])
def test_every_drop_rule_works_with_every_grow_rule(optimizer, drop, grow):
    options = {"drop": drop, "grow": grow, "every": 3, "fraction": 0.5, "end": 0.7}
    oracle = DropAndGrowOracle(optimizer(), annealed=True, **options)
    history = compare(lambda network, o: ESL(network, o, density=0.25, steps=STEPS, seed=SEED, **options), oracle)
    assert turnover(history) > 5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("every", [1, 7])
def test_ndsnn_falls_from_its_first_density_to_its_last_on_a_cube(optimizer, every):
    oracle = DropAndGrowOracle(optimizer(), drop="magnitude", grow="gradient", annealed=True, every=every, first=0.6)
    history = compare(
        lambda network, o: NDSNN(
            network, o, density=0.25, initial_density=0.6, steps=STEPS, every=every, seed=SEED, fraction=0.3
        ),
        oracle,
    )
    counts = [sum(map(sum, present.values())) for present in history]
    assert turnover(history) > 0
    assert counts == sorted(counts, reverse=True)
    assert counts[44:] == [20] * 6
    assert len(set(counts)) > 5


# --- Tickets: IMP, and u-Ticket, which balances them


class TicketOracle(Oracle):
    """Five rounds of magnitude pruning, each followed by a return to the weights of step 10."""

    ROUNDS = (13, 16, 19, 22, 25)

    def __init__(self, optimizer: ByHand, *, density: float, elements: int | None) -> None:
        self.density, self.elements, self.anew = density, elements, 0
        super().__init__(optimizer)

    def move(self, t: int, gradients: Named) -> None:
        super().move(t - self.anew, gradients)  # the optimizer's state is dropped in each round

    def follow(self, t: int, gradients: Named) -> None:
        if t == 10:
            self.early = {name: list(weights) for name, weights in self.weights.items()}
        if t not in self.ROUNDS:
            return
        ranked = sorted(
            ((name, i) for name in SIZES for i in self.there(name)), key=lambda key: -abs(self.weights[key[0]][key[1]])
        )
        share = self.density ** ((self.ROUNDS.index(t) + 1) / len(self.ROUNDS))
        best = self.balanced(ranked, ranked[: round(80 * share)])
        self.anew = t
        for name, size in SIZES.items():
            for i in range(size):
                self.optimizer.forget(name, i)
                self.weights[name][i] = self.early[name][i]
                if (name, i) not in best:
                    self.remove(name, i)

    def balanced(self, ranked: list[tuple[str, int]], best: list[tuple[str, int]]) -> set[tuple[str, int]]:
        """The same number in each layer as IMP, and the same in each block of rows, plus or minus one."""
        if self.elements is None:
            return set(best)
        kept = set()
        for name, size in SIZES.items():
            count, length = sum(key[0] == name for key in best), size // self.elements
            for block in range(self.elements):
                quota = count // self.elements + (block < count % self.elements)
                here = [(n, i) for n, i in ranked if n == name and i // length == block]
                assert len(here) >= quota
                kept |= set(here[:quota])
        return kept


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("elements", [None, 2, 4])
def test_tickets_are_found_in_rounds_and_balanced(optimizer, elements):
    oracle = TicketOracle(optimizer(), density=0.25, elements=elements)
    options = {"density": 0.25, "steps": 50, "rewind": 0.2, "end": 0.5}
    if elements is None:
        history = compare(lambda network, o: IterativeMagnitude(network, o, **options), oracle)
    else:
        allocation = f"balanced={elements}"
        history = compare(lambda network, o: UTicket(network, o, allocation=allocation, **options), oracle)
    assert [sum(map(sum, history[t - 1].values())) for t in TicketOracle.ROUNDS] == [61, 46, 35, 26, 20]
