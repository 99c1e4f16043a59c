from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from seatrial._native.timing import Work

Port = tuple[str, tuple[int | None, ...], str]

def library_version(path: str) -> str:
    """Version of the ONNX Runtime library at `path`. RuntimeError where it is not one, or is older than 1.12."""

def reads_host_memory(provider: str) -> bool:
    """Whether inputs bound for a provider of ONNX Runtime are read where they lie, in each run: on the CPU.

    For every other provider binding copies them to the device: who binds once measures and answers for the first input only.
    """

class LoadedModel:
    """A model loaded through the C API of the ONNX Runtime library at `library`."""

    def __init__(
        self, library: str, path: str, threads: int = 1, provider: str = "CPUExecutionProvider",
        named_sizes: Mapping[str, int] | None = None,
    ) -> None:
        """threads: of one operator; named_sizes fixes dynamic dimensions by name. RuntimeError in ONNX Runtime's words."""
    @property
    def inputs(self) -> list[Port]:
        """(name, shape with None where a run decides, NumPy dtype or 'unknown')."""
    @property
    def outputs(self) -> list[Port]: ...

class Request(Work):
    """One client's bound buffers. Requests of one model may run at once; one request runs once at a time."""

    def __init__(self, model: LoadedModel) -> None: ...
    def bind_input(self, index: int, array: npt.NDArray[Any]) -> None:
        """Every run sees what the array holds when it starts: read in place, or copied to the device in that run.

        ValueError where its dtype, shape or layout does not fit.
        """
    def bind_output(self, index: int, array: npt.NDArray[Any]) -> None:
        """The array is written in place by every run."""
    def leave_output(self, index: int) -> None:
        """ONNX Runtime allocates this output anew in each run; fetch() copies it."""
    def run(self) -> None:
        """One inference, without the GIL. RuntimeError in ONNX Runtime's words."""
    def fetch(self, index: int) -> npt.NDArray[Any]:
        """Copy of the last run's output, by the model's number of it. RuntimeError where it was neither bound nor left."""
