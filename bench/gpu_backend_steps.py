"""Steps of gpu_report.py for backends: ONNX Runtime's providers and TensorRT's libraries, held against the CPU's answers."""

import re
import tempfile
import time
from pathlib import Path

import numpy as np
from gpu_say import LACKS, NotPossibleError, Say, package, rows_of, us

from seatrial import cuda
from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, closed_loop

INPUT = (1, 3, 320, 320)


def demo_feeds(seed: int = 0) -> dict[str, np.ndarray]:
    return {"images": np.random.default_rng(seed).random(INPUT, np.float32)}


def demo_on_the_cpu(feeds: dict[str, np.ndarray], say: Say | None = None) -> np.ndarray:
    """Answers; and its latency as a row."""
    from seatrial.backends import open_backend
    from seatrial.demo import MODEL

    with open_backend("onnxruntime-cpu", MODEL, options_of()) as cpu:
        answer = cpu.run(feeds)[0].copy()
        if say:
            say.row("demo on onnxruntime-cpu, one thread", latency(cpu.work(feeds), min(20, say.requests)))
        return answer


def options_of(**settings):
    from seatrial.backends import OpenOptions
    from seatrial.demo import MODEL
    from seatrial.model.file import inspect_model

    base = OpenOptions.for_shapes(inspect_model(MODEL), 1, {"images": INPUT})
    return OpenOptions(1, 1, base.input_shapes, base.named_sizes, settings=settings)


def latency(work, count: int, stages: int = 1) -> str:
    warm, samples = StageSamples(max(1, count // 5), stages), StageSamples(count, stages)
    closed_loop(work, warm, deadline_ns=NO_DEADLINE_NS, most=warm.capacity)
    closed_loop(work, samples, deadline_ns=NO_DEADLINE_NS, most=count)
    times = samples.to_array()[:, -1] / 1e6
    return f"p50 {np.median(times):.3f} ms, p99 {np.quantile(times, 0.99):.3f} ms ({count} requests)"


def apart(answer: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> tuple[str, bool]:
    if answer.shape != expected.shape:
        return f"shape {answer.shape}, expected {expected.shape}", False
    if not np.isfinite(answer).all():
        return "values that are not finite", False
    worst = float(np.abs(answer - expected).max())
    return f"at most {worst:.2g} from the CPU's", bool(np.allclose(answer, expected, rtol=rtol, atol=atol))


def onnxruntime(say: Say, name: str, question: int | None = None) -> None:
    from seatrial.backends import availability, open_backend
    from seatrial.backends.onnxruntime.providers import PROVIDERS
    from seatrial.demo import MODEL
    from seatrial.errors import PlanError

    provider = PROVIDERS[name].execution_provider
    with say.part("available", question):
        cuda.Context()
        found = availability(name)
        if not found.ok:
            raise NotPossibleError(f"{found.reason}; {found.cure}")
        say.row("available", found.version, question=question)
        feeds = demo_feeds()
        expected = demo_on_the_cpu(feeds, say)
        for shows, settings in (("inputs copied each run", {}), ("device_io: bound once", {"device_io": True})):
            with (
                # Not every provider has every option.
                say.part(f"demo, {shows}", question, (*LACKS, PlanError)),
                open_backend(name, MODEL, options_of(cpu_fallback=True, **settings)) as backend,
            ):
                told, ok = apart(backend.run(feeds)[0], expected, 1e-3, 1e-2)
                changed, changed_ok = apart(backend.run(demo_feeds(1))[0], demo_on_the_cpu(demo_feeds(1)), 1e-3, 1e-2)
                nodes = backend.details().get("nodes", "nodes not told")
                figure = f"{latency(backend.work(feeds), say.requests)}; {told}, changed inputs {changed}; {nodes}"
                ok = ok and changed_ok and f" on {provider}" in nodes
                say.held(f"demo, {shows}", figure, f"rtol 1e-3, atol 1e-2, nodes on {provider}", ok, question)
        mapped = sorted({line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line})
        libraries = [m for m in mapped if re.search(r"/lib(cublas|cudnn|curand|cudart|nvinfer)[^/]*\.so", m)]
        say.row("CUDA libraries that it runs with", ", ".join(libraries) or "none", question=question)


def tensorrt(say: Say, name: str, question: int | None = None) -> None:
    from seatrial.backends import availability
    from seatrial.demo import MODEL
    from seatrial.model.file import inspect_model
    from seatrial.precision.conversion import Calibration
    from seatrial.precision.variants import convert

    with say.part("available", question):
        cuda.Context()
        found = availability(name)
        if not found.ok:
            raise NotPossibleError(f"{found.reason}; {found.cure}")
        say.row("available", found.version, question=question)
        feeds = demo_feeds()
        expected = demo_on_the_cpu(feeds, say)
        calibration = Calibration(lambda: iter([demo_feeds(seed) for seed in range(4)]), "gpu-report")
        # By the answers' own range: that the model was run, in that precision; what it costs is parity's to say.
        spread = float(np.abs(expected).max())
        with tempfile.TemporaryDirectory() as folder:
            for precision, atol in (("fp32", 2e-2), ("fp16", 0.02 * spread), ("int8", 0.1 * spread)):
                with say.part(f"demo in {precision}", question):
                    path = MODEL
                    if precision != "fp32":
                        path = Path(folder) / f"{precision}.onnx"
                        convert(inspect_model(MODEL), precision, calibration, path)
                    told, ok = _engine(say, name, path, precision, feeds, expected, atol)
                    say.held(f"demo in {precision}", told, f"atol {atol:.2g}, {precision} in use", ok, question)


def _engine(say: Say, name: str, path: Path, precision: str, feeds, expected, atol: float) -> tuple[str, bool]:
    from seatrial.backends import OpenOptions, open_backend

    begun = time.monotonic()
    with open_backend(name, path, OpenOptions(input_shapes={"images": INPUT})) as backend:
        opened = time.monotonic() - begun
        told, ok = apart(backend.run(feeds)[0].astype(np.float32), expected, 1e-3, atol)
        computed, details = backend.computed_in(feeds), backend.details()
        figure = [
            f"opened in {opened:.1f} s ({details['engine']})",
            latency(work := backend.work(feeds), say.requests, len(work.stage_names)),
            f"on the device {us(rows_of(backend.request(feeds), say.requests)['compute'])}",
            told,
            f"computes in {computed}",
            details["launch"],
        ]
        return "; ".join(figure), ok and computed.get(precision, 0) > 0


def tensorrt_rtx(say: Say) -> None:
    tensorrt(say, "tensorrt-rtx", 1)
    # By the library alone, since seatrial asks for no engine of a card that the builder does not name.
    for capabilities in (("CURRENT",), ("SM80", "SM86", "SM89")):
        shows = f"engine for {'+'.join(capabilities)}, by the library alone"
        with say.part(shows, 1):
            context = cuda.Context()
            trt = package("tensorrt_rtx", "pip install tensorrt-rtx-cu13")
            figure, ok = _raw_engine(trt, capabilities, context)
            say.held(shows, figure, "its answers are the CPU's", ok, 1)


def _raw_engine(trt, capabilities: tuple[str, ...], context: cuda.Context) -> tuple[str, bool]:
    from seatrial.demo import MODEL

    said = []

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity, text: str) -> None:
            if severity.name in ("ERROR", "INTERNAL_ERROR"):
                said.append(text)

    def refused(what: str) -> NotPossibleError:
        # The library's own answer to the question.
        return NotPossibleError(f"{what}: {said[0] if said else 'no reason given'}")

    logger = Logger()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(MODEL.read_bytes(), str(MODEL)):
        raise refused("the parser")
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("images", INPUT, INPUT, INPUT)
    config.add_optimization_profile(profile)
    config.num_compute_capabilities = len(capabilities)
    for number, name in enumerate(capabilities):
        config.set_compute_capability(getattr(trt.ComputeCapability, name), number)
    begun = time.monotonic()
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise refused("the builder")
    built = time.monotonic() - begun
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise refused(f"built in {built:.1f} s; deserialising")
    run = engine.create_execution_context()
    if run is None:
        raise refused("deserialised; an execution context")
    stream, feeds, buffers = cuda.Stream(context), demo_feeds(), {}
    run.set_optimization_profile_async(0, stream.handle)
    run.set_input_shape("images", INPUT)
    for number in range(engine.num_io_tensors):
        name = engine.get_tensor_name(number)
        host = np.empty(tuple(run.get_tensor_shape(name)), trt.nptype(engine.get_tensor_dtype(name)))
        buffers[name] = host, cuda.DeviceBuffer(context, host.nbytes)
        run.set_tensor_address(name, buffers[name][1].pointer)
    stream.copy_to_device(buffers["images"][1], feeds["images"])
    if not run.execute_async_v3(stream.handle):
        raise refused("a run")
    output = next(name for name in buffers if name != "images")
    stream.copy_to_host(*buffers[output])
    stream.synchronize()
    told, ok = apart(buffers[output][0], demo_on_the_cpu(feeds), 1e-3, 5e-2)
    return f"built in {built:.1f} s, loaded, ran: {told}", ok
