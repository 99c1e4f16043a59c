"""Devices that copy inputs when they are bound, on a machine without one: the real ONNX Runtime computes on the copies."""

import ctypes
import subprocess
from pathlib import Path

import numpy as np


def build_library(folder: Path, real: Path, version: str = "") -> Path:
    """ONNX Runtime's library at `real`, with a CUDA provider that copies at BindInput: see copying_device.c.

    version: what it says it is.
    """
    library = folder / "libcopying_device.so"
    source = Path(__file__).with_name("copying_device.c")
    words = [
        "cc",
        "-O1",
        "-Wall",
        "-Wno-pedantic",
        "-shared",
        "-fPIC",
        f'-DREAL="{real}"',
        *([f'-DVERSION="{version}"'] if version else []),
        source,
        "-o",
        library,
        "-ldl",
    ]
    subprocess.run(list(map(str, words)), check=True)
    return library


class CopyingBinding:
    """A session's I/O binding whose inputs lie on a device: bind_input copies, whatever the host's memory holds later."""

    def __init__(self, binding) -> None:
        self.real = binding
        self.copies: dict[str, np.ndarray] = {}
        self.uploads = 0

    def bind_input(self, name, device, number, kind, shape, address) -> None:
        assert device == "cpu", "what is bound here lies in host memory"
        count = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        copy = np.frombuffer(ctypes.string_at(address, count), kind).reshape(shape).copy()
        self.real.bind_input(name, "cpu", number, kind, shape, copy.ctypes.data)
        self.copies[name] = copy
        self.uploads += 1

    def __getattr__(self, name):
        return getattr(self.real, name)


class CopyingSession:
    """A real session with such bindings."""

    def __init__(self, session) -> None:
        self.real = session
        self.bindings: list[CopyingBinding] = []

    def io_binding(self) -> CopyingBinding:
        self.bindings.append(CopyingBinding(self.real.io_binding()))
        return self.bindings[-1]

    def run_with_iobinding(self, binding: CopyingBinding, options=None) -> None:
        self.real.run_with_iobinding(binding.real, options)

    def __getattr__(self, name):
        return getattr(self.real, name)
