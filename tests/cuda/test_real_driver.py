"""NVIDIA's own driver library, where there is no device: what it really answers, and that it has every function.

SEATRIAL_REAL_CUDA=$(.ci/nvidia_driver /tmp/driver) python -m pytest -m extra -n 0 tests/cuda/test_real_driver.py
"""

import os
from pathlib import Path

import pytest

from seatrial import cuda

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def driver() -> cuda.Driver:
    path = os.environ.get("SEATRIAL_REAL_CUDA", "")
    if not path and os.environ.get("SEATRIAL_EXTRAS") != "required":
        pytest.skip("SEATRIAL_REAL_CUDA does not name the driver's libcuda.so.1; .ci/nvidia_driver fetches it")
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a device: tests/gpu asks it")
    return cuda.load(path)


def test_it_has_every_function_in_the_form_that_is_asked_for(driver):
    assert driver.version >= cuda.LEAST_VERSION
    assert cuda.driver_version() == driver.version


@pytest.mark.parametrize("ask", [cuda.device_count, cuda.Device, cuda.Context])
def test_it_says_that_there_is_no_device(driver, ask):
    with pytest.raises(cuda.CudaUnavailableError) as e:
        ask()
    assert str(e.value) == (
        "cuInit: CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected; check `nvidia-smi`, CUDA_VISIBLE_DEVICES, and "
        "that a container was started with the GPU (`--gpus all`)"
    )


def test_it_is_too_old_for_what_comes_after_it(driver):
    found = cuda.version_text(driver.version)
    with pytest.raises(cuda.CudaUnavailableError) as e:
        driver.require(99000, "a runtime of CUDA 99")
    assert str(e.value) == (
        f"{driver.path}: a runtime of CUDA 99 needs driver >= 99.0, found {found}; update the NVIDIA driver"
    )
