"""Protocol of a comparison: one TOML file, and the runs that follow from it."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from ... import methods
from ...errors import InputError
from ...report.comparison.sides import CONTROL_ENDINGS, CONTROLS, SIDES
from ...storage import MissingFile, read_toml
from ..config import COMBINATION, Config
from ..parts import check_names

# Options that a method may have of its own; all others are shared, or the comparison would say nothing.
PER_METHOD = ("method", "alpha", "options", *COMBINATION)
# Options that a method may have of its own, or all methods share.
EITHER = ("chip",)
# Options that the grid decides.
VARIED = ("density", "neuron", "seed")
# Rethinking the Value of Network Pruning caps the longer training of scratch-B at twice the epochs.
SCRATCH_B_CAP = 2
# Controls start from weights that no method has seen.
FRESH = 1_000
_LARGEST_SEED = 2**62  # those of controls are larger, and torch takes 64 bits
_MOST_RUNS = 20_000
# Names of methods are parts of the names of folders, which have at most 255 bytes.
_LONGEST_NAME, _LONGEST_TEXT = 150, 300
_NO_FOLDER = re.compile(r"[/\\]")


@dataclass(frozen=True)
class Run:
    """One cell of the grid.

    Attributes:
        method: the name in the table.
        side: "snn" or "ann".
        density: wanted share of the synapses; 1 for dense.
        seed: of the table; a control's own weights have another.
        config: what is trained.
        folder: its run folder.
        after: the run whose connectivity it takes, or None.
    """

    method: str
    side: str
    density: float
    seed: int
    config: Config
    folder: Path
    after: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A comparison: its methods, densities, sides and seeds, and the options that all runs share.

    Attributes:
        title: of tables and figures.
        methods: names of methods, or of the tables in `method`. "dense" runs once for each side and seed.
        densities: each in (0, 1).
        sides: "snn" and "ann", the twin with ReLU neurons and one time step.
        seeds: of weights and order.
        controls: each trains a connectivity from fresh weights. "scratch-e": the one that was found, for equal epochs;
            "scratch-b": for equal computation; "shuffled": as many synapses in each layer, drawn at random; "transfer":
            the one that was found on the other side.
        control_of: the method whose connectivities the controls take.
        run: options of `experiments.train` for all runs.
        method: name -> what this entry has of its own: method, criterion, allocation, schedule, alpha, options, chip.

    Raises:
        InputError: an unknown name, an empty list, or a value outside its range.
    """

    title: str = "A comparison"
    methods: Sequence[str] = ()
    densities: Sequence[float] = ()
    sides: Sequence[str] = ("snn", "ann")
    seeds: Sequence[int] = (0, 1, 2)
    controls: Sequence[str] = ()
    control_of: str | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_text("title", self.title)
        for name in ("methods", "densities", "sides", "seeds", "controls"):
            _check_list(name, getattr(self, name), empty=name == "controls")
        for name in ("methods", "sides", "controls"):
            for entry in getattr(self, name):
                _check_text(name, entry)
        self._check_names()
        self._check_numbers()
        # Each run has a folder of its own, named after what the grid varies.
        percents = [f"{100 * density:g} %" for density in self.densities]
        given = {name: getattr(self, name) for name in ("methods", "sides", "controls", "seeds")}
        for name, entries in {**given, "densities": percents}.items():
            if twice := [entry for entry, count in Counter(entries).items() if count > 1]:
                raise InputError(f"{name} has {twice[0]} twice")
        for name in self.methods:
            self._check_method(name)
        self._check_folders()

    def _check_names(self) -> None:
        """Check names against those that are known, and the tables."""
        _check_known("sides", self.sides, SIDES)
        _check_known("controls", self.controls, CONTROLS)
        if self.controls and self.control_of not in self.methods:
            raise InputError(
                f"controls need control_of, one of the methods {', '.join(self.methods)}: found {self.control_of!r}"
            )
        if self.control_of is not None:
            _check_text("control_of", self.control_of)
        if "transfer" in self.controls and set(self.sides) != set(SIDES):
            raise InputError(f"the control transfer needs both sides, snn and ann; found {', '.join(self.sides)}")
        for name, value in {"run": self.run, "method": self.method}.items():
            _check_table(name, value)
        _check_known("[run]", self.run, [e.name for e in fields(Config) if e.name not in (*PER_METHOD, *VARIED)])
        for name, own in self.method.items():
            _check_table(f"[method.{name}]", own)
            _check_known(f"[method.{name}]", own, (*PER_METHOD, *EITHER))
            if name not in self.methods:
                raise InputError(f"[method.{name}] is not among the methods {', '.join(self.methods)}")

    def _check_numbers(self) -> None:
        for density in self.densities:
            if type(density) not in (int, float) or not 0 < density < 1:
                raise InputError(f"densities must be between 0 and 1, found {density!r}: dense is a method")
        for seed in self.seeds:
            if type(seed) is not int or seed < 0:
                raise InputError(f"seeds must be whole numbers from 0 on, found {seed!r}")
            if seed >= _LARGEST_SEED:
                raise InputError(f"seeds must be below {_LARGEST_SEED}, found {seed!r}")

    def _check_folders(self) -> None:
        """Make sure that the grid can be listed, and that each run of it can have a folder of its own."""
        count = len(self.seeds) * len(self.sides) * len(self.densities) * (len(self.methods) + len(self.controls))
        if count > _MOST_RUNS:
            raise InputError(f"the protocol has {count:,} runs, more than {_MOST_RUNS:,}: split it")
        names = [*self.methods, *(f"{self.control_of}-{control}" for control in self.controls)]
        found = Counter(_folder("", "", *cell).name for cell in product(names, self.densities, self.seeds))
        if twice := [name for name, count in found.items() if count > 1]:
            raise InputError(f"two runs would share the folder {twice[0]}: choose other names of methods")
        for control, side, density in product(self.controls, self.sides, self.densities):
            self._control(control, side, density, self.seeds[0], "")  # checks its config

    def _check_method(self, name: str) -> None:
        if name.endswith(CONTROL_ENDINGS):
            raise InputError(
                f"methods has {name}: names that end in {', '.join(CONTROL_ENDINGS)} are those of controls"
            )
        if _NO_FOLDER.search(name) or name.startswith(".") or len(name.encode()) > _LONGEST_NAME:
            raise InputError(
                f"methods has {name!r}, which cannot be the name of a folder: use letters, digits, - and _, at most "
                f"{_LONGEST_NAME}"
            )
        own = self._own(name)
        if not isinstance(own["method"], str):
            raise InputError(f"[method.{name}] must have the name of a method, found {own['method']!r}")
        check_names(self._config(name, "snn", 0.5, 0))
        if "alpha" in own and not methods.needs(own["method"], "density"):
            raise InputError(
                f"[method.{name}] has alpha, and with it {own['method']} ends at a density of its own: what is "
                "compared has a density that is asked for; run it with experiments.train"
            )

    def runs(self, out: str | os.PathLike[str]) -> Iterator[Run]:
        """Every run of the grid, controls last; run folders are in `out`."""
        for seed, side in product(self.seeds, self.sides):
            for method in self.methods:
                for density in self._densities(method):
                    config = self._config(method, side, density, seed)
                    yield Run(method, side, density, seed, config, _folder(out, side, method, density, seed))
        for seed, side, control, density in product(self.seeds, self.sides, self.controls, self.densities):
            yield self._control(control, side, density, seed, out)

    def _densities(self, method: str) -> Sequence[float]:
        return (1.0,) if self._own(method)["method"] == "dense" else self.densities

    def _own(self, method: str) -> dict[str, Any]:
        return {"method": method, **self.method.get(method, {})}

    def _config(self, method: str, side: str, density: float, seed: int) -> Config:
        own = self._own(method)
        asked = None if own["method"] == "dense" else density
        run = self._unpruned if own["method"] == "dense" else self.run
        return Config(**{**run, **own}, density=asked, neuron=SIDES[side].neuron, seed=seed)

    @property
    def _unpruned(self) -> dict[str, Any]:
        """Shared options, minus those that only pruned runs accept: no chip for "dense", or for a control."""
        return {name: value for name, value in self.run.items() if name not in EITHER}

    def _control(self, control: str, side: str, density: float, seed: int, out: str | os.PathLike[str]) -> Run:
        assert self.control_of is not None
        source = next(other for other in SIDES if (other != side) == (control == "transfer"))
        found = _folder(out, source, self.control_of, density, seed)
        options = {"connectivity": str(found / "connectivity.safetensors"), "shuffle": control == "shuffled"}
        base = Config(**self._unpruned, method="fixed", options=options, neuron=SIDES[side].neuron, seed=FRESH + seed)
        longer = min(SCRATCH_B_CAP, 1 / density) if control == "scratch-b" else 1
        config = replace(base, epochs=round(base.epochs * longer))
        name = f"{self.control_of}-{control}"
        return Run(name, side, density, seed, config, _folder(out, side, name, density, seed), after=found)


def read_protocol(path: str | os.PathLike[str]) -> Protocol:
    """The protocol in a TOML file.

    Raises:
        InputError: no such file, no TOML, an unknown key, or a wrong value; the message names the file.
    """
    try:
        content = read_toml(path, what="protocol")
    except MissingFile as error:
        raise InputError(f"{path} does not exist: give a protocol file (docs/compare.md shows one)") from error
    try:
        _check_known("the protocol", content, [entry.name for entry in fields(Protocol)])
        return Protocol(**content)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _folder(out: str | os.PathLike[str], side: str, method: str, density: float, seed: int) -> Path:
    return Path(out) / side / f"{method}-{100 * density:g}-{seed}"


def _check_known(
    where: str, found: Sequence[str] | Mapping[str, Any], known: Sequence[str] | Mapping[str, Any]
) -> None:
    if unknown := [name for name in found if name not in known]:
        raise InputError(f"{where} has unknown {', '.join(map(str, unknown))}: known are {', '.join(known)}")


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > _LONGEST_TEXT:
        raise InputError(f"{name} must be text of one line, at most {_LONGEST_TEXT} characters, found {value!r}")


def _check_list(name: str, value: Any, *, empty: bool) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not (len(value) or empty):
        raise InputError(f"{name} must be a list{'' if empty else ' with one entry or more'}, found {value!r}")


def _check_table(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be a table, found {value!r}")
