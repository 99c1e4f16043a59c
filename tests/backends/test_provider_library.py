"""Why a provider's library does not open: every missing library by name, and what brings it. Libraries are made by the tests."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import seatrial._native.ort
from seatrial.backends.catalogue import availability, missing_extra
from seatrial.backends.onnxruntime.provider_library import Missing, needed_libraries
from seatrial.backends.onnxruntime.providers import PROVIDERS, Provider

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="makes libraries with the C compiler")


def test_what_a_library_needs_is_read_from_its_file(tmp_path):
    needed = needed_libraries(Path(seatrial._native.ort.__file__))
    assert {"libstdc++.so.6", "libc.so.6"} <= set(needed)
    if shutil.which("readelf"):
        said = subprocess.run(
            ["readelf", "-d", seatrial._native.ort.__file__], capture_output=True, text=True, check=True
        )
        assert needed == [line.split("[")[1][:-1] for line in said.stdout.splitlines() if "(NEEDED)" in line]
    for content in (b"", b"\x7fELF", b"no library at all" * 9):
        (tmp_path / "x.so").write_bytes(content)
        assert needed_libraries(tmp_path / "x.so") == []


def compiled(path: Path, source: str, *needs: Path) -> Path:
    text = path.with_suffix(".c")
    text.write_text(source)
    words = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-Wl,--no-as-needed", text, *needs, "-o", path]
    subprocess.run(list(map(str, words)), check=True)
    return path


DRIVER = """
int cuInit(unsigned flags) { return flags ? 1 : CODE; }
int cuDriverGetVersion(int* version) { *version = 12020; return 0; }
int cuGetErrorName(int code, const char** name) { *name = code == 100 ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR_UNKNOWN"; return 0; }
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A package teapot_ep whose library needs libteapot.so.13 and NVIDIA's driver; both lie apart, in parts/."""
    if shutil.which("cc") is None:
        pytest.skip("makes libraries with the C compiler")
    folder = tmp_path_factory.mktemp("wheel")
    parts, package = folder / "parts", folder / "teapot_ep"
    parts.mkdir(), package.mkdir()
    # Under names that no machine has, since what is loaded stays loaded.
    driver = compiled(parts / "libcuda.so.1", DRIVER.replace("CODE", "100"))
    other = compiled(parts / "libcublas.so.913", "int other(void) { return 0; }")
    compiled(parts / "libcublas.so.912", "int older(void) { return 0; }")
    runtime = compiled(parts / "libcudart.so.913", "int runtime(void) { return 0; }")
    compiled(package / "libteapot_ep.so", "int provider(void) { return 0; }", other, driver)
    compiled(parts / "libteapot_ep.so", "int provider(void) { return 0; }", driver, runtime)
    (package / "__init__.py").write_text("")
    return folder


def said(wheel: Path, *parts: str, code: str = "", tmp_path: Path) -> dict:
    """What a process says about the provider, with those parts beside its library."""
    folder = tmp_path / "wheel"
    shutil.copytree(wheel / "teapot_ep", folder / "teapot_ep")
    for part in parts:
        shutil.copy(wheel / "parts" / part, folder / "teapot_ep" / part)
    script = f"""
import json, sys
sys.path.insert(0, {str(folder)!r})
from seatrial.backends.onnxruntime.providers import Provider
from seatrial.backends.onnxruntime.provider_library import missing_libraries, provider_problem, why_not_opened
provider = Provider("onnxruntime-teapot", "TeapotExecutionProvider", "teapot-gpu", "libteapot_ep.so", plugin="teapot_ep", nvidia=True)
{code}
problem = why_not_opened(provider)
print(json.dumps({{
    "missing": [m.library for m in missing_libraries(provider)],
    "reason": problem and problem.reason, "cure": problem and problem.cure, "listed": provider_problem(provider) is None,
}}))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def _driver_opens() -> bool:
    words = [sys.executable, "-c", "import ctypes; ctypes.CDLL('libcuda.so.1')"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


needs_no_driver = pytest.mark.skipif(_driver_opens(), reason="NVIDIA's driver is here")
NO_SUCH_FILE = "cannot open shared object file: No such file or directory"


@needs_compiler
@needs_no_driver
def test_every_missing_library_is_named_the_driver_first(wheel, tmp_path):
    found = said(wheel, tmp_path=tmp_path)
    assert found == {
        "missing": ["libcuda.so.1", "libcublas.so.913"],
        "reason": f"libteapot_ep.so needs libcuda.so.1: {NO_SUCH_FILE}; nor does it find libcublas.so.913",
        "cure": "install NVIDIA's driver, which no wheel brings; start a container with the host's GPUs (docker run --gpus all); "
        "then python -m pip install 'onnxruntime-gpu[cuda,cudnn]'",
        "listed": False,
    }


@needs_compiler
@needs_no_driver
def test_a_wrong_cuda_major_is_told(wheel, tmp_path):
    found = said(wheel, "libcuda.so.1", "libcublas.so.912", tmp_path=tmp_path)
    assert found["missing"] == ["libcublas.so.913"]
    assert found["reason"] == (
        f"libteapot_ep.so needs libcublas.so.913: {NO_SUCH_FILE}; libcublas.so.912 is here, but teapot-gpu is built for "
        "libcublas.so.913"
    )


@needs_compiler
@needs_no_driver
def test_a_driver_without_a_device_is_told_by_its_own_words(wheel, tmp_path):
    found = said(wheel, "libcuda.so.1", "libcublas.so.913", tmp_path=tmp_path)
    assert found["missing"] == []
    assert found["listed"], "listing what is installed asks no driver"
    assert found["reason"] == "NVIDIA's driver answers cuInit with CUDA_ERROR_NO_DEVICE (100)"
    assert found["cure"].startswith("see whether nvidia-smi lists a device")


@needs_compiler
@needs_no_driver
def test_a_driver_that_is_too_old_is_told_without_asking_for_a_device(wheel, tmp_path):
    found = said(wheel, "libcuda.so.1", "libcudart.so.913", "libteapot_ep.so", tmp_path=tmp_path)
    assert (found["missing"], found["listed"]) == ([], False)
    assert found["reason"] == "NVIDIA's driver serves CUDA 12.2, and teapot-gpu is built for CUDA 913"
    assert found["cure"] == "update the driver, or install teapot-gpu built for CUDA 12"


@needs_compiler
def test_a_library_that_is_cut_short_is_told(wheel, tmp_path):
    found = said(
        wheel,
        "libcuda.so.1",
        tmp_path=tmp_path,
        code="for n in ('libcublas.so.913',): open(provider.folder() / n, 'wb').write(b'\\x7fELF')",
    )
    assert "libcublas.so.913" in found["missing"]
    assert found["reason"].endswith("libcublas.so.913: file too short")


@pytest.mark.parametrize(("library", "cure"), [
    ("libcudnn.so.9", "python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"),
    ("libcudart.so.13", "python -m pip install 'onnxruntime-gpu[cuda,cudnn]'"),
    ("libnvinfer.so.10", "onnxruntime-gpu's TensorRT provider wants TensorRT 10, and PyPI's is 11: python -m pip install "
     "--extra-index-url https://pypi.nvidia.com 'tensorrt-cu13<11', in an environment without tensorrt 11"),
    ("libteapot.so.1", "install what brings libteapot.so.1"),
])  # fmt: skip
def test_each_library_has_its_cure(library, cure):
    assert Missing(library, "").cure == cure


@pytest.mark.parametrize(("name", "command"), [
    ("onnxruntime-tensorrt-rtx", "python -m pip install 'seatrial[onnxruntime-tensorrt-rtx]'"),
    ("onnxruntime-openvino", "python -m pip install 'seatrial[onnxruntime-openvino]'"),
    ("onnxruntime-cuda", "python -m pip uninstall -y onnxruntime && python -m pip install 'seatrial[gpu]'; it needs NVIDIA's driver"),
    ("onnxruntime-tensorrt", "python -m pip uninstall -y onnxruntime && python -m pip install 'seatrial[gpu]'; onnxruntime-gpu's TensorRT provider "
     "wants TensorRT 10, and PyPI's is 11: python -m pip install --extra-index-url https://pypi.nvidia.com 'tensorrt-cu13<11', in an environment "
     "without tensorrt 11; it needs NVIDIA's driver"),
])  # fmt: skip
def test_a_missing_wheel_is_told_with_the_command_that_brings_it(name, command):
    if PROVIDERS[name].library_path():
        pytest.skip(f"{PROVIDERS[name].distribution} is installed")
    status = availability(name)
    assert (status.ok, status.cure) == (False, command)
    assert missing_extra(name) == command.split("seatrial[")[1].split("]")[0]


def test_every_extra_that_is_named_is_one():
    import tomllib

    from seatrial.backends import catalogue

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert {e.extra for e in catalogue._ENTRIES.values()} <= set(extras)


def test_a_provider_without_its_package_has_no_library():
    nowhere = Provider("x", "X", "x", "libx.so", plugin="no_such_package_as_this")
    assert nowhere.folder() is None
    assert nowhere.library_path() is None
