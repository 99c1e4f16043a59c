"""The main thread's alternate signal stack, kept where it was.

OpenVINO's CPU plugin sets one of its own while it works, and now and then leaves it behind although its memory is gone: the next
signal that Python handles in that process is delivered there, and kills it without a word.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator


class _Stack(ctypes.Structure):
    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextlib.contextmanager
def signal_stack_kept() -> Iterator[None]:
    before = _Stack()
    sigaltstack = ctypes.CDLL(None, use_errno=True).sigaltstack
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        if sigaltstack(ctypes.byref(before), None):
            raise OSError(ctypes.get_errno(), "sigaltstack")
