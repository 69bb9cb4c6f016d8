"""Changed copies of the source that the tests must notice; see `python -m tests.mutants --help`."""
