"""Run the command `snnprune` by `python -m snnprune`."""

import os
import sys

# Python puts the current folder first: a file there must not hide a module of a library.
if not sys.flags.safe_path and sys.path and sys.path[0] in ("", os.getcwd()):
    del sys.path[0]

from .cli import main

sys.exit(main())
