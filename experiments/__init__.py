"""Scripts that a person runs and reads: `python -m experiments.quickstart`, `python -m experiments.train --help`."""
