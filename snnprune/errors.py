"""The one exception that means "what was given cannot be used"."""


class InputError(ValueError):
    """Something the caller gave is wrong: one line that says what, what was found, and what to do.

    Scripts print the line and exit with status 2. Anything else that is raised is a bug of ours.
    """
