"""Our declarations against NVIDIA's header, which is no part of the build.

python -m pip install nvidia-cuda-runtime && python -m pytest -m extra -n 0 tests/cuda/test_cuda_header.py
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "csrc/tests/cuda_header.cpp"


def include_folder() -> Path:
    places = [Path(p) for p in sys.path] + [Path("/usr/local/cuda")]
    for place in places:
        for folder in (place / "nvidia/cu13/include", place / "nvidia/cuda_runtime/include", place / "include"):
            if (folder / "cudaTypedefs.h").is_file():
                return folder
    if os.environ.get("SEATRIAL_EXTRAS") == "required":
        pytest.fail("cuda.h is not there; pip install nvidia-cuda-runtime brings it")
    pytest.skip("cuda.h is not there; pip install nvidia-cuda-runtime brings it")


@pytest.mark.extra
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_every_function_is_declared_as_the_header_has_it(compiler):
    words = [compiler, "-std=c++17", "-fsyntax-only", f"-isystem{include_folder()}", str(SOURCE)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
