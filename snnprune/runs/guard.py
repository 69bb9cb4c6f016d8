"""From exceptions to one line and an exit status, for all scripts."""

import logging
import sys
from collections.abc import Callable

from ..errors import InputError, Stopped


def guard(work: Callable[[], None]) -> int:
    """Call `work`; turn what a user can do something about into one line and an exit status.

    Returns:
        0 done, 2 wrong input, 130 stopped.
    """
    logging.basicConfig(format="%(message)s")
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
