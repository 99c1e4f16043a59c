"""Extensions only; all metadata is in pyproject.toml.

SEATRIAL_SANITIZE=address,undefined builds with sanitizers; SEATRIAL_DEBUG=1 builds without optimisation.
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

sanitize = os.environ.get("SEATRIAL_SANITIZE", "")
debug = os.environ.get("SEATRIAL_DEBUG") == "1"

if sys.platform == "win32":
    compile_args = ["/std:c++17", "/W3", "/Od" if debug else "/O2"]
    link_args: list[str] = []
else:
    # No -march: a wheel runs on any CPU of its architecture. No -ffast-math: see docs/adr/0001.
    compile_args = ["-std=c++17", "-Wall", "-Wextra", "-O0" if debug else "-O3", "-g1", "-fvisibility=hidden"]
    link_args = []
    if sanitize:
        compile_args += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
        link_args += [f"-fsanitize={sanitize}"]

extensions = [
    Extension(
        "seatrial._native.timing",
        ["src/seatrial/_native/timing.pyx"],
        include_dirs=["csrc"],
        depends=["csrc/timing/clock.hpp", "csrc/timing/samples.hpp"],
        language="c++",
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    ),
]

setup(ext_modules=cythonize(extensions, language_level=3))
