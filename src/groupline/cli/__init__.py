"""The command line."""

from groupline.cli.main import main

__all__ = ["main"]
