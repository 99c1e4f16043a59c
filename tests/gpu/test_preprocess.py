"""Preprocessing on a real card: the CPU kernels' bits, and figures of how fast, which the benchmark prints."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from device_preprocess import INTERPOLATIONS, Placed, case, picture, run, same_bits

from seatrial.cuda.layouts import KINDS, METHODS
from seatrial.cuda.ptx import preprocess_ptx
from seatrial.kernels.preprocess import Preprocess

pytestmark = pytest.mark.gpu
BENCH = Path(__file__).parents[2] / "bench" / "gpu_preprocess.py"


class Device:
    """A card, as device_preprocess's machines."""

    def __init__(self, cuda) -> None:
        self.cuda = cuda
        self.context = cuda.Context()
        self.stream = cuda.Stream(self.context)
        self.module = cuda.Module(self.context, preprocess_ptx().text)
        self.functions: set[str] = set()

    def place(self, content) -> Placed:
        host = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content.reshape(-1).view(np.uint8)
        buffer = self.cuda.DeviceBuffer(self.context, host.nbytes)
        self.stream.copy_to_device(buffer, host)
        self.stream.synchronize()
        return Placed(buffer.pointer, buffer)

    output = place

    def launch(self, launch) -> None:
        self.functions.add(launch.function)
        self.module.function(launch.function).launch(self.stream, launch.grid, launch.block, launch.arguments)

    def read(self, placed: Placed, like: np.ndarray) -> np.ndarray:
        host = np.empty_like(like)
        self.stream.copy_to_host(host, placed.kept)
        self.stream.synchronize()
        return host


@pytest.fixture(scope="module")
def device():
    from seatrial._native import cuda

    try:
        return Device(cuda)
    except cuda.CudaUnavailableError as e:
        pytest.skip(str(e))


def test_every_kernel_is_there(device):
    for method in METHODS:
        for kind in KINDS:
            assert device.module.function(f"seatrial_preprocess_{method}_{kind}")


def test_no_value_of_ten_million_random_pixels_differs_from_the_cpu_kernels(device):
    rng = np.random.default_rng(14)
    done = 0
    while done < 10_000_000:
        preprocess, images = case(rng, 400)
        expected = preprocess.batch(images)
        assert same_bits(run(device, preprocess, images, rng), expected) == 0, preprocess
        done += expected.size // preprocess.channels
    assert len(device.functions) == len(METHODS) * len(KINDS)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_photographs_size_in_a_batch(device, interpolation, dtype):
    rng = np.random.default_rng(2)
    images = [
        picture(rng, h, w, "bgr")
        for h, w in ((1080, 1920), (750, 1000), (720, 1280), (640, 640), (480, 640), (2160, 3840))
    ]
    preprocess = Preprocess(
        size=(640, 640), interpolation=interpolation, dtype=dtype, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )
    assert same_bits(run(device, preprocess, images), preprocess.batch(images)) == 0


def test_a_graph_replays_it(device):
    cuda = device.cuda
    image = picture(np.random.default_rng(3), 333, 500, "bgr")
    preprocess = Preprocess(size=(320, 320))
    from seatrial.cuda.device_images import DeviceImage, packed
    from seatrial.cuda.preprocess import DevicePreprocess

    source = device.place(packed(image, "bgr"))
    out = device.place(np.zeros((1, *preprocess.shape), np.float32))
    launches = DevicePreprocess(preprocess, device.place).launches(
        [DeviceImage.at(source.pointer, 333, 500, "bgr")], out.pointer, (1, *preprocess.shape)
    )
    stream = cuda.Stream(device.context)
    stream.begin_capture()
    for launch in launches:
        device.module.function(launch.function).launch(stream, launch.grid, launch.block, launch.arguments)
    graph = stream.end_capture()
    stream.fill(out.kept, 0)
    graph.launch(stream)
    stream.synchronize()
    assert same_bits(device.read(out, np.empty((1, *preprocess.shape), np.float32)), preprocess(image)) == 0


def test_the_benchmark_prints_every_case(device):
    done = subprocess.run([sys.executable, BENCH, "--seconds", "0.05"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    assert done.stdout.count("%") >= 8
