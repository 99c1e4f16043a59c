"""The driver's library: found or not, too old, without a device; and every function of it that fails says which it was."""

import gc
import re
from pathlib import Path

import numpy as np
import pytest
from simulated_cuda import PTX, other

from seatrial import cuda
from seatrial.cuda import captured

ROOT = Path(__file__).parents[2]
TABLE = (ROOT / "csrc/cuda/driver.hpp").read_text().split("#define SEATRIAL_CUDA_API")[1].split("// A function")[0]
FUNCTIONS = [f"cu{name}" for name in re.findall(r"X\((\w+), \d+", TABLE)]


def test_a_machine_without_a_driver_is_told_what_to_install():
    with pytest.raises(
        cuda.CudaUnavailableError, match=r"^libno-cuda\.so\.1: the NVIDIA driver's library cannot be loaded"
    ) as e:
        cuda.load("libno-cuda.so.1")
    assert str(e.value).endswith("install the driver, or start the container with the GPU (`--gpus all`)")


def test_another_library_is_no_driver():
    with pytest.raises(
        cuda.CudaUnavailableError, match=r"has no cuDriverGetVersion; name the driver's libcuda\.so\.1$"
    ):
        cuda.load("libm.so.6")


def driver_of(tmp_path, monkeypatch, script, *without):
    monkeypatch.setenv("SEATRIAL_SIMULATED_CUDA", script)
    return str(other(tmp_path, without))


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("driver 11030", "seatrial needs driver >= 11.4, found 11.3; update the NVIDIA driver"),
        ("driver 10020", "seatrial needs driver >= 11.4, found 10.2; update the NVIDIA driver"),
        (
            "missing cuStreamBeginCapture",
            "cuStreamBeginCapture needs driver >= 10.1, found 12.4, which has no such function; install the whole NVIDIA driver anew",
        ),
        (
            "fail cuDriverGetVersion 34",
            "cuDriverGetVersion gave error 34; this is the toolkit's stub, not the driver: take its",
        ),
    ],
)
def test_a_driver_that_will_not_do_says_what_is_needed_and_what_is_there(tmp_path, monkeypatch, script, text):
    path = driver_of(tmp_path, monkeypatch, script)
    with pytest.raises(cuda.CudaUnavailableError) as e:
        cuda.load(path)
    assert str(e.value).startswith(f"{path}: {text}")


def test_a_driver_from_before_functions_could_be_asked_for(tmp_path, monkeypatch):
    # By itself it says which version it is.
    path = driver_of(tmp_path, monkeypatch, "driver 11020", "cuGetProcAddress", "cuGetProcAddress_v2")
    with pytest.raises(cuda.CudaUnavailableError, match=r"seatrial needs driver >= 11\.4, found 11\.2"):
        cuda.load(path)


def test_a_library_that_cannot_be_asked_for_functions(tmp_path, monkeypatch):
    path = driver_of(tmp_path, monkeypatch, "driver 12040", "cuGetProcAddress", "cuGetProcAddress_v2")
    with pytest.raises(
        cuda.CudaUnavailableError, match=r"has no cuGetProcAddress, which came with 11\.3; install the whole"
    ):
        cuda.load(path)


def test_a_driver_that_has_only_the_older_way_of_asking_serves(tmp_path, monkeypatch):
    driver = cuda.load(driver_of(tmp_path, monkeypatch, "driver 11040", "cuGetProcAddress_v2"))
    assert (driver.version, cuda.driver_version(), cuda.device_count()) == (11040, 11040, 1)
    with pytest.raises(
        cuda.CudaUnavailableError, match=r"TensorRT-RTX needs driver >= 13\.0, found 11\.4; update the NVIDIA"
    ):
        driver.require(13000, "TensorRT-RTX")


@pytest.mark.parametrize("ask", [cuda.device_count, cuda.Device, cuda.Context])
def test_no_device(tmp_path, monkeypatch, ask):
    cuda.load(driver_of(tmp_path, monkeypatch, "devices 0"))
    with pytest.raises(cuda.CudaUnavailableError) as e:
        ask()
    assert (e.value.call, e.value.code) == ("cuInit", 100)
    assert str(e.value) == (
        "cuInit: CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected; check `nvidia-smi`, CUDA_VISIBLE_DEVICES, and "
        "that a container was started with the GPU (`--gpus all`)"
    )


@pytest.mark.parametrize("ordinal", [-1, 1])
def test_a_device_that_is_not_there(simulated, ordinal):
    with pytest.raises(
        cuda.CudaUnavailableError, match=rf"expected a device from 0 to 0, got {ordinal}; choose an ordinal below"
    ):
        cuda.Context(ordinal)


def test_what_a_device_is(simulated):
    simulated.script("devices 2; memory 4096")
    device = cuda.Device(1)
    assert (device.name, device.compute_capability, device.multiprocessors) == ("Simulated GPU 1", (8, 9), 8)
    assert (device.total_memory_bytes, device.l2_bytes, device.ordinal) == (4096, 1 << 20, 1)
    assert device.uuid == "GPU-01112131-4151-6171-8191-a1b1c1d1e1f1"
    assert repr(cuda.Context(1).device) == "Device(1, 'Simulated GPU 1', sm_89)"


class Parts:
    """One of everything, so that each function can be made to fail by itself."""

    def __init__(self) -> None:
        self.context = cuda.Context()
        self.stream, self.other = cuda.Stream(self.context), cuda.Stream(self.context)
        self.there, self.here = cuda.DeviceBuffer(self.context, 8), cuda.PinnedBuffer(self.context, 8)
        self.event, self.timer = cuda.Event(self.context), cuda.EventTimer(self.stream, 1)
        self.event.record(self.stream)
        self.module = cuda.Module(self.context, PTX)
        self.kernel = self.module.function("nothing")
        self.graph = captured(self.stream, self.enqueue)
        self.timer.start()
        self.timer.mark()

    def enqueue(self, _handle: int) -> None:
        self.kernel.launch(self.stream, 1, 1, [])


FAILING = {
    "cuDeviceGetCount": lambda p: cuda.device_count(),
    "cuDeviceGet": lambda p: cuda.Device(),
    "cuDeviceGetName": lambda p: cuda.Device(),
    "cuDeviceGetAttribute": lambda p: cuda.Device(),
    "cuDeviceTotalMem": lambda p: cuda.Device(),
    "cuDeviceGetUuid": lambda p: cuda.Device(),
    "cuDevicePrimaryCtxRetain": lambda p: cuda.Context(),
    "cuCtxPushCurrent": lambda p: p.stream.synchronize(),
    "cuCtxSynchronize": lambda p: p.context.synchronize(),
    "cuMemGetInfo": lambda p: p.context.memory_info(),
    "cuMemAlloc": lambda p: cuda.DeviceBuffer(p.context, 8),
    "cuMemHostAlloc": lambda p: cuda.PinnedBuffer(p.context, 8),
    "cuMemHostGetDevicePointer": lambda p: p.here.device_pointer,
    "cuMemcpyHtoDAsync": lambda p: p.stream.copy_to_device(p.there, p.here),
    "cuMemcpyDtoHAsync": lambda p: p.stream.copy_to_host(p.here, p.there),
    "cuMemcpyDtoDAsync": lambda p: p.stream.copy_on_device(p.there, p.there),
    "cuMemsetD8Async": lambda p: p.stream.fill(p.there, 0),
    "cuPointerGetAttribute": lambda p: p.context.pointer_device(p.there.pointer),
    "cuMemGetAddressRange": lambda p: p.context.allocated_bytes(p.there.pointer, 8),
    "cuStreamCreate": lambda p: cuda.Stream(p.context),
    "cuStreamSynchronize": lambda p: p.stream.synchronize(),
    "cuStreamWaitEvent": lambda p: p.stream.wait_for(p.other),
    "cuStreamGetCtx": lambda p: cuda.Stream(p.context, p.stream.handle),
    "cuStreamBeginCapture": lambda p: p.stream.begin_capture(),
    "cuStreamEndCapture": lambda p: captured(p.stream, p.enqueue),
    "cuEventCreate": lambda p: cuda.Event(p.context),
    "cuEventRecord": lambda p: p.event.record(p.stream),
    "cuEventQuery": lambda p: p.event.is_done,
    "cuEventSynchronize": lambda p: p.event.synchronize(),
    "cuEventElapsedTime": lambda p: p.timer.intervals_ns(),
    "cuGraphGetNodes": lambda p: captured(p.stream, p.enqueue),
    "cuGraphInstantiateWithFlags": lambda p: captured(p.stream, p.enqueue),
    "cuGraphLaunch": lambda p: p.graph.launch(p.stream),
    "cuModuleLoadDataEx": lambda p: cuda.Module(p.context, PTX),
    "cuModuleGetFunction": lambda p: p.module.function("nothing"),
    "cuLaunchKernel": lambda p: p.enqueue(0),
}
# Their failure has nobody to tell: what they free is gone with a lost context anyway.
SILENT = {
    "cuDevicePrimaryCtxRelease", "cuCtxPopCurrent", "cuMemFree", "cuMemFreeHost", "cuStreamDestroy", "cuEventDestroy",
    "cuGraphDestroy", "cuGraphExecDestroy", "cuModuleUnload", "cuThreadExchangeStreamCaptureMode",
}  # fmt: skip


def test_every_function_that_is_used_has_a_case():
    assert set(FUNCTIONS) == set(FAILING) | SILENT | {"cuInit", "cuGetErrorName", "cuGetErrorString"}


@pytest.mark.parametrize("code", [2, 46, 400, 719, 999])
@pytest.mark.parametrize("name", FAILING)
def test_a_function_that_fails_is_named_with_a_cure(simulated, name, code):
    parts = Parts()
    simulated.script(f"fail {name} {code}")
    with pytest.raises(cuda.CudaError) as e:
        FAILING[name](parts)
    assert (e.value.call, e.value.code) == (name, code)
    assert str(e.value).startswith(f"{name}: ")
    assert f" ({code}): " in str(e.value)
    cures = {2: "use a smaller batch", 46: "another process holds the device", 400: "the handle is of another context"}
    of_host = name == "cuMemHostAlloc" and code == 2
    cure = (
        "free memory of the host" if of_host else cures.get(code, "the device's context is lost for this whole process")
    )
    assert cure in str(e.value)
    assert isinstance(e.value, cuda.OutOfDeviceMemoryError) == (code == 2 and not of_host)
    assert isinstance(e.value, cuda.CudaUnavailableError) == (code == 46)
    simulated.script()
    # A capture that would not end goes on.
    (parts.other if name == "cuStreamEndCapture" else parts.stream).synchronize()


@pytest.mark.parametrize("name", sorted(SILENT))
def test_clean_up_hides_no_error_behind_its_own(simulated, name):
    parts = Parts()
    parts.stream.synchronize()
    simulated.script(f"fail {name} 999")
    captured(parts.stream, parts.enqueue)
    del parts
    gc.collect()
    assert simulated.count(name) > 0
    # The test's fixture counts what is alive: what the fault kept from being freed is freed by hand.
    simulated.forget()


def test_a_lost_device_fails_whatever_is_asked_of_it(simulated):
    parts = Parts()
    simulated.script("lost_after 0")
    for ask in (parts.stream.synchronize, parts.context.memory_info, lambda: cuda.DeviceBuffer(parts.context, 8)):
        with pytest.raises(
            cuda.CudaError, match=r"CUDA_ERROR_UNKNOWN \(999\).*end it and start anew; `dmesg \| grep -i xid`"
        ):
            ask()
    simulated.script()


def test_a_code_that_the_driver_does_not_know(simulated):
    parts = Parts()
    simulated.script("fail cuStreamSynchronize 12345")
    with pytest.raises(
        cuda.CudaError, match=r"^cuStreamSynchronize: unknown to this driver \(12345\): .*; look the code up under"
    ):
        parts.stream.synchronize()


def test_the_ptx_compiler_is_quoted(simulated):
    with pytest.raises(
        cuda.CudaError, match=r"CUDA_ERROR_INVALID_PTX \(218\).*its log: ptxas .*Missing \.version directive; the PTX"
    ):
        cuda.Module(cuda.Context(), "no PTX")
    with pytest.raises(
        cuda.CudaError, match=r"\(222\).*Unsupported \.version; update the driver, or use PTX of an older version"
    ):
        cuda.Module(cuda.Context(), PTX.replace("7.0", "9.5"))


def test_a_kernel_is_named_where_it_is_not_there_or_does_not_start(simulated):
    context = cuda.Context()
    module, stream = cuda.Module(context, PTX), cuda.Stream(context)
    with pytest.raises(cuda.CudaError, match=r"^cuModuleGetFunction: .*kernel 'ad_one'; no such name in the module"):
        module.function("ad_one")
    with pytest.raises(
        cuda.CudaError, match=r"^cuLaunchKernel: .*kernel 'nothing', grid 1x1x1, block 64x64x1; an argument is out"
    ):
        module.function("nothing").launch(stream, 1, (64, 64), [])
    with pytest.raises(TypeError, match="expected NumPy scalars of the kernel's own types"):
        module.function("add_one").launch(stream, 1, 1, [3])
    with pytest.raises(TypeError, match="got ndarray, whose size a kernel does not know"):
        module.function("add_one").launch(stream, 1, 1, [np.zeros(8), np.uint64(8)])
    with pytest.raises(ValueError, match="grid: expected 1 to 3 sizes from 1 on, got 0"):
        module.function("nothing").launch(stream, 0, 1, [])


def test_nothing_is_left_of_what_failed_half_way(simulated):
    before = simulated.alive()
    simulated.script("memory 1024; fail cuEventCreate 999 2")
    context = cuda.Context()
    buffer, stream = cuda.DeviceBuffer(context, 1024), cuda.Stream(context)
    with pytest.raises(cuda.CudaError, match="cuEventCreate"):
        cuda.EventTimer(stream, 4)
    with pytest.raises(cuda.OutOfDeviceMemoryError, match="0 bytes of 1024 bytes free"):
        cuda.DeviceBuffer(context, 1)
    del buffer, stream, context
    assert simulated.alive() == before
