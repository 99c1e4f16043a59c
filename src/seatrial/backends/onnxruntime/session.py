"""A session of ONNX Runtime's Python API on one execution provider, or the real reason why there is none.

For: what python.py runs and what is profiled. Not for: the C API (native.py), which reads the same setup.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy.typing as npt

from seatrial.backends.base import OpenOptions
from seatrial.backends.computed_in import of_profile
from seatrial.backends.onnxruntime.assignment import FORBID, RECORD, recorded, refuse_fallback
from seatrial.backends.onnxruntime.device_memory import out_of_device_memory
from seatrial.backends.onnxruntime.provider_library import driver_problem, missing_libraries, why_not_opened
from seatrial.backends.onnxruntime.providers import Provider
from seatrial.backends.onnxruntime.settings import SessionSetup, session_setup
from seatrial.backends.reasons import first_line
from seatrial.errors import BackendUnavailableError, CellError, ModelError, SeatrialError


def open_session(model: Path, provider: Provider, setup: SessionSetup, profile: Path | None = None) -> Any:
    """profile: the beginning of the name of a profile that the session is to write.

    Raises:
        ModelError: the model does not load; or, where `setup` does not allow that, a node would run on another provider.
        BackendUnavailableError: the provider is not in this build or does not open; the message says why.
    """
    import onnxruntime as ort

    make_ready(provider, setup)
    settings = _session_options(setup)
    if profile:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(profile)
    try:
        providers: Any = None
        if provider.plugin:
            devices = plugin_devices(provider)
            settings.add_provider_for_devices(devices[:1], dict(setup.provider_options))
        else:
            if provider.execution_provider not in ort.get_available_providers():
                raise not_in_this_build(provider)
            providers = [(provider.execution_provider, dict(setup.provider_options))]
        # By default a session that fails goes on with another provider; here that must be an error.
        session = ort.InferenceSession(str(model), settings, providers=providers, enable_fallback=0)
    except BackendUnavailableError:
        raise
    except Exception as e:  # onnxruntime raises its own types, none with a common public base
        raise failure(provider, model, setup, e) from e
    if session.get_providers()[0] != provider.execution_provider:
        raise _not_opened(
            provider, f"asked for {provider.execution_provider}, but {session.get_providers()[0]} would run"
        )
    if RECORD in setup.config and not setup.cpu_fallback and hasattr(session, "get_provider_graph_assignment_info"):
        refuse_fallback(provider, model, recorded(session))
    return session


def make_ready(provider: Provider, setup: SessionSetup) -> None:
    """What must come before the provider's library is opened: its variables, and the libraries that lie in wheels.

    BackendUnavailableError where NVIDIA's driver is here and has no device: some of what is built on it crashes then.
    """
    os.environ.update(setup.environment)
    if provider.plugin:
        # It puts links to its own libraries into its folder, and opens them.
        with suppress(ImportError):
            import_module(provider.plugin)
    if provider.library:
        missing_libraries(provider)
    if provider.nvidia and (problem := driver_problem(provider)):
        raise BackendUnavailableError(f"{provider.name}: {problem.reason}; {problem.cure}")


def failure(provider: Provider, model: Path, setup: SessionSetup, error: Exception) -> SeatrialError:
    """The provider's, where its library does not open; the device's, where it has no room; else the model's."""
    problem = why_not_opened(provider) if provider.library else None
    if problem:
        return BackendUnavailableError(f"{provider.name}: {problem.reason}; {problem.cure}")
    if full := out_of_device_memory(provider, model, setup, error):
        return full
    return ModelError(f"onnxruntime cannot load the model: {first_line(error)}", subject=model, refusal=True)


def run_failure(provider: Provider, model: Path, setup: SessionSetup, error: Exception) -> CellError:
    full = out_of_device_memory(provider, model, setup, error)
    return full or CellError(f"onnxruntime failed in a run: {first_line(error)}", refusal=True)


def not_in_this_build(provider: Provider) -> BackendUnavailableError:
    return BackendUnavailableError(
        f"{provider.name}: this onnxruntime has no {provider.execution_provider}; install seatrial[gpu] in place of "
        "seatrial[cpu]"
    )


def no_device(provider: Provider) -> BackendUnavailableError:
    cure = {
        "onnxruntime-openvino": "it computes on Intel's processors only; on others use openvino-cpu",
        "onnxruntime-tensorrt-rtx": "it takes GeForce RTX and RTX PRO cards of Turing or later; see 'seatrial doctor'",
    }.get(provider.name, "check the driver with 'seatrial doctor'")
    return BackendUnavailableError(
        f"{provider.name}: {provider.execution_provider} is registered, but offers no {provider.device} of this machine; {cure}"
    )


def plugin_path(provider: Provider) -> Path:
    path = provider.library_path()
    if path is None:
        raise BackendUnavailableError(
            f"{provider.name}: {provider.library} is not installed; python -m pip install {provider.distribution}"
        )
    return path


def plugin_devices(provider: Provider) -> list[Any]:
    """The devices that a plugin's library offers to Python's ONNX Runtime, which loads it once. Never empty."""
    import onnxruntime as ort

    path = plugin_path(provider)
    if not hasattr(ort, "register_execution_provider_library"):
        raise BackendUnavailableError(
            f"{provider.name}: onnxruntime {ort.__version__} takes no provider by plugin; install onnxruntime 1.24 or newer"
        )
    if str(path) not in _REGISTERED:
        # Some plugins take the name that they are registered under for their provider's.
        ort.register_execution_provider_library(provider.execution_provider, str(path))
        _REGISTERED.add(str(path))
    devices = [
        d
        for d in ort.get_ep_devices()
        if d.ep_name == provider.execution_provider and d.device.type.name == provider.device
    ]
    if not devices:
        raise no_device(provider)
    return devices


# Of this process: what is registered stays.
_REGISTERED: set[str] = set()


def profiled_types(
    model: Path, options: OpenOptions, provider: Provider, feeds: Mapping[str, npt.NDArray[Any]]
) -> dict[str, int]:
    """By the profile of a session of its own, as its kernels ran: fused and cast as the measured one's."""
    setup = session_setup(model, options, provider)
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(model, provider, setup, Path(folder) / "profile")
        session.run(None, dict(feeds), uncaptured(setup))
        found = of_profile(Path(session.end_profiling()), provider.execution_provider)
    if setup.given.get("tf32"):
        found = {("tf32" if name == "fp32" else name): number for name, number in found.items()}
    return found


def uncaptured(setup: SessionSetup) -> Any:
    """Run options of a run that copies its inputs: a captured graph would read the addresses of its capture."""
    if not setup.cuda_graph:
        return None
    import onnxruntime as ort

    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "-1")
    return options


def _not_opened(provider: Provider, said: str) -> BackendUnavailableError:
    problem = why_not_opened(provider)
    why = f"{problem.reason}; {problem.cure}" if problem else f"{said}; check the driver with 'seatrial doctor'"
    return BackendUnavailableError(f"{provider.name}: {why}")


def _session_options(setup: SessionSetup) -> Any:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = setup.threads
    settings.inter_op_num_threads = setup.inter_threads
    settings.execution_mode = ort.ExecutionMode.ORT_PARALLEL if setup.parallel else ort.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = ort.GraphOptimizationLevel(setup.graph_optimization)
    settings.enable_cpu_mem_arena = setup.arena
    settings.enable_mem_pattern = setup.memory_pattern
    settings.log_severity_level = 3
    for key, value in setup.config.items():
        settings.add_session_config_entry(key, value)
    keeps_record = hasattr(ort.InferenceSession, "get_provider_graph_assignment_info")
    if RECORD in setup.config and not setup.cpu_fallback and not keeps_record:
        settings.add_session_config_entry(FORBID, "1")
    for name, size in setup.named_sizes.items():
        settings.add_free_dimension_override_by_name(name, size)
    return settings
