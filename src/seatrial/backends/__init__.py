"""Inference runtimes behind one protocol: open, inputs, outputs, run, close.

For: running a model on the runtime, device, precision and threads that were asked for, and failing where that is not
what runs. Not for: pre- or postprocessing. Nothing here is imported before it is needed.
"""

from seatrial.backends.base import Availability, Backend, OpenOptions
from seatrial.backends.catalogue import availability, open_backend

__all__ = ["Availability", "Backend", "OpenOptions", "availability", "open_backend"]
