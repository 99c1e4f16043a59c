"""The command line: parse, call, print, exit code. Nothing here measures or decides."""

from seatrial.cli.app import main

__all__ = ["main"]
