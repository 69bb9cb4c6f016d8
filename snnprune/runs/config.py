"""What a run is told. The fields are the options of `experiments.train`; their order is that of its `--help`."""

import argparse
import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, get_args, get_origin

from .. import InputError

# The three answers that make up a pruning method; a method has its own, and takes others.
COMBINATION = ("criterion", "allocation", "schedule")

# What a run gives to its method in another way.
_NOT_OPTIONS = {name: f"give --{name}" for name in ("density", "alpha", "seed", "criterion", "schedule", "loss")} | {
    "steps": "give --epochs",
    "batches": "give --calibration",
    "network": "give --model",
    "optimizer": "it is Adam",
}


def _option(default: Any, text: str, *choices: str) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices or None})


@dataclass(frozen=True, kw_only=True)
class Config:
    """What decides a run's result; `config.json` in the run folder.

    Raises:
        InputError: a value outside its range.
    """

    model: str = _option(
        "mnist-mlp", "a network of models/ by name, sizes such as 784-512-10, or package.module:factory"
    )
    data: str = _option("mnist", "digits, mnist, fashion-mnist, cifar10 or cifar100")
    method: str = _option(
        "gradr", "a method by name (see docs/methods.md), or package.module:Class for one of your own"
    )
    density: float | None = _option(None, "share of the synapses to end with, in (0, 1]")
    alpha: float | None = _option(None, "the pressure of the published Grad R (instead of a density), and of Deep R")
    criterion: str | None = _option(
        None, "which synapses to keep, in place of the method's own: magnitude, taylor, ..."
    )
    allocation: str | None = _option(None, "how many in each layer: global, uniform, erk, lamp, 2:4, fan-in=32, ...")
    schedule: str | None = _option(None, "when: one-shot, linear, cubic or rounds")
    chip: str | None = _option(None, "end with a network that fits this chip: a name, or a .toml file (docs/chips.md)")
    calibration: int = _option(512, "training images that a criterion looks at")
    options: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "one more option of the method, as NAME=VALUE; may be repeated", "choices": None},
    )
    epochs: int = _option(15, "passes over the training images")
    batch_size: int = _option(128, "images in a step")
    lr: float = _option(1e-3, "learning rate of Adam at the start")
    hold: float = _option(0.8, "share of the training at that rate; it then falls to 0 on a cosine")
    weight_decay: float = _option(0.0, "decoupled weight decay (AdamW)")
    loss: str = _option(
        "mse", "on the output's firing rates; tet: cross-entropy at every time step", "mse", "ce", "tet"
    )
    timesteps: int = _option(8, "time steps for which an image is shown")
    neuron: str = _option("lif", "lif, or relu for the ANN twin", "lif", "relu")
    augment: str = _option("default", "default: crop-flip for CIFAR", "default", "none", "crop-flip", "affine")
    precision: str = _option("fp32", "bf16: autocast", "fp32", "bf16")
    validation: int = _option(0, "training images to hold out and measure accuracy on; the test set is then not read")
    seed: int = _option(0, "of the weights, the order of the images and the augmentation")

    def __post_init__(self) -> None:
        for entry in fields(self):
            _check(entry.name, getattr(self, entry.name), entry.type, entry.metadata["choices"])
        for name in ("epochs", "batch_size", "lr", "timesteps", "calibration"):
            if not getattr(self, name) > 0:
                raise InputError(f"{_flag(name)} must be above 0, found {getattr(self, name)}")
        for name in ("validation", "seed", "weight_decay"):
            if getattr(self, name) < 0:
                raise InputError(f"{_flag(name)} must not be negative, found {getattr(self, name)}")
        if not 0 <= self.hold <= 1:
            raise InputError(f"--hold must be in [0, 1], found {self.hold}")
        if self.density is not None and not 0 < self.density <= 1:
            raise InputError(f"--density must be in (0, 1], found {self.density}")
        if self.alpha is not None and not self.alpha > 0:
            raise InputError(f"--alpha must be above 0, found {self.alpha}")
        if told := [name for name in self.options if name in _NOT_OPTIONS]:
            raise InputError(f"--option {told[0]} is not a method's own: {_NOT_OPTIONS[told[0]]}")

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Config":
        """A config from a run folder's `config.json`.

        Raises:
            InputError: an unknown key, or a value outside its range.
        """
        known = [entry.name for entry in fields(cls)]
        if unknown := [key for key in content if key not in known]:
            raise InputError(f"config.json has unknown keys {', '.join(unknown)}: known are {', '.join(known)}")
        return cls(**content)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self)

    def different(self, other: "Config") -> list[str]:
        """The names of the fields in which two configs differ."""
        return [entry.name for entry in fields(self) if getattr(self, entry.name) != getattr(other, entry.name)]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Where and how a run is carried out; it can differ when the run is resumed."""

    out: str = _option("runs/train", "the run folder")
    resume: bool = _option(False, "go on with the run in --out; its options need not be given again")
    device: str = _option("auto", "cpu, cuda, cuda:1, ...; auto: cuda where there is one")
    data_root: str | None = _option(None, "folder of the data sets; else SNNPRUNE_DATA, else data")
    no_download: bool = _option(False, "do not fetch missing data sets")
    compile: str = _option("auto", "auto: where there is a compiler and the run is long", "auto", "on", "off")
    quiet: bool = _option(False, "no progress on the screen")
    tensorboard: bool = _option(False, "write TensorBoard files as well")
    stop_after: float | None = _option(None, "seconds after which to save and stop, to be resumed later")


def fields_of(kind: type[Config] | type[Runtime], given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of that kind among what a command line says."""
    return {entry.name: given[entry.name] for entry in fields(kind) if entry.name in given}


def with_method(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a config, in which a combination without a method means "pruning"."""
    combined = "method" not in chosen and not chosen.keys().isdisjoint(COMBINATION)
    return dict(chosen) | ({"method": "pruning"} if combined else {})


def add_options(parser: argparse.ArgumentParser, *kinds: type, without: Collection[str] = ()) -> None:
    """Give a parser one option for each field; options that are not given are absent from what it returns.

    Args:
        parser: where the options go.
        kinds: `Config` or `Runtime`, or both.
        without: fields that this script has no use for.
    """
    for kind in kinds:
        group = parser.add_argument_group({Config: "what decides the result", Runtime: "where and how"}[kind])
        for entry in fields(kind):
            if entry.name in without:
                continue
            text = entry.metadata["help"]
            if entry.type is bool:
                group.add_argument(_flag(entry.name), action="store_true", default=argparse.SUPPRESS, help=text)
                continue
            if entry.name == "options":
                group.add_argument("--option", dest="options", action=_Collect, metavar="NAME=VALUE", help=text)
                continue
            shown = "" if entry.default in (None, MISSING) else f" (default: {entry.default})"
            group.add_argument(
                _flag(entry.name),
                type=_plain_type(entry.type),
                choices=entry.metadata["choices"],
                default=argparse.SUPPRESS,
                metavar=None if entry.metadata["choices"] else _plain_type(entry.type).__name__.upper(),
                help=text + shown,
            )


class _Collect(argparse.Action):
    """Collect repeated NAME=VALUE in a dictionary; a value is JSON where it can be read as that, else text."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, dest, default=argparse.SUPPRESS, **settings)

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: Any = None
    ) -> None:
        name, equals, value = values.partition("=")
        if not (name and equals):
            parser.error(f"{option_string} wants NAME=VALUE, found {values!r}")
        with contextlib.suppress(json.JSONDecodeError):
            value = json.loads(value)
        setattr(namespace, self.dest, {**getattr(namespace, self.dest, {}), name: value})


def _flag(name: str) -> str:
    return "--option" if name == "options" else "--" + name.replace("_", "-")


def _plain_type(annotation: Any) -> type:
    """`float` for both `float` and `float | None`, `dict` for `dict[str, Any]`."""
    if get_origin(annotation) is dict:
        return dict
    return next((kind for kind in get_args(annotation) if kind is not type(None)), annotation)


def _check(name: str, value: Any, annotation: Any, choices: tuple[str, ...] | None) -> None:
    optional = type(None) in get_args(annotation)
    kind = _plain_type(annotation)
    fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
    if not (fits or (optional and value is None)) or isinstance(value, bool) != (kind is bool):
        raise InputError(f"{_flag(name)} must be of type {kind.__name__}, found {value!r}")
    if choices and value not in choices:
        raise InputError(f"{_flag(name)} must be one of {', '.join(choices)}, found {value!r}")
