"""Other Python interpreters that run a side: what they have, and what is lent to them."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from seatrial.errors import NOT_UTF8, BackendUnavailableError, is_utf8, printable

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
library = any(True for f in folders for _ in f.glob("libonnxruntime.*so*"))
print(json.dumps({"tag": sys.implementation.cache_tag, "found": {n: s is not None for n, s in specs.items()},
    "python": sys.version.split()[0], "library": library,
    "versions": {n: version(n) for n in ("seatrial", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino")}}))
"""


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
    if not is_utf8(path):
        raise BackendUnavailableError(f"{printable(str(path))}: {NOT_UTF8}")
    try:
        done = subprocess.run(
            [str(path), "-P", "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, **ITS_OWN},
        )
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
