"""Rewiring: connectivity that is learned together with the weights."""

from .base import Rewiring
from .dense import Dense
from .gradr import GradR
from .registry import create, find, names, register

__all__ = ["Dense", "GradR", "Rewiring", "create", "find", "names", "register"]
