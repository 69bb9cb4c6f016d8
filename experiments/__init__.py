"""Scripts that a person runs and reads: `python -m experiments.quickstart`, `python -m experiments.train --help`."""

import os

# Before torch is imported: idle OpenMP threads are to sleep. Spinning, they slow a training down up to 76 times as soon
# as something else wants a core.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
