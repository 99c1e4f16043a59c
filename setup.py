"""Extensions only; all metadata is in pyproject.toml.

SEATRIAL_SANITIZE=address,undefined builds with sanitizers; SEATRIAL_DEBUG=1 builds without optimisation.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

sanitize = os.environ.get("SEATRIAL_SANITIZE", "")
debug = os.environ.get("SEATRIAL_DEBUG") == "1"

# No -march: a wheel runs on any CPU of its architecture. No -ffast-math: docs/adr/0001-native-build.md says why.
# No contraction: a product and a sum round twice on every machine, as in the reference.
compile_args = ["-std=c++17", "-Wall", "-Wextra", "-O0" if debug else "-O3", "-ffp-contract=off"]
compile_args += ["-g1", "-fvisibility=hidden"]
link_args = ["-pthread", "-ldl"]
if sanitize:
    compile_args += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    link_args += [f"-fsanitize={sanitize}"]

headers = [str(p) for p in sorted(Path("csrc").rglob("*")) if p.suffix in (".hpp", ".inl")]


def extension(name: str, *sources: str) -> Extension:
    return Extension(
        f"seatrial._native.{name}",
        [f"src/seatrial/_native/{name}.pyx", *sources],
        include_dirs=["csrc"],
        depends=headers,
        language="c++",
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


# Every level's file is compiled everywhere; on another architecture it is empty.
kernels = [
    "csrc/dispatch.cpp",
    *(str(p) for d in ("preprocess", "postprocess") for p in sorted(Path("csrc", d).glob("*.cpp"))),
]
loops = ["csrc/timing/loops.cpp"]
ort = ["csrc/ort/api.cpp", "csrc/ort/options.cpp", "csrc/ort/session.cpp"]
cuda = [str(p) for p in sorted(Path("csrc", "cuda").glob("*.cpp"))]
statistics = ["csrc/statistics/average_precision.cpp", "csrc/statistics/queue.cpp"]
# The CPU kernels' own taps, as tables for a card; the card's kernels are src/seatrial/cuda/preprocess.ptx.
device_preprocess = [
    "csrc/preprocess/taps.cpp",
    "csrc/cuda/preprocess/tables.cpp",
    "csrc/cuda/preprocess/host.cpp",
]
extensions = [
    extension("timing", *loops),
    extension("ort", *ort),
    extension("cuda", *cuda),
    extension("dlpack"),
    extension("kernels", *kernels),
    extension("statistics", *statistics),
    extension("device_preprocess", *device_preprocess),
]

# Extensions are built beside one another: the kernels take as long as the others together.
setup(
    ext_modules=cythonize(extensions, language_level=3, include_path=["src"]),
    options={"build_ext": {"parallel": os.cpu_count()}},
)
