"""From exceptions to one line and an exit status, for all scripts."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import InputError, Stopped, printable


class _Printable(logging.Formatter):
    """The message alone; a name from a file cannot do anything to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


class Terminated(KeyboardInterrupt):
    """SIGTERM was received: a job scheduler, or a person, asks this process to end."""


def guard(work: Callable[[], None]) -> int:
    """Call `work`; turn what a user can do something about into one line and an exit status.

    Returns:
        0 done, 2 wrong input, 130 stopped.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable())
    logging.basicConfig(handlers=[handler])
    try:
        with _terminated():
            work()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("interrupted; what was saved is kept", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _terminated() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that what is open is closed and other processes are ended."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return

    def end(_number: int, _frame: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
