"""Preprocessing through the driver's API, from images uploaded to tensors copied back: a simulated driver runs the kernels' body."""

import ctypes

import numpy as np
from device_preprocess import Placed, case, picture, run, same_bits

from seatrial._native import device_preprocess as native
from seatrial.cuda.layouts import IMAGE, KINDS, METHODS, SETTINGS
from seatrial.cuda.preprocess import kernel_of
from seatrial.cuda.ptx import preprocess_ptx
from seatrial.kernels.preprocess import Preprocess


class Driver:
    """The simulated driver's device, as device_preprocess's machines."""

    def __init__(self, simulated) -> None:
        from seatrial import cuda

        self.cuda = cuda
        self.context = cuda.Context()
        self.stream = cuda.Stream(self.context)
        self.module = cuda.Module(self.context, preprocess_ptx().text)
        self.launched = 0
        for method in METHODS:
            for kind in KINDS:
                name = f"seatrial_preprocess_{method}_{kind}"
                simulated.kernel(name, self.body(simulated, name))

    def body(self, simulated, name: str):
        """The body that g++ built, on the host's addresses of the device's memory."""

        def host(records: np.ndarray, field: str) -> None:
            for record in records.reshape(-1):
                if record[field]:
                    record[field] = simulated.memory(int(record[field]), 1)

        def call(values, grid, block) -> None:
            self.launched += 1
            pointer, out = (ctypes.c_uint64.from_address(v).value for v in values[:2])
            settings = np.frombuffer(ctypes.string_at(values[2], SETTINGS.itemsize), SETTINGS).copy()
            count = int(settings[0]["images"])
            assert grid[2] == count
            assert tuple(block[:3]) == (*native.BLOCK, 1)
            address = simulated.memory(pointer, count * IMAGE.itemsize)
            records = np.frombuffer(ctypes.string_at(address, count * IMAGE.itemsize), IMAGE).copy()
            for field in ("pixels", "u", "v"):
                # Any byte of an allocation leads to its others: neighbours on the device are on the host.
                host(records, field)
            for axis in ("columns", "rows"):
                for field in ("first", "length", "weights"):
                    host(records[axis], field)
            host(settings, "tables")
            method, kind = kernel_of(name)
            native.run(method, kind, records.ctypes.data, simulated.memory(out, 1), settings.tobytes())

        return call

    def place(self, content) -> Placed:
        sent = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content.reshape(-1).view(np.uint8)
        buffer = self.cuda.DeviceBuffer(self.context, sent.nbytes)
        self.stream.copy_to_device(buffer, sent)
        self.stream.synchronize()
        return Placed(buffer.pointer, buffer)

    output = place

    def launch(self, launch) -> None:
        self.module.function(launch.function).launch(self.stream, launch.grid, launch.block, launch.arguments)

    def read(self, placed: Placed, like: np.ndarray) -> np.ndarray:
        got = np.empty_like(like)
        self.stream.copy_to_host(got, placed.kept)
        self.stream.synchronize()
        return got


def test_random_cases_come_back_with_the_cpu_kernels_bits(simulated):
    driver = Driver(simulated)
    rng = np.random.default_rng(8)
    for _ in range(40):
        preprocess, images = case(rng, 60)
        assert same_bits(run(driver, preprocess, images, rng), preprocess.batch(images)) == 0, preprocess
    assert driver.launched >= 40


def test_a_batch_of_unlike_sizes_comes_back_too(simulated):
    driver = Driver(simulated)
    rng = np.random.default_rng(9)
    images = [picture(rng, h, w, "bgr") for h, w in ((90, 160), (64, 64), (128, 128), (50, 30))]
    preprocess = Preprocess(size=(64, 64), dtype="float16")
    assert same_bits(run(driver, preprocess, images), preprocess.batch(images)) == 0
    assert driver.launched == 3
