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
        named_sizes: Mapping[str, int] | None = None, *, inter_threads: int = 1, parallel: bool = False,
        graph_optimization: int = 99, arena: bool = True, memory_pattern: bool = True, config: Mapping[str, str] | None = None,
        provider_options: Mapping[str, str] | None = None, plugin: str = "", plugin_device: int = 0, device: int = 0,
        captured: bool = False,
    ) -> None:
        """threads: of one operator; named_sizes fixes dynamic dimensions by name. graph_optimization: 0 none, 1 basic,
        2 extended, 99 all. config: session config entries. plugin: the library of a provider that is none of ONNX Runtime's
        own, and plugin_device which kind is asked of it: 0 CPU, 1 GPU. captured: runs on the device are captured as graphs.

        RuntimeError in ONNX Runtime's words.
        """
    @property
    def inputs(self) -> list[Port]:
        """(name, shape with None where a run decides, NumPy dtype or 'unknown')."""
    @property
    def outputs(self) -> list[Port]: ...
    def assigned(self) -> list[tuple[str, str, str, str]]:
        """(provider, domain, operator, node) of every node. RuntimeError where the session keeps no such record."""

class Request(Work):
    """One client's bound buffers. Requests of one model may run at once; one request runs once at a time."""

    def __init__(self, model: LoadedModel, on_device: bool = False) -> None:
        """on_device: bind_input copies to the device, once; outputs are left there; no run copies anything.

        RuntimeError where the device has no memory of its own.
        """
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
