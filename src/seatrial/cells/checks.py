"""Options against this machine: backends that are there, threads that it has cores for."""

from __future__ import annotations

from seatrial.backends import availability
from seatrial.backends.catalogue import NAMES
from seatrial.errors import BackendUnavailableError, UsageError, did_you_mean
from seatrial.machine.environment import usable_cores


def check_threads(threads: int) -> None:
    cores = len(usable_cores())
    if threads > cores:
        raise UsageError(
            f"expected at most {cores}, the cores that this process may use, got {threads}", option="threads"
        )


def check_name(backend: str) -> None:
    if backend not in NAMES:
        raise UsageError(
            f"expected one of {', '.join(NAMES)}, got {backend!r}{did_you_mean(backend, list(NAMES))}", option="backend"
        )


def check_backend(backend: str) -> None:
    check_name(backend)
    status = availability(backend)
    if not status.ok:
        raise BackendUnavailableError(f"backend {backend}: {status.reason}; {status.cure}")
