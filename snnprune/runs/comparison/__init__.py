"""A comparison of methods: its protocol, the grid of its runs, the verdict, and the tables."""

from .grid import run_all, run_grid
from .protocol import Protocol, Run, read_protocol
from .results import draw_accuracy, markdown, measured_with, read_results, write_results
from .verdict import Result, accuracies, cell, distinguishable, margin, sentences, table

__all__ = [
    "Protocol",
    "Result",
    "Run",
    "accuracies",
    "cell",
    "distinguishable",
    "draw_accuracy",
    "margin",
    "markdown",
    "measured_with",
    "read_protocol",
    "read_results",
    "run_all",
    "run_grid",
    "sentences",
    "table",
    "write_results",
]
