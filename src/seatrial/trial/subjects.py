"""What is compared, as processes to run: models, pipelines of plans, other interpreters. Not for: running them."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from seatrial.backends import availability
from seatrial.backends.catalogue import NAMES, has_native_loop
from seatrial.backends.onnxruntime_native import NATIVE
from seatrial.errors import BackendUnavailableError, CellError, PlanError, UsageError, did_you_mean
from seatrial.history.store import RunFolder
from seatrial.plan.model_file import FAKE_SUFFIX, ModelInfo, inspect_model
from seatrial.timing.environment import usable_cores
from seatrial.trial.cells import Cell
from seatrial.trial.inputs import model_alone
from seatrial.trial.lockstep import Side
from seatrial.trial.preflight import Ready
from seatrial.trial.prepare import cell_inputs, prepare_variants, task_for
from seatrial.trial.process import Ended
from seatrial.trial.shapes import check_inputs, fixed_shapes
from seatrial.trial.task import Task
from seatrial.trial.watch import Watcher

OWN_VERSION = version("seatrial")
# Another interpreter must not see the packages of this one.
ITS_OWN = {"PYTHONPATH": ""}
# What the other interpreter is asked: can it run a side with its own packages, and with ours lent to it?
_QUESTION = """
import importlib.util, json, sys
from pathlib import Path
def version(name):
    try:
        from importlib.metadata import version
        return version(name)
    except Exception:
        return None
specs = {n: importlib.util.find_spec(n) for n in ("seatrial", "numpy", "onnxruntime", "openvino")}
folders = [Path(f, "capi") for f in (specs["onnxruntime"] and specs["onnxruntime"].submodule_search_locations) or []]
library = any(True for f in folders for p in ("libonnxruntime.*so*", "libonnxruntime.*dylib") for _ in f.glob(p))
print(json.dumps({"tag": sys.implementation.cache_tag, "found": {n: s is not None for n, s in specs.items()},
    "python": sys.version.split()[0], "library": library,
    "versions": {n: version(n) for n in ("seatrial", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino")}}))
"""


def model_side(
    model: Path, *, backend: str = "onnxruntime-cpu", batch: int = 1, threads: int = 1,
    shapes: dict[str, tuple[int, ...]] | None = None, native: bool = True, python: str | None = None, seed: int = 0,
) -> Side:  # fmt: skip
    """A model alone on made-up inputs.

    Raises:
        ModelError: it can't be read, has a dynamic dimension that neither batch nor shapes fixes, or an input that takes
            something else than numbers.
        BackendUnavailableError: the backend, or the other interpreter's packages, are not there.
        UsageError: more threads than cores.
    """
    check_threads(threads)
    check_name(backend)
    info = inspect_model(model)
    if model.name.endswith(FAKE_SUFFIX):
        backend = "fake"
    check_inputs(info)
    given = fixed_shapes(info, batch, shapes or {})
    other = None if python is None else inspect_interpreter(python)
    if other is None:
        check_backend(backend)
    task: dict[str, Any] = {
        "model": str(model.absolute()), "backend": backend, "threads": threads, "seed": seed, "batch": batch,
        "native": native and (has_native_loop(backend) if other is None else other.library and backend in NATIVE),
        "input_shapes": given, "named_sizes": info.named_sizes(given),
    }  # fmt: skip
    if other is None:
        return Side(model.stem, task)
    return Side(model.stem, task, other.path, lent_environment(other, backend))


def check_threads(threads: int) -> None:
    cores = len(usable_cores())
    if threads > cores:
        raise UsageError(f"--threads: expected at most {cores}, the cores that this process may use, got {threads}")


def check_name(backend: str) -> None:
    if backend not in NAMES:
        raise UsageError(
            f"--backend: expected one of {', '.join(NAMES)}, got {backend!r}{did_you_mean(backend, list(NAMES))}"
        )


def check_backend(backend: str) -> None:
    check_name(backend)
    status = availability(backend)
    if not status.ok:
        raise BackendUnavailableError(f"backend {backend}: {status.reason}; {status.cure}")


@dataclass(frozen=True)
class Subject:
    """One side of a comparison with what its record says about it.

    images: digest of those that a pipeline sees; changed: which of its files are not what they were, for people; empty where
    none is.
    """

    label: str
    side: Side
    model: dict[str, Any]
    warnings: tuple[str, ...] = ()
    images: str = ""
    changed: Callable[[], str] = lambda: ""


def model_subject(model: Path, **options: Any) -> Subject:
    """As model_side."""
    side = model_side(model, **options)
    info = inspect_model(model)
    return Subject(_label(model.name, side), side, model_facts(info), changed=model_alone(info))


def _label(name: str, side: Side) -> str:
    where = f" by {side.python}" if side.python != sys.executable else ""
    return f"{name} on {side.task['backend']}{where}"


def pipeline_cell(
    ready: Ready, run: RunFolder, pipeline: str, *, backend: str | None = None, batch: int | None = None,
    threads: int | None = None, native: bool = True,
) -> tuple[Cell, Task]:  # fmt: skip
    """One pipeline of a checked plan, in the first configuration of its matrix unless said otherwise, and its task.

    Raises:
        PlanError: the plan has no such pipeline.
        CellError: its model could not be made in the matrix's first precision.
    """
    plan = ready.plan.plan
    if pipeline not in plan.pipelines:
        raise PlanError(
            f"{ready.plan.path}: no pipeline is called {pipeline!r}{did_you_mean(pipeline, list(plan.pipelines))}; "
            f"expected one of {', '.join(plan.pipelines)}"
        )
    m = plan.matrix
    cell = Cell(pipeline, backend or m.backends[0], m.precisions[0], batch or m.batch_sizes[0], threads or m.threads[0])
    check_threads(cell.threads)
    check_backend(cell.backend)
    model = prepare_variants(ready, run, [cell], Watcher())[pipeline, cell.precision]
    if isinstance(model, Ended):
        raise CellError(f"{pipeline}: its {cell.precision} model could not be made: {model.reason}")
    return cell, task_for(ready, run, cell, "measure", model).model_copy(update={"native": native})


def pipeline_subject(
    ready: Ready, run: RunFolder, pipeline: str, *, python: str | None = None, **options: Any
) -> Subject:  # fmt: skip
    """As pipeline_cell; `python` is the interpreter that runs it."""
    cell, task = pipeline_cell(ready, run, pipeline, **options)
    other = None if python is None else inspect_interpreter(python)
    loop = has_native_loop(cell.backend) if other is None else other.library and cell.backend in NATIVE
    side_task = {
        "pipeline": task.model_dump(mode="json"), "threads": cell.threads, "backend": cell.backend, "batch": cell.batch,
        "native": task.native and loop,
    }  # fmt: skip
    environment = lent_environment(other, cell.backend, whole=True) if other else {}
    side = Side(pipeline, side_task, other.path if other else sys.executable, environment)
    where = f" by {side.python}" if other else ""
    label = f"{pipeline} ({cell.backend} {cell.precision} b{cell.batch} t{cell.threads}){where}"
    changed = partial(ready.inputs.changed, pipeline, cell_inputs(cell))
    return Subject(
        label, side, model_facts(ready.models[pipeline]), tuple(ready.warnings), ready.images_digest, changed
    )


def called_alike(a: Side, b: Side) -> tuple[Side, Side, str]:
    """Both without the interpreter, or both with it, and a word on that: its microseconds must not be B's alone."""
    if a.task.get("native") == b.task.get("native"):
        return a, b, ""
    without = "A" if not a.task.get("native") else "B"
    said = (
        f"both sides are called from Python: {without} has no native loop, and the interpreter would count for it alone"
    )
    return _from_python(a), _from_python(b), said


def _from_python(side: Side) -> Side:
    task = {**side.task, "native": False}
    if "pipeline" in task:
        task["pipeline"] = {**task["pipeline"], "native": False}
    return replace(side, task=task)


def told_apart(a: Subject, b: Subject) -> tuple[Subject, Subject]:
    """Two files of one name get as much of their paths into their labels as tells them apart."""
    mine, theirs = Path(a.model["path"]).parts, Path(b.model["path"]).parts
    if a.label != b.label or mine == theirs:
        return a, b
    for count in range(2, max(len(mine), len(theirs)) + 1):
        if mine[-count:] != theirs[-count:]:
            break
    return (
        replace(a, label=f"{Path(*mine[-count:])}: {a.label}"),
        replace(b, label=f"{Path(*theirs[-count:])}: {b.label}"),
    )


def model_facts(info: ModelInfo) -> dict[str, Any]:
    """As a record has them."""
    return {
        "path": str(info.path), "digest": info.digest, "size_bytes": info.size_bytes, "opset": info.opset,
        "inputs": [str(i) for i in info.inputs], "outputs": [str(o) for o in info.outputs], "labels": None,
    }  # fmt: skip


@dataclass(frozen=True)
class Interpreter:
    """What another Python has: its version, and the versions of the packages that matter, None where missing.

    library: whether ONNX Runtime's own library lies in its wheel, so that it can be called without the interpreter.
    """

    path: str
    version: str
    tag: str
    versions: dict[str, str | None]
    found: dict[str, bool]
    library: bool = False


def inspect_interpreter(python: str) -> Interpreter:
    """BackendUnavailableError where it cannot be run. A bare name such as python3.12 is looked for in PATH."""
    path = Path(python) / "bin" / "python" if Path(python).is_dir() else Path(python)
    # Not resolved: what a virtual environment's link points to is the interpreter without the environment.
    path = path.absolute() if len(path.parts) > 1 or path.exists() else path
    try:
        done = subprocess.run(
            [str(path), "-P", "-c", _QUESTION],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **ITS_OWN},
        )  # fmt: skip
        # The last line: what runs at its start may have printed something before.
        facts = json.loads(done.stdout.strip().rpartition("\n")[2])
        found = Interpreter(str(path), *(facts[key] for key in ("python", "tag", "versions", "found", "library")))
    except OSError as e:
        raise BackendUnavailableError(
            f"{python!r} cannot be run ({e.strerror}); expected a Python interpreter or a virtual environment's folder"
        ) from None
    except (ValueError, TypeError, KeyError, subprocess.TimeoutExpired):
        raise BackendUnavailableError(
            f"{python!r} did not answer like a Python 3.11 or newer; expected an interpreter or a virtual environment's folder"
        ) from None
    return found


def lent_environment(other: Interpreter, backend: str, whole: bool = False) -> dict[str, str]:
    """Environment variables with which another interpreter can run a side.

    A model alone needs its runtime and NumPy; seatrial itself is lent to it, so that both sides are timed by the same loops,
    and an old environment can be measured as it is. `whole`: a pipeline needs all of seatrial's packages there.
    """
    runtime = backend.split("-")[0]
    missing = [name for name in ("numpy", runtime) if not other.found.get(name, True)]
    if missing:
        raise BackendUnavailableError(
            f"{other.path}: has no {' and no '.join(missing)}; install what is missing there: "
            f"{other.path} -m pip install {' '.join(missing)}"
        )
    if whole:
        # Its metadata alone may be in sight, without the package: an editable install beside a shared site-packages.
        if other.found.get("seatrial") and other.versions.get("seatrial") == OWN_VERSION:
            return ITS_OWN
        raise _no_seatrial(other, "a pipeline needs it with its packages")
    if other.tag != sys.implementation.cache_tag:
        if other.versions.get("seatrial") == OWN_VERSION and other.found.get("seatrial"):
            return ITS_OWN
        raise _no_seatrial(other, f"this one's ({sys.implementation.cache_tag}) cannot be lent")
    folder = Path(tempfile.mkdtemp(prefix="seatrial-lent-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "seatrial").symlink_to(Path(__file__).parents[1])
    return {"PYTHONPATH": str(folder)}


def _no_seatrial(other: Interpreter, why: str) -> BackendUnavailableError:
    return BackendUnavailableError(
        f"{other.path}: Python {other.version} has no seatrial {OWN_VERSION}, and {why}; "
        f"install it there: {other.path} -m pip install seatrial"
    )
