"""Tensors on the device for ONNX Runtime's Python API, where they stay from run to run.

For: `device_io`, and the captured graphs that need it. Not for: inputs that each run copies (onnxruntime.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy.typing as npt

from seatrial.backends.onnxruntime.providers import Provider
from seatrial.backends.onnxruntime.settings import SessionSetup

_NVIDIA_PCI = 0x10DE
_GRAPHS = count(1)


@dataclass(frozen=True)
class DevicePlace:
    """A device's memory, as ONNX Runtime's Python API names it: ('cuda', 0), or ('gpu', 0) of one vendor."""

    memory: str
    index: int

    def holding(self, array: npt.NDArray[Any]) -> Any:
        """A copy of the array on the device."""
        from onnxruntime import OrtValue

        return OrtValue.ortvalue_from_numpy(array, self.memory, self.index, self._vendor())

    def empty(self, shape: Sequence[int], dtype: str) -> Any:
        import numpy as np
        from onnxruntime import OrtValue

        return OrtValue.ortvalue_from_shape_and_type(
            list(shape), np.dtype(dtype).type, self.memory, self.index, self._vendor()
        )

    def _vendor(self) -> int:
        return _NVIDIA_PCI if self.memory == "gpu" else -1


def device_place(provider: Provider, setup: SessionSetup) -> DevicePlace:
    return DevicePlace(provider.memory, int(setup.given.get("device_id", 0)))


def next_graph(setup: SessionSetup) -> Any:
    """Run options under which a binding's runs are captured and replayed, apart from every other binding's."""
    if not setup.cuda_graph:
        return None
    import onnxruntime as ort

    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(next(_GRAPHS)))
    return options
