"""What is compared, as processes to run: models, pipelines of plans, other interpreters. Not for: running them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seatrial
from seatrial.backends import availability
from seatrial.errors import BackendUnavailableError, UsageError
from seatrial.plan.model_file import FAKE_SUFFIX, inspect_model
from seatrial.timing.environment import usable_cores
from seatrial.trial.bench import fixed_shapes
from seatrial.trial.lockstep import Side

# What the other interpreter is asked: can it run a side with its own packages, and with ours lent to it?
_QUESTION = """
import importlib.util, json, sys
def version(name):
    try:
        from importlib.metadata import version
        return version(name)
    except Exception:
        return None
found = {n: importlib.util.find_spec(n) is not None for n in ("seatrial", "numpy", "onnxruntime", "openvino")}
print(json.dumps({"tag": sys.implementation.cache_tag, "found": found, "python": sys.version.split()[0],
    "versions": {n: version(n) for n in ("seatrial", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino")}}))
"""


def model_side(
    model: Path, *, backend: str = "onnxruntime-cpu", batch: int = 1, threads: int = 1,
    shapes: dict[str, tuple[int, ...]] | None = None, native: bool = True, python: str | None = None, seed: int = 0,
) -> Side:  # fmt: skip
    """A model alone on made-up inputs.

    Raises:
        ModelError: it can't be read, or has a dynamic dimension that neither batch nor shapes fixes.
        BackendUnavailableError: the backend, or the other interpreter's packages, are not there.
        UsageError: more threads than cores.
    """
    check_threads(threads)
    info = inspect_model(model)
    if model.name.endswith(FAKE_SUFFIX):
        backend = "fake"
    given = fixed_shapes(info, batch, shapes or {})
    task: dict[str, Any] = {
        "model": str(model.absolute()), "backend": backend, "threads": threads, "native": native, "seed": seed,
        "input_shapes": given, "named_sizes": info.named_sizes(given),
    }  # fmt: skip
    if python is None:
        check_backend(backend)
        return Side(model.stem, task)
    return Side(model.stem, task, python, lent_environment(python, backend))


def check_threads(threads: int) -> None:
    cores = len(usable_cores())
    if threads > cores:
        raise UsageError(f"--threads: expected at most {cores}, the cores that this process may use, got {threads}")


def check_backend(backend: str) -> None:
    status = availability(backend)
    if not status.ok:
        raise BackendUnavailableError(f"backend {backend}: {status.reason}; {status.cure}")


@dataclass(frozen=True)
class Interpreter:
    """What another Python has: its version, and the versions of the packages that matter, None where missing."""

    path: str
    version: str
    tag: str
    versions: dict[str, str | None]
    found: dict[str, bool]


def inspect_interpreter(python: str) -> Interpreter:
    """BackendUnavailableError where it cannot be run."""
    path = Path(python) / "bin" / "python" if Path(python).is_dir() else Path(python)
    try:
        done = subprocess.run(
            [str(path), "-P", "-c", _QUESTION],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        facts = json.loads(done.stdout)
    except OSError as e:
        raise BackendUnavailableError(
            f"{python}: cannot be run ({e.strerror}); expected a Python interpreter or a virtual environment's folder"
        ) from None
    except (ValueError, subprocess.TimeoutExpired):
        raise BackendUnavailableError(
            f"{python}: did not answer like a Python 3.11 or newer; expected an interpreter or a virtual environment's folder"
        ) from None
    return Interpreter(str(path), facts["python"], facts["tag"], facts["versions"], facts["found"])


def lent_environment(python: str, backend: str) -> dict[str, str]:
    """Environment variables with which `python` can run a side. It needs its runtime and NumPy; seatrial itself is lent to
    it where it has none, so that an old environment can be measured as it is."""
    other = inspect_interpreter(python)
    runtime = backend.split("-")[0]
    missing = [name for name in ("numpy", runtime) if not other.found.get(name, True)]
    if missing:
        raise BackendUnavailableError(
            f"{python}: has no {' and no '.join(missing)}; install it there: {other.path} -m pip install {' '.join(missing)}"
        )
    if other.versions.get("seatrial") == seatrial.__version__:
        return {}
    if other.tag != sys.implementation.cache_tag:
        raise BackendUnavailableError(
            f"{python}: is Python {other.version} without seatrial {seatrial.__version__}, and this one's "
            f"({sys.implementation.cache_tag}) cannot be lent to it; install it there: {other.path} -m pip install seatrial"
        )
    folder = Path(tempfile.mkdtemp(prefix="seatrial-lent-"))
    (folder / "seatrial").symlink_to(Path(seatrial.__file__).parent)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)}
