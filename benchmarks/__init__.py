"""Benchmarks: variants side by side in one run. Results are committed with date and machine."""

import experiments as experiments  # how threads wait must be settled before torch is imported
