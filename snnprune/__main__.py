"""`python -m snnprune` is the command `snnprune`."""

import sys

from .cli import main

sys.exit(main())
