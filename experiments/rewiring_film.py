"""Record a training as a film: which synapses go, which come back, and which stay.

    python -m experiments.rewiring_film --method gradr --density 0.03 --out runs/film

Trains like experiments.train and writes a film of one layer (film.gif) with a strip of it for print (strip.png), the
numbers of synapses that came and went in every layer (turnover.png), the distribution of the hidden parameter
(hidden.png), and the numbers behind the pictures (film.npz), from which --draw-only draws them again. The network is
not saved.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from snnprune.errors import InputError, Stopped, printable
from snnprune.methods import Method
from snnprune.report import Footage, plot_film, plot_hidden, plot_strip, plot_turnover
from snnprune.runs import make_trainer
from snnprune.runs.config import Config, Runtime
from snnprune.runs.guard import guard
from snnprune.runs.options import Parser, add_options, config_fields, runtime_of
from snnprune.runs.recording import Recorder
from snnprune.training import RunFolder, Trainer

FRAMES, MOST = 40, 400
# Defaults for the 1,437 digits.
_DIGITS: dict[str, Any] = {"model": "digits-mlp", "epochs": 20, "batch_size": 32, "lr": 3e-3}
PICTURES: dict[str, Callable[..., object]] = {
    "film.gif": plot_film,
    "strip.png": plot_strip,
    "turnover.png": plot_turnover,
    "hidden.png": plot_hidden,
}
_OWN = ("out", "every", "layer", "draw_only")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status: 0 done, 2 wrong input, 130 stopped."""
    parser = Parser(
        prog="python -m experiments.rewiring_film",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_argument_group("the film")
    group.add_argument("--out", default="runs/film", help="folder of the pictures (default: %(default)s)")
    group.add_argument("--layer", help="layer to show (default: the first)")
    group.add_argument(
        "--every", type=int, metavar="STEPS", help=f"steps between two frames (default: about {FRAMES} frames)"
    )
    group.add_argument("--draw-only", action="store_true", help="draw the pictures again from the film.npz in --out")
    add_options(parser, Config, Runtime, without=("out", "resume", "tensorboard", "stop_after"))
    options = parser.parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if name not in _OWN}
    return guard(lambda: draw_again(options, given) if options.draw_only else film(options, given))


def film(options: argparse.Namespace, given: dict[str, Any]) -> None:
    """Train, record, and draw."""
    config = _config(given)
    runtime = runtime_of(given)
    trainer = make_trainer(config, runtime)
    every = _interval(trainer, options.every)
    recorder = Recorder(trainer, layer=options.layer, title=f"{config.method} trains {config.model} on {config.data}")
    with RunFolder(options.out) as folder:
        try:
            watch(trainer, recorder, every, quiet=runtime.quiet)
            footage = recorder.footage(trainer.evaluate())
            footage.save(folder.path / "film.npz")
        except KeyboardInterrupt as error:
            raise Stopped(
                f"stopped at step {trainer.steps_done} of {trainer.total_steps}; nothing was written"
            ) from error
        draw(folder.path, footage)


def draw_again(options: argparse.Namespace, given: dict[str, Any]) -> None:
    """Draw an earlier recording."""
    unused = [name for name in ("layer", "every") if getattr(options, name) is not None] + list(given)
    if unused:
        flags = ", ".join("--" + name.replace("_", "-") for name in unused)
        raise InputError(f"--draw-only draws an earlier recording, on which {flags} has no effect: leave it out")
    footage = Footage.load(Path(options.out) / "film.npz")
    with RunFolder(options.out) as folder:
        draw(folder.path, footage)


def watch(trainer: Trainer, recorder: Recorder, every: int, *, quiet: bool = False) -> None:
    """Train from the first step to the last, and record the first, every `every`-th, and the last.

    Before the first step many methods have not begun: synapses that they remove at once are absent in the first frame.
    """
    with tqdm(total=trainer.total_steps, unit="step", dynamic_ncols=True, disable=True if quiet else None) as bar:
        while trainer.epoch < trainer.recipe.epochs:
            for step in trainer.train_epoch():
                bar.update()
                recorder.step()
                if step == 1 or step % every == 0 or step == trainer.total_steps:
                    recorder.record(last=step == trainer.total_steps)
            trainer.finish_epoch()


def draw(folder: Path, footage: Footage) -> None:
    """Draw all pictures and print a line about them."""
    try:
        for name, plot in PICTURES.items():
            plot(footage, path=folder / name)
    except KeyboardInterrupt as error:
        again = f"python -m experiments.rewiring_film --draw-only --out {folder}"
        raise Stopped(f"stopped while drawing; film.npz is complete, continue with: {again}") from error
    size = (folder / "film.gif").stat().st_size / 1e6
    told = (
        f"{footage.final_accuracy:.2%} on the {footage.evaluated_on} images with {footage.density(-1):.3%} of the "
        f"synapses; a film of {len(footage)} frames ({size:.1f} MB) and {len(PICTURES) - 1} pictures are in {folder}"
    )
    print(printable(told))


def _config(given: dict[str, Any]) -> Config:
    """Read the options as experiments.train does, with defaults that suit a film."""
    chosen = config_fields(given)
    small = chosen.get("data") == "digits"
    if chosen.keys().isdisjoint(("method", "density", "alpha", "options")):
        chosen["density"] = 0.1 if small else 0.03
    return Config(**((_DIGITS if small else {}) | chosen))


def _interval(trainer: Trainer, every: int | None) -> int:
    """Return the steps between two frames.

    By default a multiple of the steps between two selections of the method, so that each frame follows a selection.
    """
    if every is None:
        period, ideal = _period(trainer.method), max(1, round(trainer.total_steps / FRAMES))
        return period * max(1, round(ideal / period)) if period < 2 * ideal else ideal
    if every < 1:
        raise InputError(f"--every must be 1 step or more, found {every}")
    if trainer.total_steps // every > MOST:
        least = -(-trainer.total_steps // MOST)
        raise InputError(
            f"--every {every} makes {trainer.total_steps // every:,} frames, more than {MOST}: choose {least} or more"
        )
    return every


def _period(method: Method) -> int:
    """Return the steps between two selections of a method; 1 where they are not periodic."""
    return getattr(getattr(method, "schedule", None), "every", 1)


if __name__ == "__main__":
    sys.exit(main())
