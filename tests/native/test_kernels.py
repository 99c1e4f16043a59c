"""The compiled kernels themselves: which SIMD level runs, errors that cross from C++, and memory they must not touch."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from seatrial._native import kernels
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.native_preprocess import INTERPOLATIONS, values_for
from seatrial.kernels.reference import Normalisation

LEVELS = kernels.simd_levels()
every_level = pytest.mark.parametrize("level", LEVELS)
NEW_THROWS = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer ends the process where `new` should throw"
)


@pytest.fixture(autouse=True)
def _restored():
    before = kernels.simd_level()
    yield
    kernels.select_simd(before)


def python(code, **environment):
    """What a fresh process prints, with SEATRIAL_SIMD as given or unset."""
    plain = {k: v for k, v in os.environ.items() if k != "SEATRIAL_SIMD"}
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code], env=plain | environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, f"{run.returncode}\n{run.stdout[-500:]}\n{run.stderr}"
    return run.stdout.strip()


# ---- Levels ----

NAME = "from seatrial._native import kernels; print(kernels.simd_level())"
# A number that every kind of kernel goes into.
DIGEST = """
import hashlib
import numpy as np
from seatrial._native import kernels
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder
from seatrial.kernels.segmentation import SegmentationDecoder
from seatrial.kernels.preprocess import Preprocess

rng, digest = np.random.default_rng(0), hashlib.sha256()
image = rng.integers(0, 256, (77, 133, 3), dtype=np.uint8)
for name in ("nearest", "linear", "area", "cubic", "antialias_linear", "antialias_cubic"):
    digest.update(Preprocess(size=(40, 50), interpolation=name, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))(image).tobytes())
geometry = fit((77, 133), (64, 64), "letterbox")
scores = rng.random((1, 24, 500)).astype(np.float32)
scores[:, :4] *= 64
found = DetectionDecoder("yolov8")([scores], [geometry])[0]
best = ClassificationDecoder(7)([scores.reshape(1, -1)], [geometry])[0]
mask = SegmentationDecoder()([scores.reshape(1, 24, 20, 25)], [geometry])[0]
for array in (found.boxes_xyxy, found.scores, found.class_ids, best.scores, best.class_ids, mask.class_ids):
    digest.update(array.tobytes())
print(kernels.simd_level(), digest.hexdigest(), len(found))
"""


def test_scalar_is_always_there_and_comes_first():
    assert LEVELS[0] == "scalar"
    assert len(set(LEVELS)) == len(LEVELS)
    assert set(LEVELS) <= {"scalar", "avx2", "neon"}


@pytest.mark.parametrize("environment", [{}, {"SEATRIAL_SIMD": ""}], ids=["unset", "empty"])
def test_the_best_level_is_the_default(environment):
    assert python(NAME, **environment) == LEVELS[-1]


@every_level
def test_the_environment_names_a_level(level):
    assert python(NAME, SEATRIAL_SIMD=level) == level


def test_every_level_gives_the_same_results():
    printed = [python(DIGEST, SEATRIAL_SIMD=level).split() for level in LEVELS]
    assert [p[0] for p in printed] == list(LEVELS)
    assert len({p[1] for p in printed}) == 1
    assert int(printed[0][2]) > 5


UNKNOWN = """
import numpy as np
from seatrial._native import kernels
from seatrial.kernels.geometry import fit
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder
from seatrial.kernels.segmentation import SegmentationDecoder
from seatrial.kernels.preprocess import Preprocess

geometry, x = fit((8, 8), (8, 8), "stretch"), np.zeros((1, 6, 8, 8), np.float32)
print(kernels.simd_level(), kernels.simd_levels())
for call in (
    lambda: Preprocess(size=(8, 8))(np.zeros((8, 8, 3), np.uint8)),
    lambda: DetectionDecoder()([x[..., 0]], [geometry]),
    lambda: ClassificationDecoder()([x[:, :, 0, 0]], [geometry]),
    lambda: SegmentationDecoder()([x], [geometry]),
):
    try:
        call()
    except ValueError as e:
        print(e)
# The reference does without, and a level that is there may still be chosen.
Preprocess(size=(8, 8), engine="reference")(np.zeros((8, 8, 3), np.uint8))
kernels.select_simd("scalar")
Preprocess(size=(8, 8))(np.zeros((8, 8, 3), np.uint8))
print(kernels.simd_level())
"""


@pytest.mark.parametrize("name", ["avx1024", "AVX2", " scalar", "scalar,avx2"])
def test_an_unknown_level_in_the_environment_is_an_error_when_a_kernel_runs(name):
    message = (
        f"SEATRIAL_SIMD: expected one of {', '.join(LEVELS)} on this machine, got {name!r}; unset it for the best one"
    )
    assert python(UNKNOWN, SEATRIAL_SIMD=name).splitlines() == [f"None {LEVELS}", *[message] * 4, "scalar"]


@every_level
def test_a_level_is_selected(level):
    kernels.select_simd(level)
    assert kernels.simd_level() == level


@pytest.mark.parametrize("name", ["", "sse2", "Scalar", "avx2 "])
def test_an_unknown_level_is_not_selected(name):
    kernels.select_simd("scalar")
    message = f"^SIMD level: expected one of {', '.join(LEVELS)} on this machine, got {name!r}$"
    with pytest.raises(ValueError, match=message):
        kernels.select_simd(name)
    assert kernels.simd_level() == "scalar"


# ---- Jobs ----


def values(channels=3, gray=False):
    return values_for(Normalisation(1 / 255, (0.0,) * channels, (1.0,) * channels), True, gray, False)


def add(jobs, image, out, geometry, interpolation="nearest"):
    jobs.add(
        image.ctypes.data, image.strides[0], *image.shape, False, None, geometry, INTERPOLATIONS.index(interpolation), 0,
        out.ctypes.data, out.strides[0], out.strides[1], (image, out),
    )  # fmt: skip


def running_threads():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


@NEW_THROWS
@every_level
@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_a_row_that_does_not_fit_is_a_memory_error_and_no_thread_stays(level, threads, place):
    kernels.select_simd(level)
    image, outs = np.full((4, 4, 3), 255, np.uint8), np.zeros((10, 3, 4, 4), np.float32)
    sound = Geometry((4, 4), (4, 4), (4, 4), 0, 0)
    # A row of 2^60 pixels has no place in any memory; not one of its pixels is reached.
    impossible = Geometry((4, 4), (4, 1 << 60), (4, 1 << 60), 0, 0)
    before = running_threads()
    for _ in range(20):
        jobs = kernels.Jobs()
        for i, out in enumerate(outs):
            add(jobs, image, out, impossible if i == place else sound)
        with pytest.raises(MemoryError):
            jobs.run(values(), threads)
    assert running_threads() == before
    assert (outs[place] == 0).all()


@NEW_THROWS
def test_every_image_may_fail():
    image, out = np.zeros((4, 4, 3), np.uint8), np.zeros((3, 4, 4), np.float32)
    jobs = kernels.Jobs()
    for _ in range(50):
        add(jobs, image, out, Geometry((4, 4), (4, 1 << 60), (4, 1 << 60), 0, 0))
    for threads in (1, 2, 7):
        with pytest.raises(MemoryError):
            jobs.run(values(), threads)


def test_jobs_keep_their_arrays():
    jobs, outs, expected = kernels.Jobs(), [], []
    for i in range(20):
        image, out = np.full((50, 60, 3), i, np.uint8), np.zeros((3, 50, 60), np.float32)
        add(jobs, image, out, Geometry((50, 60), (50, 60), (50, 60), 0, 0))
        outs.append(out)
        expected.append(np.full_like(out, np.float32(i) * np.float32(1 / 255)))
        del image
    noise = [np.full((50, 60, 3), 99, np.uint8) for _ in range(20)]  # would take freed memory
    jobs.run(values(), 2)
    np.testing.assert_array_equal(outs, expected)
    assert len(noise) == 20


def test_no_jobs():
    kernels.Jobs().run(values(), 4)


def test_jobs_may_run_again_and_in_several_threads():
    image, out = (
        np.random.default_rng(0).integers(0, 256, (90, 80, 3), dtype=np.uint8),
        np.zeros((3, 30, 40), np.float32),
    )
    jobs = kernels.Jobs()
    add(jobs, image, out, Geometry((90, 80), (30, 40), (30, 40), 0, 0), "linear")
    jobs.run(values(), 1)
    first = out.copy()
    out[...] = 0
    workers = [threading.Thread(target=jobs.run, args=(values(), 2)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(out, first)


# ---- Results are written into the arrays given, and nowhere else ----

GUARDED = r"""
import ctypes, mmap, sys
import numpy as np
from seatrial._native import kernels
from seatrial.kernels.geometry import Geometry

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None, use_errno=True)
rng = np.random.default_rng(0)

def guarded(shape, dtype, at_end, content=None):
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    pages = max(1, -(-size // PAGE))
    memory = np.frombuffer(mmap.mmap(-1, (pages + 2) * PAGE), np.uint8)
    for page in (0, pages + 1):
        if libc.mprotect(ctypes.c_void_p(memory.ctypes.data + page * PAGE), ctypes.c_size_t(PAGE), 0):
            sys.exit("mprotect failed")
    start = PAGE + (pages * PAGE - size if at_end else 0)
    out = memory[start : start + size].view(dtype).reshape(shape)
    if content is not None:
        out[...] = content
    return out

for at_end in (True, False):
    for classes in (*range(1, 36), 64, 65, 1001):
        logits = guarded((2, classes), np.float32, at_end, rng.normal(size=(2, classes)))
        for k in sorted({1, min(5, classes), min(33, classes), classes}):
            for activation in ("softmax", "sigmoid", "none"):
                print("classify", at_end, classes, k, activation, flush=True)
                ids, scores = guarded((2, k), np.int64, at_end), guarded((2, k), np.float32, at_end)
                kernels.classify(logits, activation, ids, scores)
                if (ids[:, 0] != logits.argmax(axis=1)).any():
                    sys.exit("other classes")
    for columns in (1, 7, 15, 16, 17, 33, 1024, 1030, 1041):
        for dtype in (np.float32, np.float64, np.int32, np.int64, np.uint8):
            for wide in (np.uint8, np.uint16):
                print("argmax_mask", at_end, columns, dtype, wide, flush=True)
                scores = guarded((5, 2, columns), dtype, at_end, rng.integers(0, 200, (5, 2, columns)))
                rows = guarded((4,), np.int64, at_end, [-1, 0, 1, 1])
                taken = guarded((columns + 1,), np.int64, at_end, [*range(columns), -1])
                mask = guarded((4, columns + 1), wide, at_end)
                kernels.argmax_mask(scores, rows, taken, 99, mask)
                best = np.pad(scores.argmax(axis=0), ((0, 0), (0, 1)), constant_values=99)
                if mask.tolist() != [[99] * (columns + 1), *best[[0, 1, 1]].tolist()]:
                    sys.exit("other mask")
    for columns in (1, 2, 7, 8, 9, 16, 17, 40):
        for width in (1, 15, 16, 17, 90):
            print("argmax_linear", at_end, columns, width, flush=True)
            cells = np.zeros((3, 2, columns))
            cells[1] = 1
            scores = guarded((3, 2, columns), np.float32, at_end, cells)
            cut = guarded((4,), np.uint8, at_end, [0, 1, 0, 0]), guarded((width,), np.uint8, at_end, 0)
            mask = guarded((4, width), np.uint8, at_end)
            kernels.argmax_linear(scores, Geometry((4, width), (8, 8), (8, 8), 0, 0), *cut, 99, mask)
            if mask.tolist() != [[1] * width, [99] * width, [1] * width, [1] * width]:
                sys.exit("other mask")
    geometry = Geometry((64, 64), (64, 64), (64, 64), 0, 0)
    for anchors in (1, 3, 8, 9, 33):
        for most in sorted({1, min(2, anchors), anchors}):
            print("detect", at_end, anchors, most, flush=True)
            corners = 60 * rng.random((anchors, 2)).astype(np.float32)
            rows = np.concatenate([corners, corners + 2, 0.5 + rng.random((anchors, 1)) / 2, np.zeros((anchors, 1))], axis=1)
            first = guarded((anchors, 6), np.float32, at_end, rows)
            boxes, scores = guarded((most, 4), np.float32, at_end), guarded((most,), np.float32, at_end)
            ids, chosen = guarded((most,), np.int64, at_end), guarded((most,), np.int64, at_end)
            found = kernels.detect("end_to_end", first, None, 0, (64, 64), 0.1, 0.5, False, geometry, boxes, scores, ids, chosen)
            if found != most or scores.tolist() != sorted(first[:, 4].tolist(), reverse=True)[:most]:
                sys.exit("other detections")
print("done")
"""


@every_level
def test_not_a_byte_beside_the_results_is_touched(level):
    assert python(GUARDED, SEATRIAL_SIMD=level).splitlines()[-1] == "done"
