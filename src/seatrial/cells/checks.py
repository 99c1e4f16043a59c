"""Options against this machine: backends that are there and take what they are given, threads that it has cores for."""

from __future__ import annotations

from seatrial.backends import availability
from seatrial.backends.catalogue import takes
from seatrial.errors import BackendUnavailableError, UsageError
from seatrial.machine.environment import usable_cores
from seatrial.runtimes import openvino
from seatrial.runtimes.choice import BackendChoice, named_in, read_choice
from seatrial.runtimes.names import problem_of, third_party
from seatrial.runtimes.options import option_problems, unmet_by_run
from seatrial.runtimes.settings import problems_of


def check_threads(threads: int) -> None:
    cores = len(usable_cores())
    if threads > cores:
        raise UsageError(
            f"expected at most {cores}, the cores that this process may use, got {threads}", option="threads"
        )


def check_name(backend: str | BackendChoice) -> BackendChoice:
    """The choice that a text such as 'openvino-cpu:hint=latency' makes; a third party's package is imported to ask.

    UsageError where it makes none, or where the backend does not take its options.
    """
    text = backend if isinstance(backend, str) else backend.backend
    if why := problem_of(named_in(text)):
        raise UsageError(why, option="backend")
    settings = takes(named_in(text))
    try:
        choice = read_choice(backend, settings) if isinstance(backend, str) else backend
    except ValueError as e:
        raise UsageError(str(e), option="backend") from None
    for option, problem in misfits(choice).items():
        raise UsageError(f"{choice.backend}, option {option}: {problem}", option="backend")
    return choice


def misfits(choice: BackendChoice) -> dict[str, str]:
    """What is wrong with each option, by its name: what the backend does not take, and what this machine has not. Of seatrial's
    own it is what a plan is told."""
    if choice.backend in third_party():
        found = problems_of(choice.backend, takes(choice.backend), choice.options)
    else:
        found = option_problems(choice.backend, choice.options)
    streams, cores = choice.options.get("streams"), len(usable_cores())
    if "streams" not in found and choice.backend in openvino.SETTINGS and isinstance(streams, int) and streams > cores:
        found["streams"] = (
            f"expected at most {cores}, the cores that this process may use, got {streams}: each stream computes on a core of "
            "its own; give fewer, or auto"
        )
    return found


def check_runs(choice: BackendChoice) -> BackendChoice:
    """UsageError for options that have no effect where whole runs are timed: a record would claim them all the same."""
    for name, why in unmet_by_run(choice.backend, choice.options).items():
        raise UsageError(f"{choice.backend}, option {name}: {why}", option="backend")
    return choice


def check_backend(backend: str | BackendChoice) -> BackendChoice:
    choice = check_name(backend)
    status = availability(choice.backend)
    if not status.ok:
        raise BackendUnavailableError(f"backend {choice.backend}: {status.reason}; {status.cure}")
    return choice
