"""Which options each of seatrial's own backends takes, and what is wrong with some.

For: plans and commands, before anything opens. Not for: what a single option is (settings.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from seatrial.runtimes import onnxruntime, openvino, tensorrt
from seatrial.runtimes.choice import BackendChoice
from seatrial.runtimes.settings import Setting, problems_of
from seatrial.stages import MODEL_STAGES

_SETTINGS: Mapping[str, tuple[Setting, ...]] = {**onnxruntime.SETTINGS, **openvino.SETTINGS, **tensorrt.SETTINGS}


def settings_of(backend: str) -> tuple[Setting, ...]:
    """Of a backend of seatrial's own; a third party's are known once it is loaded (backends/plugins.py)."""
    return _SETTINGS.get(backend, ())


def model_stages(choice: BackendChoice) -> tuple[str, ...]:
    """What a timed request of a model alone is split into, on that backend."""
    return tensorrt.timed_stages(choice.options) if choice.backend in tensorrt.SETTINGS else MODEL_STAGES


def requests_overlap(choice: BackendChoice) -> bool:
    """Whether one client has several requests on the device at once: its rate is then no inverse of a latency."""
    return choice.backend in tensorrt.SETTINGS and choice.options.get("in_flight", 1) != 1


def option_problems(backend: str, options: Mapping[str, object]) -> dict[str, str]:
    """What is wrong with each option, by its name, for people; then with options that do not go together."""
    is_onnxruntime = backend in onnxruntime.SETTINGS
    found = problems_of(
        backend,
        settings_of(backend),
        options,
        not_here=onnxruntime.NOT_HERE if is_onnxruntime else {},
        elsewhere={s.name: name for name, settings in reversed(list(_SETTINGS.items())) for s in settings},
    )
    return found or unfit(backend, options)


def unfit(backend: str, options: Mapping[str, object]) -> dict[str, str]:
    """Options that each fit and do not go together: the name of one, and why."""
    if backend in onnxruntime.SETTINGS:
        return dict(onnxruntime.unfit(options))
    return dict(tensorrt.unfit(options)) if backend in tensorrt.SETTINGS else {}


def unmet_by_run(backend: str, options: Mapping[str, object]) -> dict[str, str]:
    """Options without an effect where a backend's `run` is timed, as in pipelines and comparisons: by name, and why."""
    return dict(tensorrt.unmet_by_run(options)) if backend in tensorrt.SETTINGS else {}


def flushes(choice: BackendChoice) -> bool:
    """Whether each request waits for the device first, so that it cannot start when it is due."""
    return choice.backend in tensorrt.SETTINGS and bool(choice.options.get("l2_flush"))
