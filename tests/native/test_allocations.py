"""A request through the loop allocates what ONNX Runtime itself allocates in a bare call, and nothing more."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.backends.onnxruntime.native import library_path

BENCH = Path(__file__).parents[2] / "bench"
COUNTER = """
#include <stddef.h>
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
static long calls;
static void count(void) { __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED); }
long allocations(void) { return __atomic_load_n(&calls, __ATOMIC_RELAXED); }
void* malloc(size_t n) { count(); return __libc_malloc(n); }
void* calloc(size_t n, size_t m) { count(); return __libc_calloc(n, m); }
void* realloc(void* p, size_t n) { count(); return __libc_realloc(p, n); }
void* memalign(size_t a, size_t n) { count(); return __libc_memalign(a, n); }
void* aligned_alloc(size_t a, size_t n) { count(); return __libc_memalign(a, n); }
int posix_memalign(void** p, size_t a, size_t n) { count(); *p = __libc_memalign(a, n); return *p ? 0 : 12; }
"""
CHILD = """
import ctypes, json, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
import single_stream
from seatrial._native.timing import StageSamples, closed_loop

count = ctypes.CDLL(None).allocations
count.restype = ctypes.c_long
folder, x = Path(sys.argv[2]), np.zeros((1, 8), np.float32)
path = single_stream.identity_model(folder)
bare = single_stream.Bare(folder, path, x, single_stream.open_ours(path, x)[0])
_, request = single_stream.open_ours(path, x, bare.y)
samples = StageSamples(20_000, 1)

def ours(calls):
    before = count()
    closed_loop(request, samples, deadline_ns=1 << 62, most=calls)
    return count() - before

def theirs(calls):
    before = count()
    bare.library.bare_total_ns(calls)
    return count() - before

for run in (ours, theirs):
    run(100)
print(json.dumps({"ours": ours(5000) - ours(1000), "theirs": theirs(5000) - theirs(1000), "sees": count()}))
"""


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="the sanitizer counts allocations itself, and must be preloaded first",
)
@pytest.mark.skipif(
    library_path() is None or not shutil.which("cc"),
    reason="needs ONNX Runtime's library, glibc and a C compiler",
)
def test_the_loop_allocates_nothing_over_a_bare_call(tmp_path):
    shim = tmp_path / "counter.so"
    built = subprocess.run(
        ["cc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", str(shim)], input=COUNTER, text=True, check=False
    )
    if built.returncode:
        pytest.skip("no glibc to count in")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(BENCH), str(tmp_path)],
        env={**os.environ, "LD_PRELOAD": str(shim)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sees"] > 10_000, "the interpreter alone allocates more than that"
    assert found["theirs"] >= 0
    # 4,000 requests more: not one allocation more than ONNX Runtime's own.
    assert found["ours"] <= found["theirs"]
