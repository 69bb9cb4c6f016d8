"""The configuration of a run; its fields are the options of `experiments.train`, in the order of its `--help`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Annotated, Any, Literal, get_args, get_origin

from ..errors import InputError
from ..options import Count, CountOrZero, Fraction, NonNegative, Positive, Seed, Share, check_fields

# The three parts of a pruning method; a method has its own, and takes others.
COMBINATION = ("criterion", "allocation", "schedule")
# Names for the help text, which must not import torch; a test holds them to the modules that know them.
MODELS = ("cifar10-cnn", "digits-mlp", "lenet5", "mnist-mlp", "vgg11")
DATA = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100")

# Options of a method that are fields of their own -> how to give them.
_FIELDS_OF_OTHERS = {
    name: f"give --{name}" for name in ("density", "alpha", "seed", "criterion", "schedule", "loss")
} | {
    "steps": "give --epochs",
    "batches": "give --calibration",
    "network": "give --model",
    "optimizer": "it is Adam",
}


Loss = Literal["mse", "ce", "tet"]
Precision = Literal["fp32", "bf16"]
Compile = Literal["auto", "on", "off"]


def option(default: Any, text: str) -> Any:
    """A field with a help text; its annotation declares its values."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides a run's result; `config.json` in the run folder.

    Raises:
        InputError: a value of another type or outside its range.
    """

    model: str = option(
        "mnist-mlp", f"{', '.join(MODELS)}, sizes such as 784-512-10, or package.module:factory of your own"
    )
    data: str = option("mnist", ", ".join(DATA))
    images: CountOrZero = option(0, "train and evaluate on the first N images only; 0: on all")
    method: str = option("gradr", "a method by name (see docs/methods.md), or package.module:Class for one of your own")
    density: Share | None = option(None, "share of the synapses to end with, in (0, 1]")
    alpha: Positive | None = option(None, "the pressure of the published Grad R (instead of a density), and of Deep R")
    criterion: str | None = option(None, "which synapses to keep, in place of the method's own: magnitude, taylor, ...")
    allocation: str | None = option(None, "how many in each layer: global, uniform, erk, lamp, 2:4, fan-in=32, ...")
    schedule: str | None = option(None, "when: one-shot, linear, cubic or rounds")
    chip: str | None = option(None, "end with a network that fits this chip: a name, or a .toml file (docs/chips.md)")
    calibration: Count = option(512, "training images given to a criterion")
    options: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "more options of the method, each as NAME=VALUE"},
    )
    epochs: Count = option(15, "passes over the training images")
    batch_size: Count = option(128, "images in a step")
    lr: Positive = option(1e-3, "learning rate of Adam at the start")
    hold: Fraction = option(0.8, "share of the training at that rate; it then falls to 0 on a cosine")
    weight_decay: NonNegative = option(0.0, "decoupled weight decay (AdamW)")
    loss: Loss = option("mse", "on the output's firing rates; tet: cross-entropy at every time step")
    timesteps: Count = option(8, "time steps for which an image is shown")
    neuron: Literal["lif", "relu"] = option("lif", "lif, or relu for the ANN twin")
    augment: Literal["default", "none", "crop-flip", "affine"] = option("default", "default: crop-flip for CIFAR")
    precision: Precision = option("fp32", "bf16: autocast")
    validation: CountOrZero = option(
        0, "training images to hold out and measure accuracy on; the test set is then not read"
    )
    seed: Seed = option(0, "of the weights, the order of the images and the augmentation")

    def __post_init__(self) -> None:
        check_fields(self, label=flag)
        if wrong := [name for name in self.options if name in _FIELDS_OF_OTHERS]:
            raise InputError(f"--option {wrong[0]} is not a method's own: {_FIELDS_OF_OTHERS[wrong[0]]}")

    @classmethod
    def from_json(cls, content: Mapping[str, Any], where: str = "config.json") -> "Config":
        """A config from what `to_json` gives.

        Args:
            content: of a `config.json`, or of a file of the same keys.
            where: the file, for error messages.

        Raises:
            InputError: an unknown key, or a value of another type or outside its range.
        """
        check_keys(content, where)
        try:
            return cls(**content)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `config.json`."""
        return asdict(self)

    def different(self, other: "Config") -> list[str]:
        """The names of the fields in which two configs differ."""
        return [entry.name for entry in fields(self) if getattr(self, entry.name) != getattr(other, entry.name)]


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Settings of a run that do not decide its result; they can differ when it is resumed.

    Raises:
        InputError: a value of another type or outside its range.
    """

    out: str = option("runs/train", "the run folder")
    resume: bool = option(False, "go on with the run in --out; its options need not be given again")
    device: str = option("auto", "cpu, cuda, cuda:1, ...; auto: cuda where there is one")
    data_root: str | None = option(None, "folder of the data sets; else SNNPRUNE_DATA, else data")
    no_download: bool = option(False, "do not fetch missing data sets")
    compile: Compile = option("auto", "auto: where there is a compiler and the run is long")
    quiet: bool = option(False, "no progress on the screen")
    tensorboard: bool = option(False, "write TensorBoard files as well")
    stop_after: NonNegative | None = option(None, "seconds after which to save and stop, to be resumed later")

    def __post_init__(self) -> None:
        check_fields(self, label=flag)


def check_keys(content: Mapping[str, Any], where: str) -> None:
    """Make sure that all keys are fields of a config.

    Raises:
        InputError: the unknown ones are named, the known ones listed.
    """
    known = [entry.name for entry in fields(Config)]
    if unknown := [key for key in content if key not in known]:
        raise InputError(f"{where} has unknown keys {', '.join(unknown)}: known are {', '.join(known)}")


def read_config_file(path: str) -> dict[str, Any]:
    """The fields in a TOML file with the keys of `config.json`; those that it leaves out are left out.

    A file names no code: a model or method of the user's own, `package.module:attribute`, must be typed as an option.

    Raises:
        InputError: no such file, no TOML, an unknown key, or a model or method of the user's own.
    """
    from ..storage import read_toml  # after the command line is read: it imports torch

    content = read_toml(path)
    check_keys(content, path)
    for name in ("model", "method"):
        if ":" in str(content.get(name, "")):
            raise InputError(f"{path} has {name} {content[name]}: give it as {flag(name)}, a file imports no code")
    return content


def flag(name: str) -> str:
    """The option of a field."""
    return "--option" if name == "options" else "--" + name.replace("_", "-")


def plain_type(annotation: Any) -> type:
    """`float` for `float`, `float | None` and `Share | None`, `str` for a choice, `dict` for `dict[str, Any]`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (dict, Literal):
        return dict if origin is dict else str
    if origin is Annotated:
        return parts[0]
    return next((plain_type(part) for part in parts if part is not type(None)), annotation)


def choices_of(annotation: Any) -> tuple[str, ...] | None:
    """The only values of a field, or None."""
    return get_args(annotation) if get_origin(annotation) is Literal else None
