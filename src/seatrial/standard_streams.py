"""Standard input, output and error are open, if only on nothing.

Where one was closed by whoever started us, the next file that is opened takes its number: a child's own standard stream then
takes the place of memory or a pipe that it was to inherit.
"""

from __future__ import annotations

import os


def open_standard_streams() -> None:
    """Before anything else opens a file."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
