"""Methods that train hidden strengths or gates, against their oracles: every step, with Adam and with momentum."""

import math
from functools import partial

import pytest

from snnprune.methods import STDS, UPR, GradR, SoftDeepR
from tests.methods.oracle import (
    OPTIMIZERS,
    SEED,
    SHAPES,
    SIZES,
    STEPS,
    ByHand,
    Named,
    Oracle,
    compare,
    normal,
    turnover,
)

# --- Grad R with a density; the published rule is in test_gradr.py


class GradROracle(Oracle):
    """Dormant strengths start from 0 until the next selection, which ranks all by size and gradient."""

    def __init__(self, optimizer: ByHand, *, density: float, power: float, end: int, every: int) -> None:
        self.density, self.power, self.end, self.every = density, power, end, every
        self.squares: Named = {name: [0.0] * size for name, size in SIZES.items()}
        super().__init__(optimizer)

    def begin(self) -> None:
        self.hidden = {name: list(weights) for name, weights in self.weights.items()}

    def move(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return super().move(t, gradients)
        for name, hidden in self.hidden.items():
            for i, gradient in enumerate(gradients[name]):
                hidden[i] = self.optimizer.trained(name, i, hidden[i], gradient, t)
                self.squares[name][i] = 0.999 * self.squares[name][i] + 0.001 * gradient**2
        return None

    def follow(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return
        if t % self.every == 0 or t == self.end:
            self.select(self.density + (1 - self.density) * (1 - t / self.end) ** 3)
        for name, hidden in self.hidden.items():
            self.weights[name] = [h if self.present[name][i] else 0.0 for i, h in enumerate(hidden)]
        if t == self.end:
            for name, present in self.present.items():
                for i in range(SIZES[name]):
                    if not present[i]:
                        self.remove(name, i)
                    elif not self.weights[name][i]:
                        self.weights[name][i] = 1e-8

    def select(self, density: float) -> None:
        squares = getattr(self.optimizer, "second", self.squares)
        worth = {
            (name, i): abs(h) * max(math.sqrt(squares[name][i]), 1e-15) ** self.power
            for name, hidden in self.hidden.items()
            for i, h in enumerate(hidden)
        }
        best = set(sorted(worth, key=lambda key: -worth[key])[: round(density * len(worth))])
        for name, i in worth:
            if not (self.present[name][i] and (name, i) in best):  # pruned now, or regrown
                self.hidden[name][i] = 0.0
            self.present[name][i] = (name, i) in best


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("steps", "settle", "end", "every"), [(60, 0.65, 39, 1), (220, 0.7, 154, 3)])
def test_grad_r_to_a_density(optimizer, power, steps, settle, end, every):
    oracle = GradROracle(optimizer(), density=0.25, power=power, end=end, every=every)
    options = {"steps": steps, "settle": settle, "density": 0.25, "power": power}
    history = compare(lambda network, o: GradR(network, o, **options), oracle, steps=end + 11)
    counts = [sum(map(sum, present.values())) for present in history]
    expected = [round(80 * (0.25 + 0.75 * (1 - t / end) ** 3)) for t in range(every, end + 1, every)]
    assert counts[every - 1 : end : every] == expected
    assert counts[end - 1 :] == [20] * 12
    assert turnover(history) > 0 or every == 1  # a single step is too short to regrow


# --- Soft Deep R


class SoftDeepROracle(Oracle):
    """Bellec et al. 2018, algorithm 2; with a density, a rank instead of the prior."""

    def __init__(
        self,
        optimizer: ByHand,
        *,
        alpha: float,
        temperature: float,
        floor: float,
        density: float | None,
        end: int,
        every: int = 1,
    ) -> None:
        self.alpha, self.temperature, self.floor = alpha, temperature, floor
        self.density, self.end, self.every = density, end, every
        super().__init__(optimizer)

    def begin(self) -> None:
        self.signs = {name: [math.copysign(1, w) for w in weights] for name, weights in self.weights.items()}
        self.strengths = {name: [abs(w) for w in weights] for name, weights in self.weights.items()}

    def move(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return super().move(t, gradients)
        rate = self.optimizer.rate
        for index, (name, strengths) in enumerate(self.strengths.items()):
            noise = normal(SEED, t - 1, index, name)
            for i, sign in enumerate(self.signs[name]):
                gradient = gradients[name][i] if strengths[i] > 0 else 0.0
                strength = sign * self.optimizer.trained(name, i, sign * strengths[i], gradient, t)
                strength += math.sqrt(2 * rate(t) * self.temperature) * sign * noise[i]
                strengths[i] = max(strength - rate(t) * self.alpha, self.floor)
        return None

    def follow(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return
        if self.density is not None and (t % self.every == 0 or t == self.end):
            self.select(self.density + (1 - self.density) * (1 - t / self.end) ** 3, last=t == self.end)
        for name, strengths in self.strengths.items():
            self.present[name] = [strength > 0 for strength in strengths]
            for i, (sign, strength) in enumerate(zip(self.signs[name], strengths, strict=True)):
                self.weights[name][i] = sign * max(strength, 0.0)
                if t == self.end and not self.present[name][i]:
                    self.remove(name, i)

    def select(self, density: float, *, last: bool) -> None:
        ranked = sorted(
            ((strength, name, i) for name, strengths in self.strengths.items() for i, strength in enumerate(strengths)),
            reverse=True,
        )
        best = round(density * len(ranked))
        for strength, name, i in ranked[:best]:
            self.strengths[name][i] = max(strength, 1e-8) if last else strength
        for strength, name, i in ranked[best:]:
            self.strengths[name][i] = min(strength, 0.0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("alpha", "temperature", "floor"), [(0.02, 1e-4, -0.05), (0.3, 1e-12, -0.01), (0.01, 1e-2, 0)])
def test_soft_deep_r_is_algorithm_2(optimizer, alpha, temperature, floor):
    options = {"alpha": alpha, "temperature": temperature, "floor": floor}
    oracle = SoftDeepROracle(optimizer(), density=None, end=STEPS, **options)
    history = compare(lambda network, o: SoftDeepR(network, o, seed=SEED, **options), oracle)
    assert turnover(history) > 0 or temperature < 1e-6  # without noise nothing regrows
    assert sum(map(sum, history[-1].values())) < 80


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("temperature", [1e-4, 1e-2])
@pytest.mark.parametrize(("steps", "settle", "end", "every"), [(60, 0.65, 39, 1), (220, 0.7, 154, 3)])
def test_soft_deep_r_to_a_density(optimizer, temperature, steps, settle, end, every):
    options = {"temperature": temperature, "floor": -0.02, "density": 0.25}
    oracle = SoftDeepROracle(optimizer(), alpha=0.0, end=end, every=every, **options)
    method = partial(SoftDeepR, steps=steps, settle=settle, seed=SEED, **options)
    history = compare(lambda network, o: method(network, o), oracle, steps=end + 11)
    assert [sum(map(sum, present.values())) for present in history[end - 1 :]] == [20] * 12
    assert turnover(history) > 0 or every == 1  # a single step is too short to regrow


# --- UPR


class UPROracle(Oracle):
    """Shi et al. 2024: weights with gates of their own and gates of their presynaptic neurons."""

    FIRST, SECOND = "0.weight", "2.weight"

    def __init__(self, optimizer: ByHand, *, price: float, end: int, density: float | None = None) -> None:
        self.price, self.end, self.density = price, end, density
        super().__init__(optimizer)

    def begin(self) -> None:
        # Gates start half open; the second layer, whose inputs are neurons, has two for each synapse.
        self.behind = {name: [(4 if name == self.SECOND else 2) * w for w in ws] for name, ws in self.weights.items()}
        self.gates = {name: Gates(size, self.optimizer.options["lr"]) for name, size in SIZES.items()}
        self.neurons = Gates(SHAPES[self.SECOND][1], self.optimizer.options["lr"])

    def opening(self, name: str, i: int, t: int) -> tuple[float, float]:
        beta = 5 * 200 ** (t / self.end)
        neuron = 1.0
        if name == self.SECOND:
            neuron = sigmoid(beta * self.neurons.values[i % SHAPES[name][1]])
        return sigmoid(beta * self.gates[name].values[i]), neuron

    def move(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return super().move(t, gradients)
        beta = 5 * 200 ** ((t - 1) / self.end)
        neurons = [0.0] * len(self.neurons.values)
        gates = {name: [0.0] * size for name, size in SIZES.items()}
        for name, behind in self.behind.items():
            for i, gradient in enumerate(gradients[name]):
                own, neuron = self.opening(name, i, t - 1)
                gain = gradient * behind[i]
                gates[name][i] = (gain * neuron + self.price) * beta * own * (1 - own)
                if name == self.SECOND:
                    neurons[i % SHAPES[name][1]] += (gain * own + self.price) * beta * neuron * (1 - neuron)
                behind[i] = self.optimizer.trained(name, i, behind[i], gradient * own * neuron, t)
        for name, found in gates.items():
            self.gates[name].move(found, t)
        self.neurons.move(neurons, t)
        return None

    def follow(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return
        if self.density is not None:
            self.shift(t)
        for name, behind in self.behind.items():
            for i, weight in enumerate(behind):
                own, neuron = self.opening(name, i, t)
                self.weights[name][i] = weight * own * neuron
                self.present[name][i] = self.weights[name][i] != 0
        if t == self.end:
            for name, behind in self.behind.items():
                self.weights[name] = list(behind)
                self.present[name] = [True] * len(behind)
                for i in range(len(behind)):
                    if self.width(name, i) <= 0:
                        self.remove(name, i)

    def width(self, name: str, i: int) -> float:
        own = self.gates[name].values[i]
        return min(own, self.neurons.values[i % SHAPES[name][1]]) if name == self.SECOND else own

    def shift(self, t: int) -> None:
        """Gates above the largest one that must be shut stay above 0."""
        remaining = (1 - min(t / (0.65 * self.end), 1)) ** 3
        shut = round((1 - self.density) * (1 - remaining) * 80)
        line = sorted(self.width(name, i) for name, size in SIZES.items() for i in range(size))[shut - 1]
        for gates in (*self.gates.values(), self.neurons):
            gates.values = [value - line for value in gates.values]


class Gates:
    """Numbers that Adam updates with its usual constants."""

    def __init__(self, size: int, lr: float) -> None:
        self.lr = lr
        self.values, self.mean, self.square = [0.0] * size, [0.0] * size, [0.0] * size

    def move(self, gradients: list[float], t: int) -> None:
        for i, gradient in enumerate(gradients):
            self.mean[i] = 0.9 * self.mean[i] + 0.1 * gradient
            self.square[i] = 0.999 * self.square[i] + 0.001 * gradient**2
            length = math.sqrt(self.square[i] / (1 - 0.999**t)) + 1e-8
            self.values[i] -= self.lr * (self.mean[i] / (1 - 0.9**t)) / length


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -709 else 0.0  # where exp(-x) is no longer finite


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("price", [0.0, 2**-13, 2**-11])  # exact in float32
def test_upr_learns_gates_beside_weights(optimizer, price):
    oracle = UPROracle(optimizer(), price=price, end=40)
    history = compare(lambda network, o: UPR(network, o, steps=50, settle=0.8, price=price), oracle)
    assert 0 < sum(map(sum, history[-1].values())) < 80


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("price", [0.0, 2**-11])
def test_upr_shuts_as_many_gates_as_the_schedule_asks_for(optimizer, price):
    oracle = UPROracle(optimizer(), price=price, end=40, density=0.25)
    history = compare(lambda network, o: UPR(network, o, steps=50, settle=0.8, price=price, density=0.25), oracle)
    assert [sum(map(sum, present.values())) for present in history[39:]] == [20] * 11


# --- STDS


class STDSOracle(Oracle):
    """A dead zone over hidden parameters; the gradient passes straight through."""

    def begin(self) -> None:
        self.hidden = {name: list(weights) for name, weights in self.weights.items()}

    def move(self, t: int, gradients: Named) -> None:
        for name, hidden in self.hidden.items():
            for i in range(SIZES[name]):
                hidden[i] = self.optimizer.trained(name, i, hidden[i], gradients[name][i], t)

    def reveal(self, width: float) -> None:
        for name, hidden in self.hidden.items():
            self.weights[name] = [math.copysign(max(abs(theta) - width, 0), theta) for theta in hidden]
            self.present[name] = [abs(theta) > width for theta in hidden]


class GrowingSTDS(STDSOracle):
    """The zone grows to 0.3."""

    def __init__(self, optimizer: ByHand, growth: str) -> None:
        self.growth = growth
        super().__init__(optimizer)

    def follow(self, t: int, gradients: Named) -> None:
        sine = (1 + math.sin(math.pi * (t / STEPS - 1 / 2))) / 2
        self.reveal(0.3 * (sine if self.growth == "sine" else t / STEPS))


class ClosedSTDS(STDSOracle):
    """At intervals the zone ends at the largest parameter that exceeds the number of the schedule."""

    def __init__(self, optimizer: ByHand, *, density: float, end: int, every: int) -> None:
        self.density, self.end, self.every, self.zone = density, end, every, 0.0
        super().__init__(optimizer)

    def move(self, t: int, gradients: Named) -> None:
        if t <= self.end:
            super().move(t, gradients)
        else:
            Oracle.move(self, t, gradients)

    def follow(self, t: int, gradients: Named) -> None:
        if t > self.end:
            return
        if t % self.every == 0 or t == self.end:
            density = self.density + (1 - self.density) * (1 - t / self.end) ** 3
            sizes = sorted((abs(theta) for hidden in self.hidden.values() for theta in hidden), reverse=True)
            self.zone = sizes[round(density * len(sizes))]
        self.reveal(self.zone)
        if t == self.end:
            for name, present in self.present.items():
                for i in range(SIZES[name]):
                    if not present[i]:
                        self.remove(name, i)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("growth", ["sine", "linear"])
def test_stds_is_a_growing_dead_zone(optimizer, growth):
    oracle = GrowingSTDS(optimizer(), growth)
    history = compare(lambda network, o: STDS(network, o, steps=STEPS, width=0.3, growth=growth), oracle)
    assert 5 < sum(map(sum, history[-1].values())) < 75
    assert turnover(history) > 5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("steps", "settle", "end", "every"), [(60, 0.65, 39, 1), (220, 0.7, 154, 3)])
def test_stds_in_its_closed_loop_follows_the_schedule_and_freezes(optimizer, steps, settle, end, every):
    oracle = ClosedSTDS(optimizer(), density=0.25, end=end, every=every)
    history = compare(
        lambda network, o: STDS(network, o, steps=steps, settle=settle, density=0.25), oracle, steps=end + 11
    )
    counts = [sum(map(sum, present.values())) for present in history]
    assert counts[every - 1 : end : every] == [
        round(80 * (0.25 + 0.75 * (1 - t / end) ** 3)) for t in range(every, end + 1, every)
    ]
    assert counts[end - 1 :] == [20] * 12
    assert turnover(history) > 0
