"""Every reader, given thousands of damaged files: one line, soon, in little memory; nothing changed is accepted.

The fast tests draw some dozens of variants for each reader, the slow ones a thousand of each kind.
"""

import argparse
import json
import resource
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from experiments import draw as draw_script
from snnprune import Connectivity, InputError, methods
from snnprune.budget import read_chip
from snnprune.export import load_csr, restore_csr, save_csr
from snnprune.report import Footage
from snnprune.runs.comparison import measured_with, read_protocol, read_results
from snnprune.runs.config import Config, read_config_file
from snnprune.runs.options import add_options
from snnprune.runs.summary import read_summary
from snnprune.storage import read_tensors
from snnprune.training import Data, Recipe, RunFolder, Split, Trainer, load_checkpoint, load_network, save_checkpoint
from tests.report.test_film import FILM
from tests.storage import damage

DATA = Path(__file__).parents[1] / "data" / "run-0"
CHIPS = Path(__file__).parents[2] / "snnprune" / "budget" / "chips"
SECONDS, BYTES = 1.0, 200_000_000

PROTOCOL = {
    "title": "Digits", "methods": ["dense", "gmp", "other"], "densities": [0.2, 0.1], "sides": ["snn", "ann"],
    "seeds": [0, 1], "controls": ["shuffled", "scratch-b"], "control_of": "gmp",
    "run": {"model": "digits-mlp", "data": "digits", "epochs": 2, "lr": 0.01},
    "method": {"other": {"method": "pruning", "criterion": "taylor", "options": {"begin": 0.1}}},
}  # fmt: skip
CHIP = {
    "name": "Mine", "maker": "Me", "about": "For tests.", "placement": "neurons", "convolution": "replicated",
    "zeros": "memory",
    "limits": {"cores": {"value": 2, "source": "here", "verified": True},
               "core_neurons": {"value": 16, "source": "here", "verified": True}},
    "weights": {"bits": {"value": [4, 8], "source": "here", "verified": True},
                "encoding": {"value": "lists", "source": "here", "verified": True}},
    "energy": {"synaptic_operation": {"value": 12.7, "source": "here", "verified": False}},
}  # fmt: skip
ROWS = [
    {"epoch": n, "step": 4 * n, "train_loss": 0.5, "train_accuracy": 0.25, "density": 0.3, "seconds": 1.5}
    for n in (1, 2, 3)
]
TABLE = "method,side,density,seed,accuracy,seconds\ngmp,snn,0.1,0,0.9,1.5\ngmp,ann,0.1,1,0.8,\n"


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4))


def trainer() -> Trainer:
    made = network()
    optimizer = Adam(made.parameters(), lr=0.01)
    method = methods.create("gradr", made, optimizer, steps=12, density=0.3)
    split = Split(torch.rand(20, 6), torch.arange(20) % 4)
    data = Data("own", split, split, "test", 4, torch.zeros(1), torch.ones(1))
    schedule = CosineAnnealingLR(optimizer, T_max=12)
    return Trainer(made, optimizer, method, data, Recipe(epochs=3, batch_size=5, schedule=schedule))


def half_way() -> Trainer:
    half = trainer()
    for _ in half.train_epoch(lambda: False):
        pass
    half.finish_epoch()
    for _ in half.train_epoch(lambda: half.batch >= 2):
        pass
    return half


def state_of(given: Trainer) -> list[Any]:
    """Return everything that a refused load must leave as it is, as bytes and numbers."""
    tensors = [*given.network.state_dict().values(), *given.method.state_dict().values(), given.losses, given.correct]
    states = [value for state in given.optimizer.state.values() for value in state.values()]
    numbers = [given.epoch, given.batch, given.optimizer.param_groups[0]["lr"], given.method.steps_done]
    raw = [value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() for value in (*tensors, *states)]
    return [*raw, *numbers, getattr(given.schedule, "state_dict", dict)(), torch.get_rng_state().numpy().tobytes()]


PRESENT = trainer()


def load_into_a_trainer(path: Path) -> None:
    """Load a checkpoint; one that is refused must leave the trainer unchanged."""
    global PRESENT
    torch.manual_seed(1)
    before = state_of(PRESENT)
    try:
        load_checkpoint(path, PRESENT)
    except InputError:
        assert state_of(PRESENT) == before
        raise
    PRESENT = trainer()


def same_tensors(path: Path, kind: str) -> Any:
    tensors, metadata = read_tensors(path, kind=kind)
    return {name: (value.dtype, value.tolist()) for name, value in tensors.items()}, metadata


@dataclass(frozen=True)
class Reader:
    """A reader, a valid file for it, and how the values in such a file are damaged.

    Attributes:
        name: of the file.
        read: called with its path.
        write: writes a valid one.
        change: from the path of a valid file and draws to the bytes of one with wrong values.
        content: of a file with a checksum: of whatever is accepted, it must be that of the valid one.
    """

    name: str
    read: Callable[[Path], Any]
    write: Callable[[Path], Any]
    change: Callable[[Path, damage.Draw], bytes]
    content: Callable[[Path], Any] | None = None


def toml(content: Mapping[str, Any], read: Callable[[Path], Any], name: str = "a.toml") -> Reader:
    return Reader(
        name,
        read,
        lambda path: path.write_bytes(damage.as_toml(content, lambda _: 0)),
        lambda path, draw: damage.as_toml(damage.damaged_value(content, draw), draw),
    )


def of_json(name: str, content: Mapping[str, Any], read: Callable[[Path], Any]) -> Reader:
    return Reader(
        name,
        read,
        lambda path: path.write_text(json.dumps(content)),
        lambda path, draw: damage.as_json(damage.damaged_value(content, draw), draw),
    )


def archive(read: Callable[[Path], Any], write: Callable[[Path], Any], content: Callable[[Path], Any]) -> Reader:
    def change(path: Path, draw: damage.Draw) -> bytes:
        with np.load(path) as arrays:
            return damage.damaged_archive(dict(arrays), draw)

    return Reader("a.npz", read, write, change, content)


def tensors(kind: str, read: Callable[[Path], Any], write: Callable[[Path], Any]) -> Reader:
    def change(path: Path, draw: damage.Draw) -> bytes:
        found, metadata = read_tensors(path, kind=kind)
        return damage.damaged_tensors(found, metadata, kind=kind, path=path, draw=draw)

    return Reader("a.safetensors", read, write, change, lambda path: same_tensors(path, kind))


def lines(rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def damaged_table(_path: Path, draw: damage.Draw) -> bytes:
    cells = [line.split(",") for line in TABLE.splitlines()]
    row = draw(st.sampled_from(cells))
    row[draw(st.integers(0, 5))] = str(draw(st.sampled_from([*damage.WRONG, "1_0", "٣", " 1", "0x1"])))
    return "\n".join(",".join(line) for line in cells).encode()


def option(path: Path) -> None:
    """The value of an option is text where it is no JSON."""
    parser = argparse.ArgumentParser()
    add_options(parser, Config)
    Config(
        **{"options": {}, **vars(parser.parse_args(["--option", f"x={path.read_bytes().decode(errors='replace')}"]))}
    )


def environments(path: Path) -> None:
    assert "torch" in measured_with([path.parent])
    RunFolder(path.parent).note_environment()


def save_connectivity(path: Path) -> None:
    masks = {"b.weight": torch.rand(4, 6) < 0.5, "a.weight": torch.rand(3, 4) < 0.5}
    Connectivity(masks).save(path)


def csr_content(path: Path) -> Any:
    return {
        name: (matrix.shape, matrix.data.tolist(), matrix.indices.tolist(), matrix.indptr.tolist())
        for name, matrix in load_csr(path).items()
    }


def film_content(path: Path) -> Any:
    film = Footage.load(path)
    return {entry.name: str(np.asarray(getattr(film, entry.name)).tolist()) for entry in fields(Footage)}


def config(name: str) -> Any:
    return json.loads((DATA / name).read_text())


READERS = {
    "protocol": toml(PROTOCOL, read_protocol),
    "chip": toml(CHIP, lambda path: read_chip(path).explain()),
    "options of a run": toml(
        {"model": "digits-mlp", "data": "digits", "epochs": 2, "lr": 0.01, "options": {"begin": 0.1}},
        lambda path: Config(**read_config_file(str(path))),
    ),
    "config.json": of_json(
        "config.json", config("config.json"),
        lambda path: Config.from_json(RunFolder(path.parent).read_json("config.json")),
    ),
    "summary.json": of_json("summary.json", config("summary.json"), lambda path: read_summary(RunFolder(path.parent))),
    "environment.json": of_json("environment.json", {**config("environment.json"), "resumed": [{}]}, environments),
    "metrics.jsonl": Reader(
        "metrics.jsonl",
        lambda path: RunFolder(path.parent).rows(),
        lambda path: path.write_bytes(lines(ROWS)),
        lambda path, draw: lines(damage.damaged_value(ROWS, draw)),
    ),
    "table": Reader("a.csv", read_results, lambda path: path.write_text(TABLE), damaged_table),
    "heading": Reader(
        "a.md", draw_script._heading, lambda path: path.write_text("# A\n"), lambda path, draw: draw(st.binary())
    ),
    "csr": archive(load_csr, lambda path: save_csr(path, network()), csr_content),
    "csr into a network": archive(
        lambda path: restore_csr(path, network()), lambda path: save_csr(path, network()), csr_content
    ),
    "film": archive(Footage.load, FILM.save, film_content),
    "connectivity": tensors("connectivity", Connectivity.load, save_connectivity),
    "checkpoint": tensors("checkpoint", load_into_a_trainer, lambda path: save_checkpoint(
        path, half_way(), config={"a": 1}, rows=[{**ROWS[0], "step": 4}],
    )),
    "weights": tensors("checkpoint", lambda path: load_network(path, network()), lambda path: save_checkpoint(
        path, half_way(),
    )),
}  # fmt: skip


def attempt(reader: Reader, path: Path, *, known: Any = None) -> None:
    """Read a file; whatever happens must be an InputError of one line, or a result that the file justifies."""
    try:
        reader.read(path)
    except InputError as error:
        message = str(error)
    else:
        message = ""
    assert len(message) < 5_000
    assert message.isprintable()
    if not message and known is not None:
        assert reader.content is not None
        assert reader.content(path) == known


def measured(reader: Reader, path: Path, *, known: Any = None) -> None:
    """As `attempt`, within a second and 200 MB; a second time if the machine was busy."""
    for last in (False, True):
        tracemalloc.start()
        began = time.perf_counter()
        try:
            attempt(reader, path, known=known)
        finally:
            seconds = time.perf_counter() - began
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < BYTES
        if seconds < SECONDS:
            return
        assert not last, f"{seconds:.1f} s"


def variants(name: str, folder: Path, count: int, check: Callable[..., None]) -> int:
    """Draw `count` files of each kind of damage, and try each; returns how many were tried."""
    tried = 0
    reader = READERS[name]
    path = folder / "run" / reader.name
    path.parent.mkdir()
    torch.manual_seed(0)
    reader.write(path)
    valid, known = path.read_bytes(), reader.content and reader.content(path)
    kinds = settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))

    @kinds
    @given(st.data())
    def bytes_are_damaged(data: st.DataObject) -> None:
        nonlocal tried
        tried += 1
        path.write_bytes(damage.damaged_bytes(valid, data.draw))
        check(reader, path, known=known)

    @kinds
    @given(st.data())
    def values_are_wrong(data: st.DataObject) -> None:
        nonlocal tried
        tried += 1
        path.write_bytes(valid)
        path.write_bytes(reader.change(path, data.draw))
        check(reader, path)

    @settings(kinds, max_examples=min(count, 60))
    @given(st.data())
    def there_is_no_file(data: st.DataObject) -> None:
        path.unlink(missing_ok=True)
        other = damage.put_no_file(path, data.draw)
        try:
            attempt(reader, other)
        finally:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            path.unlink(missing_ok=True)

    attempt(reader, path, known=known)
    bytes_are_damaged()
    values_are_wrong()
    there_is_no_file()
    return tried


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_one_line(name, tmp_path):
    assert variants(name, tmp_path, 40, attempt) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_thousand_damaged_files_are_one_line_soon_and_in_little_memory(name, tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert variants(name, tmp_path, 1_000, measured) >= 1_000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES


@pytest.mark.parametrize("name", READERS)
def test_the_valid_file_is_read_and_left_as_it_is(name, tmp_path):
    path = tmp_path / READERS[name].name
    READERS[name].write(path)
    before = path.read_bytes()
    READERS[name].read(path)
    assert path.read_bytes() == before
