"""One page that opens from disk: an assessment with its pictures inside."""

from .page import render, save_page

__all__ = ["render", "save_page"]
