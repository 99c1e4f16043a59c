"""A scripted libnvidia-ml.so.1, for nvidia-ml-py's real code: see simulated_nvml.c."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def build_nvml(folder: Path, *, old_driver: bool = False) -> Path:
    """The folder to put on LD_LIBRARY_PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    source = Path(__file__).with_name("simulated_nvml.c")
    words = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", *(["-DOLD_DRIVER"] if old_driver else []), source,
             "-o", folder / "libnvidia-ml.so.1", "-lm"]  # fmt: skip
    subprocess.run(list(map(str, words)), check=True)
    return folder


class SimulatedNvml:
    """Runs Python code in a process that finds the simulated library first. `script`: what it answers, changed at any time."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.library, self.script_path, self.log_path = library, folder / "script.txt", folder / "log.txt"
        self.log_path.write_text("")
        self.script()

    def script(self, values: Mapping[str, object] | None = None) -> None:
        """Whole, or not at all: the process may be reading it."""
        new = self.script_path.with_suffix(".new")
        new.write_text("".join(f"{k} {v}\n" for k, v in (values or {}).items()))
        new.replace(self.script_path)

    @property
    def calls(self) -> list[str]:
        return self.log_path.read_text().splitlines()

    def environment(self, package: Path | None = None) -> dict[str, str]:
        path = os.pathsep.join(filter(None, [str(package or ""), os.environ.get("PYTHONPATH", ""), *sys.path[1:]]))
        return {
            **os.environ,
            "LD_LIBRARY_PATH": str(self.library),
            "SEATRIAL_SIMULATED_NVML": str(self.script_path),
            "SEATRIAL_SIMULATED_NVML_LOG": str(self.log_path),
            "PYTHONPATH": path,
        }

    def start(self, code: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str) -> str:
        """What it printed; its errors where it failed."""
        process = self.start(code)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return out
