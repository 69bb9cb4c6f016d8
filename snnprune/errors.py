"""The exceptions of this library: wrong input, and a run that was stopped."""


class InputError(ValueError):
    """Something the caller gave is wrong: one line that says what, what was found, and what to do.

    Scripts print the line and exit with status 2. Anything else that is raised is a bug of ours.
    """


class Stopped(Exception):
    """A run was stopped before its end and can be resumed; the message says how."""
