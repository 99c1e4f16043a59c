"""The steps of gpu_report.py: each asks one thing of an NVIDIA card, of what is installed here for it, or of the driver.

    python bench/gpu_steps.py copies [--copy-mib 256] [--requests 200] [--rows FILE]

A row is what it shows, the figure, the limit, and whether it held: a line of JSON, written as soon as it is known, so that a
step that hangs later keeps it. What a machine cannot do is a row that says why.
"""

import argparse
import ctypes
import itertools
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / "support")]

from gpu_backend_steps import onnxruntime, tensorrt, tensorrt_rtx  # noqa: E402
from gpu_say import (  # noqa: E402
    ROOT,
    NotPossibleError,
    Say,
    intervals_ns,
    lines_of,
    paced_rows_of,
    package,
    rows_of,
    torch_on_device,
    us,
)
from simulated_cuda import PTX  # noqa: E402

from seatrial import cuda  # noqa: E402
from seatrial._native.timing import StageSamples, closed_loop, now_ns  # noqa: E402
from seatrial.machine.gpu_clocks import locked_clocks  # noqa: E402
from seatrial.machine.nvml import Nvml, reasons_said  # noqa: E402

MIB = 1 << 20
PR_SET_PDEATHSIG = 1


def driver(say: Say) -> None:
    with say.part("device"):
        d = cuda.Device()
        major, minor = d.compute_capability
        say.row("device", f"{d.name}, sm_{major}{minor}, {d.multiprocessors} SMs, {d.total_memory_bytes / 2**30:.0f} GiB, L2 "
                f"{d.l2_bytes / MIB:.0f} MiB; driver for CUDA {cuda.version_text(cuda.driver_version())}")  # fmt: skip
    with say.part("NVML facts", 5), Nvml() as nvml:
        facts = nvml.used_device().facts(nvml.driver())
        told = {k: v for k, v in vars(facts).items() if v is not None and k != "missing"}
        refused = "; ".join(f"{k}: {why}" for k, why in facts.missing.items())
        say.row("NVML facts", f"{_listed(told)}; refused: {refused or 'nothing'}", question=5)
    with say.part("NVML readings", 5), Nvml() as nvml:
        device = nvml.used_device()
        r = device.read()
        reasons = "not told" if r.clock_reasons is None else ", ".join(reasons_said(r.clock_reasons)) or "none"
        told = {k: v for k, v in vars(r).items() if v is not None and k != "clock_reasons"}
        refused = "; ".join(f"{k}: {why}" for k, why in device.missing.items())
        figure = f"{_listed(told)}; clock held by: {reasons}; refused: {refused or 'nothing'}"
        say.row("NVML readings", figure, question=5)
    if say.lock_clocks:
        clock_lock(say)
    with say.part("energy counter moves", 5), Nvml() as nvml:
        device = nvml.used_device()
        if device.read().energy_mj is None:
            raise NotPossibleError(f"the energy counter: {device.missing['energy_mj']}")
        seen, end = [], time.monotonic() + 1.5
        while time.monotonic() < end:
            value = device.ask("energy_mj", lambda: device.library.nvmlDeviceGetTotalEnergyConsumption(device.handle))
            if not seen or value != seen[-1][1]:
                seen.append((time.monotonic(), value))
        gaps = np.diff([t for t, _ in seen[1:]]) * 1e3
        figure = f"every {np.median(gaps):.1f} ms ({len(gaps)} moves in 1.5 s)" if len(gaps) else "not within 1.5 s"
        say.held("energy counter moves", figure, "within 1.5 s", len(gaps) > 0, 5)


def clock_lock(say: Say) -> None:
    """Whoever holds the clocks otherwise may lose that, so that it is asked for."""
    with say.part("clock lock", 5), Nvml() as nvml:
        device = nvml.used_device()
        mhz = device.base_clock_mhz() or device.facts().sm_clock_mhz
        if not mhz:
            raise NotPossibleError(f"its clock: {device.missing}")
        with locked_clocks(device, mhz) as lock:
            time.sleep(0.2)
            now = device.read().sm_clock_mhz
        told = (
            f"held at {mhz} MHz, read {now}" if lock.held else f"not permitted: {lock.why}; clocks are observed instead"
        )
        say.row("clock lock", told, question=5)


def _listed(told: dict) -> str:
    return ", ".join(f"{name} {value}" for name, value in told.items())


def copies(say: Say) -> None:
    context = cuda.Context()
    stream, count = cuda.Stream(context), say.copy_mib * MIB
    there, other = cuda.DeviceBuffer(context, count), cuda.DeviceBuffer(context, count)
    pinned, back = cuda.PinnedBuffer(context, count), cuda.PinnedBuffer(context, count)
    pageable = np.random.default_rng(0).integers(0, 256, count, np.uint8)
    pinned.as_array()[:] = pageable
    same = []
    for name, copy, counted in (
        ("H2D, pinned", lambda: stream.copy_to_device(there, pinned), 1),
        ("H2D, pageable", lambda: stream.copy_to_device(there, pageable), 1),
        ("D2D", lambda: stream.copy_on_device(other, there), 2),
        ("D2H, pinned", lambda: stream.copy_to_host(back, other), 1),
    ):
        with say.part(name, 4):
            if name.startswith("H2D"):
                stream.fill(there, 0)
            took = np.median(intervals_ns(stream, copy, 7, 2))
            both = ", read and written ones" if counted == 2 else ""
            say.row(name, f"{counted * count / took:.1f} GB/s ({say.copy_mib} MiB{both})", question=4)
            back.as_array()[:] = 0
            stream.copy_to_host(back, other if name.startswith("D2") else there)
            stream.synchronize()
            same.append(bool((back.as_array() == pageable).all()))
    ok = len(same) == 4 and all(same)
    say.held("bytes that came back", "all as sent, each way" if ok else f"as sent: {same}", "all", ok)


def events(say: Say) -> None:
    context = cuda.Context()
    stream = cuda.Stream(context)
    with say.part("event resolution", 4):
        nothing = cuda.Module(context, PTX).function("nothing")
        times = intervals_ns(stream, lambda: nothing.launch(stream, 1, 1, []), 400)
        apart = np.diff(np.unique(np.round(times, 3)))
        tick = f"{apart.min():.0f} ns between unlike times" if apart.size else "all times alike"
        say.row("event resolution", f"{tick}; an empty kernel and its event {us(times)}", question=4)
    with say.part("event times against torch's", 4):
        torch = torch_on_device()
        theirs = torch.cuda.Stream()
        ours = cuda.as_stream(theirs, context)
        x = torch.randn(64 * MIB, device="cuda")
        y = torch.empty_like(x)
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        ratios = []
        with torch.cuda.stream(theirs):
            y.copy_(x)
            for _ in range(9):
                timer = cuda.EventTimer(ours, 1)
                timer.start()
                first.record()
                for _ in range(20):
                    y.copy_(x)
                last.record()
                timer.mark()
                ratios.append(float(timer.intervals_ns()[0]) * 1e-6 / first.elapsed_time(last))
        ratio = float(np.median(ratios))
        say.held(
            "event times against torch's", f"{ratio:.4f} of torch's (ours lie around)", "1 %", abs(ratio - 1) <= 0.01, 4
        )


def graph(say: Say) -> None:
    context = cuda.Context()
    stream = cuda.Stream(context)
    nothing = cuda.Module(context, PTX).function("nothing")

    def enqueue(_handle: int) -> None:
        for _ in range(50):
            nothing.launch(stream, 1, 1, [])

    found = {}
    for name, compute in (("plain", enqueue), ("graph", None)):
        request = cuda.Request(stream, [cuda.Slot(compute or cuda.captured(stream, enqueue))], transfers=False)
        request.run()
        found[name] = rows_of(request, say.requests)
    plain, launched = (np.median(found[name]["enqueue"]) for name in ("plain", "graph"))
    figure = "; ".join(
        f"{name} {us(r['enqueue'])} to enqueue, {us(r['compute'])} on the device, {us(r['all'])} in all"
        for name, r in found.items()
    )
    say.held("50 empty kernels, plain and as a graph", figure, "a graph is enqueued sooner", bool(launched < plain), 4)


def requests(say: Say) -> None:
    """One workload, copies there, a kernel, copies back: why five ways of timing it tell five numbers."""
    context = cuda.Context()
    stream, count = cuda.Stream(context), min(8, say.copy_mib) * MIB
    kernel = cuda.Module(context, PTX).function("add_one")

    def slot() -> tuple[cuda.Slot, np.ndarray, np.ndarray]:
        sent, got = cuda.PinnedBuffer(context, count), cuda.PinnedBuffer(context, count)
        there = cuda.DeviceBuffer(context, count)
        sent.as_array()[:] = np.arange(count, dtype=np.uint8)

        def enqueue(_handle: int) -> None:
            kernel.launch(stream, -(-count // 256), 256, [there, np.uint64(count)])

        enqueue(stream.handle)
        stream.synchronize()
        return (
            cuda.Slot(cuda.captured(stream, enqueue), [(there, sent)], [(got, there)]),
            sent.as_array(),
            got.as_array(),
        )

    slots = [slot() for _ in range(2)]
    periods = {}
    for name, used, settings, why in (
        ("synchronous", 1, {}, "one ends before the next begins"),
        ("pipelined, 2 slots", 2, {}, "copies beside kernels: a request takes longer, more end a second"),
        ("paced", 1, {}, "one each time it is due, on a device that was idle; latency from then on"),
        (
            "held",
            1,
            {"hold": True},
            "all is enqueued before it begins: no launch gaps, no enqueueing in the device's times",
        ),
        (
            "L2 flushed",
            1,
            {"flush_bytes": max(1, context.device.l2_bytes)},
            "inputs come from memory; the flush is in no row",
        ),
    ):
        with say.part(name):
            for _, _, got in slots:
                got[:] = 0
            request = cuda.Request(stream, [s for s, _, _ in slots[:used]], **settings)
            for number in range(used):
                request.run(number)
            r = paced_rows_of(request, say.requests) if name == "paced" else rows_of(request, say.requests)
            right = all(bool((got == sent + 1).all()) for _, sent, got in slots[:used])
            stages = ", ".join(f"{stage} {us(r[stage])}" for stage in ("h2d", "compute", "d2h"))
            periods[name] = np.median(np.diff(r["start"])) if say.requests > 1 else np.median(r["all"])
            figure = f"latency {us(r['all'])}, one every {periods[name] / 1e3:.1f} µs ({stages}): {why}"
            say.held(name, figure if right else f"wrong answers; {figure}", "right answers", right)


def preprocess(say: Say) -> None:
    with say.part("bits of the CPU's kernels"):
        from device_preprocess import INTERPOLATIONS, Placed, picture, run, same_bits

        from seatrial.cuda.ptx import preprocess_ptx
        from seatrial.kernels.preprocess import Preprocess

        context = cuda.Context()
        stream, module = cuda.Stream(context), cuda.Module(context, preprocess_ptx().text)

        class Card:
            def place(self, content) -> Placed:
                content = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content
                host = content.reshape(-1).view(np.uint8)
                buffer = cuda.DeviceBuffer(context, host.nbytes)
                stream.copy_to_device(buffer, host)
                stream.synchronize()
                return Placed(buffer.pointer, buffer)

            output = place

            def launch(self, launch) -> None:
                module.function(launch.function).launch(stream, launch.grid, launch.block, launch.arguments)

            def read(self, placed: Placed, like: np.ndarray) -> np.ndarray:
                host = np.empty_like(like)
                stream.copy_to_host(host, placed.kept)
                stream.synchronize()
                return host

        rng, unlike, values = np.random.default_rng(5), 0, 0
        for interpolation, dtype in itertools.product(INTERPOLATIONS, ("float32", "float16")):
            p = Preprocess(size=(320, 320), interpolation=interpolation, dtype=dtype, mean=(0.4, 0.5, 0.6))
            images = [picture(rng, h, w, "bgr") for h, w in ((480, 640), (333, 500))]
            expected = p.batch(images)
            unlike, values = unlike + int(same_bits(run(Card(), p, images), expected)), values + expected.size
        say.held("bits of the CPU's kernels", f"{unlike} of {values} values differ", "none", unlike == 0)
    with say.part("share of the copies' bandwidth, batch 16"):
        cuda.Context()
        found = 0
        for line in lines_of([sys.executable, ROOT / "bench" / "gpu_preprocess.py", "--seconds", "0.1"]):
            if "%" not in line:
                continue
            name, took_us, _, gb_s, share, note = (c.strip() for c in line.strip().strip("|").split("|"))
            percent, found = float(share.rstrip("%")), found + 1
            # More than can be moved: it does not do the work, or caches serve it.
            ok = percent >= 80 and (percent <= 120 or bool(note))
            told = f"{share} of the copies, {gb_s} GB/s, {took_us} µs" + (f"; {note}" if note else "")
            say.held(f"preprocess {name}, batch 16", told, "80 to 120 %", ok)
        if not found:
            raise RuntimeError("bench/gpu_preprocess.py printed no row")


def energy(say: Say) -> None:
    """Of a copy on the device, by the driver's counter, net of rest."""
    from seatrial.loads.energy import Span, energy_of

    with say.part("energy of a request"), Nvml() as nvml:
        device = nvml.used_device()
        if device.read().energy_mj is None:
            raise NotPossibleError(f"the energy counter: {device.missing['energy_mj']}")
        context = cuda.Context()
        stream, count = cuda.Stream(context), say.copy_mib * MIB
        one, other = cuda.DeviceBuffer(context, count), cuda.DeviceBuffer(context, count)

        def enqueue(_handle: int) -> None:
            for _ in range(10):
                stream.copy_on_device(other, one)

        request = cuda.Request(stream, [cuda.Slot(cuda.captured(stream, enqueue))], transfers=False)
        request.run()
        times, counter, over = [], [], threading.Event()

        def watch() -> None:
            while not over.wait(0.005):
                if (value := device.read().energy_mj) is not None:
                    times.append(now_ns())
                    counter.append(value)

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            rest_ns = now_ns()
            time.sleep(9)
            work_ns, spans = now_ns(), []
            while now_ns() < work_ns + 10_000_000_000:
                samples, begun = StageSamples(1 << 16, 3), now_ns()
                closed_loop(request, samples, deadline_ns=begun + 1_000_000_000)
                spans.append(Span(begun, now_ns(), len(samples)))
        finally:
            over.set()
            watching.join()
        found = energy_of(np.array(times), np.array(counter), spans, (rest_ns, work_ns))
        if found.gross_j is None:
            raise NotPossibleError(found.missing)
        net = (
            f"net {found.net_j:.4f} J {found.net_interval_j}, at rest {found.idle_watts:.1f} W"
            if found.net_j
            else found.missing
        )
        shows = f"energy of a request (10 copies of {say.copy_mib} MiB)"
        say.row(shows, f"gross {found.gross_j:.4f} J {found.gross_interval_j}; {net}")


def torch_(say: Say) -> None:
    with say.part("torch's arrays and context, shared"):
        context = cuda.Context()
        torch = torch_on_device()
        stream = cuda.Stream(context)
        given = torch.arange(MIB, device="cuda", dtype=torch.int32)
        array = cuda.as_device_array(given, context, stream=stream, writable=True)
        same = array.pointer == given.data_ptr()
        stream.fill(array, 0)
        back = torch.from_dlpack(
            cuda.DeviceArray(context, array.pointer, array.shape, array.dtype, stream=stream, owner=array)
        )
        ok = same and back.data_ptr() == given.data_ptr() and int(back.abs().sum()) == 0
        say.held(
            "torch's arrays and context, shared", f"torch {torch.__version__}, no copy either way: {ok}", "no copy", ok
        )


def cupy_(say: Say) -> None:
    with say.part("cupy's arrays, shared"):
        context = cuda.Context()
        cupy = package("cupy")
        stream = cuda.Stream(context)
        given = cupy.arange(1000, dtype=cupy.float32)
        array = cuda.as_device_array(given, context, stream=stream)
        ok = array.pointer == given.data.ptr == cupy.from_dlpack(array).data.ptr == cupy.asarray(array).data.ptr
        say.held("cupy's arrays, shared", f"cupy {cupy.__version__}, no copy either way: {ok}", "no copy", ok)


def pycuda_(say: Say) -> None:
    with say.part("pycuda's arrays and context, shared", 3):
        context = cuda.Context()
        if find_spec("pycuda") is None:
            nvcc = _nvcc()
            header = nvcc and nvcc.parents[1] / "include" / "cuda.h"
            can = (
                f"nvcc at {nvcc}, cuda.h {'beside it' if header.is_file() else 'not beside it'}"
                if nvcc
                else "no nvcc on PATH"
            )
            raise NotPossibleError(f"pycuda is not installed; to build it here (pip install 'seatrial[pycuda]'): {can}")
        pycuda, its = package("pycuda"), package("pycuda.driver")
        gpuarray = package("pycuda.gpuarray")
        its.init()
        primary = its.Device(0).retain_primary_context()
        primary.push()
        try:
            given = gpuarray.to_gpu(np.arange(6, dtype=np.float32).reshape(2, 3))
            array, got = cuda.as_device_array(given, context), np.zeros((2, 3), np.float32)
            stream = cuda.as_stream(its.Stream(), context)
            stream.copy_to_host(got, array)
            stream.synchronize()
            own = cuda.DeviceArray.empty(context, (2, 3), np.float32)
            taken = gpuarray.GPUArray((2, 3), np.float32, gpudata=own.pointer, base=own)
            taken.fill(4)
            ok = bool((got == np.arange(6).reshape(2, 3)).all() and (taken.get() == 4).all())
            say.held(
                "pycuda's arrays and context, shared",
                f"pycuda {pycuda.VERSION_TEXT}; both ways: {ok}",
                "both ways",
                ok,
                3,
            )
            del given, array, taken, own
        finally:
            primary.pop()


def _nvcc() -> Path | None:
    from shutil import which

    found = which("nvcc")
    return Path(found).resolve() if found else None


def index(say: Say) -> None:
    with say.part("the datacentre's TensorRT", 6):
        cuda.Context()
        if find_spec("tensorrt"):
            say.row("the datacentre's TensorRT", f"installed: {package('tensorrt').__version__}", question=6)
        # Wheels alone: PyPI, which this machine may name too, has a source archive that downloads from elsewhere.
        words = [sys.executable, "-m", "pip", "index", "versions", "tensorrt-cu13-libs", "--index-url", "https://pypi.nvidia.com",
                 "--only-binary", ":all:", "--timeout", "5", "--retries", "0", "--disable-pip-version-check"]  # fmt: skip
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=15)
        # Where nobody answers, pip's last line says only that it found nothing.
        said = " ".join((done.stdout if done.returncode == 0 else done.stderr).split())[:500]
        if done.returncode:
            raise NotPossibleError(f"NVIDIA's index by pip, Python {platform.python_version()}: {said}")
        say.row("NVIDIA's index", said, question=6)


def tests(say: Say) -> None:
    with say.part("pytest -m gpu"), tempfile.TemporaryDirectory() as folder:
        cuda.Context()
        file = Path(folder) / "junit.xml"
        options = ["-n", "0", "-vv", "-p", "no:cacheprovider", f"--junitxml={file}"]
        # Files without any take as long to read as the tests to run.
        files = [f for f in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in f.read_text()]
        words = [sys.executable, "-m", "pytest", "-m", "gpu", *options, *map(str, files)]
        # Not by lines: the test that hangs has begun one.
        done = subprocess.run(words, cwd=ROOT, stdout=sys.stderr, stderr=sys.stderr, check=False)
        if not file.is_file():
            raise RuntimeError(f"pytest ended with status {done.returncode} and no report; run python -m pytest -m gpu")
        say.held("pytest -m gpu", *counts_of(file))


def counts_of(junit: Path) -> tuple[str, str, bool]:
    """What passed, failed and was skipped, why; the limit; and whether that is well: some passed, none failed."""
    cases = list(xml.etree.ElementTree.parse(junit).getroot().iter("testcase"))
    bad = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    skips = [c for c in cases if c.find("skipped") is not None]
    passed = len(cases) - len(set(bad) | set(skips))
    names = ", ".join(f"{c.get('classname')}::{c.get('name')}" for c in bad)
    reasons = dict.fromkeys(" ".join(c.find("skipped").get("message", "").split())[:160] for c in skips)
    figure = f"{passed} passed, {len(bad)} failed{f' ({names})' if bad else ''}, {len(skips)} skipped"
    figure += f" ({'; '.join(reasons)})" if reasons else ""
    return figure, "none failed, some passed", passed > 0 and not bad


STEPS: dict[str, Callable[[Say], None]] = {
    "driver": driver,
    "copies": copies,
    "events": events,
    "graph": graph,
    "requests": requests,
    "preprocess": preprocess,
    "onnxruntime-cuda": lambda say: onnxruntime(say, "onnxruntime-cuda", 2),
    "onnxruntime-tensorrt": lambda say: onnxruntime(say, "onnxruntime-tensorrt"),
    "onnxruntime-tensorrt-rtx": lambda say: onnxruntime(say, "onnxruntime-tensorrt-rtx"),
    "tensorrt": lambda say: tensorrt(say, "tensorrt"),
    "tensorrt-rtx": tensorrt_rtx,
    "energy": energy,
    "torch": torch_,
    "cupy": cupy_,
    "pycuda": pycuda_,
    "index": index,
    "tests": tests,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--copy-mib", type=int, default=256)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--lock-clocks", action="store_true")
    given = parser.parse_args()
    # Whatever ends the report ends what it waits for.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    say = Say(given.rows, given.copy_mib, given.requests, time.monotonic(), given.lock_clocks)
    with say.part("begins", {"copies": 4, "events": 4, "graph": 4}.get(given.step)):
        STEPS[given.step](say)


if __name__ == "__main__":
    main()
