"""The committed PTX against its sources: compiled again by the pinned nvcc and by NVRTC, assembled for every generation of cards."""

import subprocess
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import ptx
import pytest
from device_preprocess import Card, case, run, same_bits
from extras import extra

pytestmark = pytest.mark.extra
ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "csrc/cuda/preprocess"
COMMITTED = ROOT / "src/seatrial/cuda/preprocess.ptx"
BUILD = ROOT / "tools/ptx/build.py"


def toolkit() -> Path:
    # A folder without modules: the wheel nvidia-cuda-nvcc makes it.
    return Path(next(iter(extra("nvidia.cu13.bin").__path__))).parent


def test_the_pinned_compiler_gives_the_committed_ptx():
    toolkit()
    done = subprocess.run([sys.executable, BUILD, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("card", ["75", "80", "86", "87", "89", "90", "100", "103", "110", "120", "121"])
def test_it_assembles_without_spills(card, tmp_path):
    words = [toolkit() / "bin/ptxas", "-v", f"-arch=sm_{card}", COMMITTED, "-o", tmp_path / "out.cubin"]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    spills = [line for line in done.stderr.splitlines() if "spill" in line]
    assert len(spills) == 27
    assert all("0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in line for line in spills)


def by_nvrtc() -> str:
    nvrtc = extra("cuda.bindings.nvrtc")

    def ok(result):
        status, *values = result
        assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, status
        return values[0] if values else None

    source, header = ((FOLDER / name).read_bytes() for name in ("kernels.cu", "body.hpp"))
    program = ok(nvrtc.nvrtcCreateProgram(source, b"kernels.cu", 1, [header], [b"body.hpp"]))
    options = [b"--std=c++17", b"--gpu-architecture=compute_75"]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    log = b" " * ok(nvrtc.nvrtcGetProgramLogSize(program))
    ok(nvrtc.nvrtcGetProgramLog(program, log))
    assert status == nvrtc.nvrtcResult.NVRTC_SUCCESS, log.decode()
    text = b" " * ok(nvrtc.nvrtcGetPTXSize(program))
    ok(nvrtc.nvrtcGetPTX(program, text))
    return text.rstrip(b"\0").decode("ascii")


def test_nvrtc_compiles_the_same_body_to_the_same_bits():
    lowered = run_path(str(BUILD))["lowered"]
    kernels = ptx.kernels(lowered(by_nvrtc()))
    rng = np.random.default_rng(7)
    done = 0
    while done < 60_000:
        preprocess, images = case(rng, 40)
        expected = preprocess.batch(images)
        assert same_bits(run(Card(kernels, 24 << 20), preprocess, images, rng), expected) == 0
        done += expected.size // preprocess.channels
