"""A simulated device, driver and library for the backend's own order of calls; models small enough for onnx's reference."""

import gc
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from onnx import helper
from simulated_cuda import SimulatedCuda, other
from simulated_tensorrt import Network, module

from seatrial import cuda
from seatrial.backends.tensorrt import kernel_cache, library, status
from seatrial.backends.tensorrt.driver import Device, NoDevice

L4 = Device("NVIDIA L4", "sm89", 24 << 30, (13, 0))


@dataclass
class Bench:
    """What a test changes before it opens a backend: the driver's script, the device, and how the library behaves."""

    network: Network
    device: Device | NoDevice = L4
    trt: Any = None
    label: str = ""

    @property
    def name(self):
        return "tensorrt-rtx" if "rtx" in self.label else "tensorrt"

    @property
    def simulation(self) -> SimulatedCuda:
        return self.network.simulation

    def script(self, text=""):
        self.simulation.script(text)
        self.network.install()

    def forget_lost(self):
        """A device that is lost takes nothing back."""
        gc.collect()
        self.simulation.forget()

    def install(self, label, **behaviour):
        self.label, self.trt = label, module(label, self.network, **behaviour)
        return self


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    return Network(SimulatedCuda(other(tmp_path_factory.mktemp("driver"))))


@pytest.fixture
def bench(monkeypatch, tmp_path, network):
    made = Bench(network)
    made.script()
    made.simulation.check_nothing_is_left()
    network.jobs.clear()
    cuda.load(str(made.simulation.path))
    monkeypatch.setenv("SEATRIAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(library, "find_spec", lambda name: made.trt)
    monkeypatch.setattr(library, "import_module", lambda name: made.trt)
    monkeypatch.setattr(library, "_cuda_major", lambda name: 13)
    for room in (status, kernel_cache):
        monkeypatch.setattr(room, "find_device", lambda: made.device)
    return made


def small_cnn(batch="n"):
    """Two inputs, since an engine keeps an order of its own; two outputs."""
    weights = np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32) / 5
    proto = model_of(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], "conv1", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["r"], "relu1"),
            helper.make_node("Mul", ["r", "scale"], ["y"], "mul1"),
            helper.make_node("ReduceSum", ["y"], ["total"], "sum1", keepdims=0),
        ],
        {"x": [batch, 3, 6, 6], "scale": [1]},
        {"y": [batch, 4, 6, 6], "total": []},
        {"w": weights},
        opset=19,
    )
    onnx.checker.check_model(proto)
    return proto


@pytest.fixture
def cnn(tmp_path):
    path = tmp_path / "cnn.onnx"
    onnx.save(small_cnn(), path)
    return path
