"""From exceptions to one line and an exit status, for all scripts."""

import logging
import sys
from collections.abc import Callable

from ..errors import InputError, Stopped, printable


class _Printable(logging.Formatter):
    """The message alone; a name from a file cannot do anything to the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), keep="\n\t")


def guard(work: Callable[[], None]) -> int:
    """Call `work`; turn what a user can do something about into one line and an exit status.

    Returns:
        0 done, 2 wrong input, 130 stopped.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable())
    logging.basicConfig(handlers=[handler])
    try:
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
