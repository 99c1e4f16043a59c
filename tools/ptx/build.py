"""Builds src/seatrial/cuda/preprocess.ptx from csrc/cuda/preprocess with the pinned nvcc of PyPI's wheels, or checks it.

    python -m pip install -r tools/ptx/requirements.txt
    python tools/ptx/build.py            # writes preprocess.ptx and preprocess.json
    python tools/ptx/build.py --check    # compiles again and compares: exit code 1 where they differ

Needs g++, whose headers nvcc reads; no card and no driver.
"""

import argparse
import difflib
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "csrc" / "cuda" / "preprocess"
SOURCES = ("body.hpp", "kernels.cu")
TARGET = ROOT / "src" / "seatrial" / "cuda" / "preprocess.ptx"

NVCC = "13.5.37"
FLAGS = ("-std=c++17", "-O3", "-ptx", "-arch=compute_75")
# What today's nvcc writes into the header is refused by the compilers in older drivers. 7.0 is CUDA 11.0's, the first that
# knows every feature used here.
VERSION = "7.0"
# Says which bytes of a vector load matter; a hint, and newer than VERSION.
HINTS = re.compile(r'^\s*\.pragma "used_bytes_mask [^"]*";\n', re.M)


def source_sha256() -> str:
    """Of the sources, each with its name and length before it."""
    digest = hashlib.sha256()
    for name in SOURCES:
        content = (FOLDER / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def toolkit() -> Path:
    """The folder of the wheels: bin, include, nvvm."""
    spec = importlib.util.find_spec("nvidia")
    for base in spec.submodule_search_locations if spec else ():
        if (Path(base) / "cu13" / "bin" / "nvcc").is_file():
            return Path(base) / "cu13"
    raise SystemExit("expected the wheel nvidia-cuda-nvcc; run: python -m pip install -r tools/ptx/requirements.txt")


def compiled() -> str:
    """The compiler's own PTX."""
    nvcc = toolkit() / "bin" / "nvcc"
    found = subprocess.run([nvcc, "--version"], capture_output=True, text=True, check=True).stdout
    if f"V{NVCC}\n" not in found:
        raise SystemExit(f"expected nvcc {NVCC}, got:\n{found}run: python -m pip install -r tools/ptx/requirements.txt")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "preprocess.ptx"
        subprocess.run([nvcc, *FLAGS, FOLDER / "kernels.cu", "-o", out], check=True)
        return out.read_text("ascii")


def lowered(ptx: str) -> str:
    """With the older version in its header, without what that version lacks and without comments."""
    text, count = re.subn(r"^\.version \d+\.\d+$", f".version {VERSION}", ptx, flags=re.M)
    if count != 1:
        raise SystemExit(f"expected one .version in the compiler's PTX, got {count}")
    text = re.sub(r"[ \t]*//.*", "", HINTS.sub("", text))
    text = re.sub(r"\n\n+", "\n", text).strip() + "\n"
    return f"// csrc/cuda/preprocess, sha256 {source_sha256()}; built by tools/ptx/build.py\n{text}"


def facts(ptx: str) -> str:
    """What stands beside the PTX, as JSON."""
    known = {
        "source_sha256": source_sha256(),
        "ptx_sha256": hashlib.sha256(ptx.encode()).hexdigest(),
        "nvcc": NVCC,
        "flags": list(FLAGS),
        "ptx_version": VERSION,
    }
    return json.dumps(known, indent=2) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with what is committed, write nothing")
    check = parser.parse_args().check
    ptx = lowered(compiled())
    wanted = {TARGET: ptx, TARGET.with_suffix(".json"): facts(ptx)}
    if not check:
        for path, text in wanted.items():
            path.write_text(text, "ascii")
        return 0
    differing = 0
    for path, text in wanted.items():
        committed = path.read_text("ascii") if path.is_file() else ""
        if committed != text:
            differing += 1
            lines = list(
                difflib.unified_diff(committed.splitlines(), text.splitlines(), "committed", "built", lineterm="", n=1)
            )
            print(
                f"{path.relative_to(ROOT)} is not what the sources give; run tools/ptx/build.py and commit it",
                *lines[:40],
                sep="\n",
            )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
