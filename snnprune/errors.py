"""The exceptions of this library: wrong input, and a run that was stopped."""


class InputError(ValueError):
    """Input that cannot be used. The message is one line: what is wrong, what was found, what to do.

    Scripts print that line and exit with status 2. Any other exception is a bug of this library.
    """


class Stopped(Exception):
    """A run was stopped before its end and can be resumed; the message says how."""
