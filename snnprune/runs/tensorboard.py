"""TensorBoard files of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import InputError
from ..training import RunFolder


class Log:
    """TensorBoard files of a run; what goes wrong with the disk is one line, as for all other files."""

    def __init__(self, folder: RunFolder, writer: Callable[..., Any]) -> None:
        self._path = folder.path / "tensorboard"
        with self._one_line():
            self._writer = writer(self._path)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_reason: Any) -> None:
        with self._one_line():
            self._writer.close()

    def add(self, row: dict[str, Any]) -> None:
        """Add the figures of an epoch."""
        with self._one_line():
            for name in ("train_loss", "train_accuracy", "evaluation_accuracy", "density"):
                if name in row:
                    self._writer.add_scalar(name, row[name], row["epoch"])

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"cannot write to {self._path}: {error.strerror or error}") from error


def tensorboard_writer() -> Callable[..., Any]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("--tensorboard needs tensorboard: pip install snnprune[tensorboard]") from error
    return SummaryWriter
