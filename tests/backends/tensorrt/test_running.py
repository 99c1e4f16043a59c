"""The backend on all three libraries, simulated: which calls it makes in which order, and what each failure says."""

import gc
import json
from dataclasses import replace
from itertools import chain

import numpy as np
import onnx
import pytest
from float_graphs import model_of
from onnx import helper
from simulated_tensorrt import VERSIONS

from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, closed_loop
from seatrial.backends import OpenOptions, availability, open_backend
from seatrial.backends.tensorrt.driver import Device, NoDevice
from seatrial.errors import BackendUnavailableError, CellError, ModelError, PlanError, SeatrialError

SHAPES = {"x": (2, 3, 6, 6), "scale": (1,)}
OPTIONS = OpenOptions(input_shapes=SHAPES)


def feeds(seed=0, batch=2):
    x = np.random.default_rng(seed).standard_normal((batch, 3, 6, 6)).astype(np.float32)
    return {"x": x, "scale": np.full(1, 2.0, np.float32)}


def expected(path, given):
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(onnx.load(str(path))).run(None, given)


def settings(**given):
    return OpenOptions(input_shapes=SHAPES, settings=given)


@pytest.mark.parametrize("label", VERSIONS)
def test_every_library_runs_by_the_names_that_it_has(bench, cnn, label):
    """The stand-ins have the real packages' names and no other: `_v2`, capabilities, caches and schemas are told apart."""
    bench.install(label)
    with open_backend(bench.name, cnn, OPTIONS) as backend:
        assert [(t.name, t.shape, t.dtype) for t in backend.inputs()] == [
            ("x", (2, 3, 6, 6), "float32"), ("scale", (1,), "float32"),
        ]  # fmt: skip
        assert [(t.name, t.shape) for t in backend.outputs()] == [("y", (2, 4, 6, 6)), ("total", ())]
        for seed in (1, 2):
            for own, other in zip(backend.run(feeds(seed)), expected(cnn, feeds(seed)), strict=True):
                np.testing.assert_allclose(own, other, rtol=1e-5)
        details = backend.details()
        assert label.split()[1] in details["runtime"]
        assert details["launch"] == "one CUDA graph"
        assert details["device_memory"] == "2.95 KiB taken since the engine was loaded, 1000 B of it scratch a client"
        assert ("kernel_strategy" in details) == ("rtx" in label)
        assert "copied to the device in each run" in backend.io_policy()
    backend.close()


def test_a_run_is_a_plain_one_first_then_a_graph_between_copies(bench, cnn):
    bench.install(VERSIONS[2])
    bench.script("trace")
    there, back = ["cuMemcpyHtoDAsync"] * 2, ["cuMemcpyDtoHAsync"] * 2
    capture = ["cuStreamBeginCapture", "cuLaunchKernel", "cuStreamEndCapture"]
    watched = {*there, *back, *capture, "cuStreamSynchronize", "cuGraphLaunch"}
    with open_backend("tensorrt-rtx", cnn, OPTIONS) as backend:
        assert bench.simulation.trace(*watched) == [*there, "cuLaunchKernel", "cuStreamSynchronize", *capture]
        bench.script("trace")
        backend.run(feeds())
        assert bench.simulation.trace(*watched) == [*there, "cuGraphLaunch", *back, "cuStreamSynchronize"]


@pytest.mark.parametrize("graph", [True, False])
def test_requests_for_the_devices_own_clock_have_buffers_each(bench, cnn, graph):
    bench.install(VERSIONS[1])
    with open_backend("tensorrt", cnn, settings(cuda_graph=graph)) as backend:
        request = backend.request(feeds(1), in_flight=2)
        assert request.slots == 2
        answers = [[slot.array for slot in each._made] for each in (backend, *backend._others)]
        for array in chain(*answers):
            array[...] = 0
        samples = StageSamples(8, len(request.stage_names))
        closed_loop(request, samples, deadline_ns=NO_DEADLINE_NS, most=8)
        for own in answers:
            for array, right in zip(own, expected(cnn, feeds(1)), strict=True):
                np.testing.assert_allclose(array, right, rtol=1e-5)
        pointers = {slot.device.pointer for each in (backend, *backend._others) for slot in each._given}
        assert len(pointers) == 4
        held = backend.request(feeds(2), hold=True)
        held.run()
        assert held.stage_names == ("enqueue", "wait", "h2d", "compute", "d2h")
        np.testing.assert_allclose(answers[0][0], expected(cnn, feeds(2))[0], rtol=1e-5)
    with pytest.raises(CellError, match="the backend is closed"):
        backend.details()


@pytest.mark.parametrize(
    ("given", "behaviour", "said"),
    [
        ({"cuda_graph": False}, {}, "kernel by kernel"),
        ({}, {"capturable": False}, "kernel by kernel: the library says that this engine cannot be captured"),
        ({}, {"capturable": "said"}, "kernel by kernel: capturing a graph failed (cuStreamEndCapture: "
         "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED (901)"),
    ],
)  # fmt: skip
def test_without_a_graph_it_runs_all_the_same_and_says_so(bench, cnn, given, behaviour, said):
    bench.install(VERSIONS[2], **behaviour)
    with open_backend("tensorrt-rtx", cnn, settings(**given)) as backend:
        assert backend.details()["launch"].startswith(said)
        np.testing.assert_allclose(backend.run(feeds())[0], expected(cnn, feeds())[0], rtol=1e-5)


def test_the_first_run_has_no_index_of_whatever_lay_in_memory(bench, tmp_path):
    table = np.arange(8, dtype=np.float32)
    proto = model_of(
        [helper.make_node("Gather", ["table", "index"], ["y"])], {"index": [2]}, {"y": [2]}, {"table": table}
    )
    proto.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(proto, tmp_path / "gather.onnx")
    bench.install(VERSIONS[1])
    with open_backend("tensorrt", tmp_path / "gather.onnx", OpenOptions(input_shapes={"index": (2,)})) as backend:
        np.testing.assert_array_equal(backend.run({"index": np.array([3, 7])})[0], [3, 7])


def test_another_client_has_buffers_of_its_own(bench, cnn):
    bench.install(VERSIONS[1])
    with open_backend("tensorrt", cnn, OPTIONS) as backend, backend.another() as other:
        first = backend.run(feeds(1))[0]
        kept = first.copy()
        other.run(feeds(2))
        np.testing.assert_array_equal(first, kept)


def test_an_engine_is_built_once_and_found_again(bench, cnn):
    bench.install(VERSIONS[0])
    with open_backend("tensorrt", cnn, OPTIONS) as backend:
        assert "built now" in backend.details()["engine"]
        assert backend.details()["engine_profiles"] == "x 2x3x6x6, scale 1"
    with open_backend("tensorrt", cnn, OPTIONS) as backend:
        assert "from the cache" in backend.details()["engine"]
    for other in (settings(builder_level=5), OpenOptions(input_shapes={"x": (1, 3, 6, 6), "scale": (1,)})):
        with open_backend("tensorrt", cnn, other) as backend:
            assert "built now" in backend.details()["engine"]


def test_builds_of_other_numbers_are_engines_of_their_own_and_share_nothing(bench, cnn, tmp_path):
    """Not what cells run, which finds what was kept before there were numbers."""
    kept = tmp_path / "cache" / "kernels"
    for label, shared in ((VERSIONS[1], "timing"), (VERSIONS[2], "runtime")):
        bench.install(label)
        digests = set()
        for number in (1, 2, 0):
            for how in ("built now", "from the cache"):
                with open_backend(bench.name, cnn, replace(OPTIONS, build_number=number)) as backend:
                    assert how in backend.details()["engine"]
                    assert backend.details()["engine_options"].endswith(
                        f"build_number={number}" if number else "=False"
                    )
                    digests.add(backend.details()["engine"].split(",")[0])
            if number:
                assert not list(kept.glob(f"{bench.name}-*.{shared}"))
        assert len(digests) == 3
        assert list(kept.glob(f"{bench.name}-*.{shared}"))
    assert {p.suffix for p in kept.glob("tensorrt-rtx-*")} == {".runtime", ".1runtime", ".2runtime"}


@pytest.mark.parametrize(
    ("given", "change"), [({}, False), ({"kernel_strategy": "lazy"}, True), ({"kernel_strategy": "none"}, False)]
)
def test_kernels_change_while_it_runs_where_they_are_compiled_late(bench, cnn, given, change):
    bench.install(VERSIONS[2])
    with open_backend("tensorrt-rtx", cnn, settings(**given)) as backend:
        assert backend.kernels_change == backend.another().kernels_change == change
        # A graph would go on with the kernels that there were when it was captured.
        assert backend.native == (not change)
        details = backend.details()
        if not change:
            assert details["launch"] == "one CUDA graph"
            assert "others while it runs" not in details["kernel_strategy"]
            return
        assert details["launch"].startswith("kernel by kernel: a graph would keep the general kernels")
        bench.trt.calls.clear()
        for _ in range(3):
            backend.run(feeds())
        assert bench.trt.calls.count("IExecutionContext.execute_async_v3") == 3


def test_what_an_update_or_another_card_leaves_is_not_taken(bench, cnn):
    for device, label in (
        (bench.device, VERSIONS[0]),
        (bench.device, VERSIONS[1]),
        (Device("NVIDIA H200", "sm90", 140 << 30, (13, 0)), VERSIONS[1]),
    ):
        bench.install(label).device = device
        with open_backend("tensorrt", cnn, OPTIONS) as backend:
            assert "built now" in backend.details()["engine"]


def test_tf32_is_off_unless_it_is_asked_for(bench, cnn, tmp_path):
    bench.install(VERSIONS[2])
    for given, flags in (({}, []), ({"tf32": True}, ["TF32"])):
        with open_backend("tensorrt-rtx", cnn, settings(**given)) as backend:
            name = backend.details()["engine"].split(",")[0]
            assert f"tf32={bool(flags)}" in backend.details()["engine_options"]
        path = next((tmp_path / "cache" / "engines").rglob(name))
        assert json.loads(path.read_text())["flags"] == flags


@pytest.mark.parametrize("label", VERSIONS)
def test_weights_are_streamed_by_the_librarys_own_name(bench, cnn, label):
    bench.install(label)
    with open_backend(bench.name, cnn, settings(weight_streaming=True, weight_budget_mib=3)):
        assert "ICudaEngine.weight_streaming_budget_v2 =" in bench.trt.calls


@pytest.mark.parametrize("known", [True, False], ids=["manifest", "unknown"])
@pytest.mark.parametrize("label", VERSIONS)
def test_a_budget_for_weights_that_do_not_stream_is_refused(bench, cnn, tmp_path, label, known):
    bench.install(label)
    for streams in (True, False):
        open_backend(bench.name, cnn, settings(weight_streaming=streams)).close()
        engine = next(
            p for p in (tmp_path / "cache").rglob("*.engine") if ("WEIGHT_STREAMING" in p.read_text()) == streams
        )
        if not known:
            engine = engine.rename(tmp_path / f"{streams}.engine")
        options = settings(engine=str(engine), weight_budget_mib=1, allow_engine=True)
        bench.trt.calls.clear()
        if streams:
            with open_backend(bench.name, cnn, options):
                assert "ICudaEngine.weight_streaming_budget_v2 =" in bench.trt.calls
        else:
            with pytest.raises(
                PlanError, match="options.weight_budget_mib: the engine was built without weight_streaming"
            ):
                open_backend(bench.name, cnn, options)


@pytest.mark.parametrize("portable", [True, False])
def test_code_for_the_host_is_allowed_for_engines_of_other_versions_alone(bench, cnn, portable):
    bench.install(VERSIONS[1])
    with open_backend("tensorrt", cnn, settings(version_compatible=portable)):
        assert ("Runtime.engine_host_code_allowed =" in bench.trt.calls) == portable


def test_what_was_compiled_or_timed_is_kept_and_given_back(bench, cnn, tmp_path):
    for label, kind, content in ((VERSIONS[1], "timing", b"++"), (VERSIONS[2], "runtime", b"compiled")):
        bench.install(label)
        for level in (1, 2):
            options = settings(workspace_mib=level)
            with open_backend(bench.name, cnn, options):
                pass
        [kept] = (tmp_path / "cache" / "kernels").glob(f"{bench.name}-*NVIDIA-L4-sm89.{kind}")
        assert kept.read_bytes() == content
        kept.write_bytes(b"of another version")
        with open_backend(bench.name, cnn, settings(workspace_mib=9)):
            pass
        assert kept.read_bytes() == content.replace(b"++", b"+")


@pytest.mark.parametrize("scratch", [4 << 20, (3 << 20) - 5000], ids=["context", "buffers"])
def test_no_memory_for_a_batch_names_one_that_fits(bench, cnn, scratch):
    """Scratch memory and buffers are counted together, and both are asked of what was free before there was either."""
    bench.install(VERSIONS[1], memory_bytes=scratch)
    bench.script(f"memory {3 << 20}")
    options = OpenOptions(input_shapes={"x": (8, 3, 6, 6), "scale": (1,)})
    with pytest.raises(
        CellError, match=r"a batch of 8 needs .* or more, and 3.00 MiB are free; a batch of \d may fit, or"
    ) as e:
        open_backend("tensorrt", cnn, options)
    batch = int(str(e.value).split("a batch of ")[2].split()[0])
    assert 0 < batch < 8
    # Its traceback holds what was there already.
    del e
    gc.collect()
    bench.install(VERSIONS[1], memory_bytes=scratch * batch // 8)
    with open_backend("tensorrt", cnn, replace(options, input_shapes={"x": (batch, 3, 6, 6), "scale": (1,)})):
        pass


def test_no_memory_for_the_smallest_batch_names_no_smaller_one(bench, cnn):
    bench.install(VERSIONS[1], memory_bytes=10)
    bench.script("memory 100")
    with pytest.raises(CellError, match="a batch of 2 needs .* are free; use a smaller batch, or free what other"):
        open_backend("tensorrt", cnn, OPTIONS)
    with pytest.raises(CellError, match="a batch of 1 needs .* are free; free what other programs hold"):
        open_backend("tensorrt", cnn, OpenOptions(input_shapes={"x": (1, 3, 6, 6), "scale": (1,)}))


def test_no_memory_for_the_weights_is_no_matter_of_the_batch(bench, cnn, monkeypatch):
    bench.install(VERSIONS[0])

    def no_room(self, data):
        for said in ("[defaultAllocator.cpp::allocateAsync::48] Error Code 1: Cuda Runtime (out of memory)",
                     "Requested amount of GPU memory (1073741824 bytes) could not be allocated."):  # fmt: skip
            bench.trt.behaviour.fail(said)

    monkeypatch.setattr(bench.trt.Runtime, "deserialize_cuda_engine", no_room)
    with pytest.raises(
        CellError, match="out of device memory: the engine of .*, weights above all, does not go into the .* free"
    ) as e:
        open_backend("tensorrt", cnn, OPTIONS)
    assert "whatever the batch" in str(e.value)
    assert "build it again" not in str(e.value)


def test_no_memory_of_the_host_is_not_told_as_the_devices(bench, cnn):
    bench.install(VERSIONS[0])
    bench.script("fail cuMemHostAlloc 2")
    with pytest.raises(CellError, match=r"of the host's memory, pinned; free memory of the host") as e:
        open_backend("tensorrt", cnn, OPTIONS)
    assert "out of device memory" not in str(e.value)


def test_an_illegal_access_is_not_told_as_too_little_memory(bench, cnn, monkeypatch):
    bench.install(VERSIONS[0])

    def lost(self, *config):
        bench.trt.behaviour.fail("Error Code 1: Cuda Runtime (an illegal memory access was encountered)")

    monkeypatch.setattr(bench.trt.ICudaEngine, "create_execution_context", lost)
    with pytest.raises(CellError, match="makes no context: an illegal memory access"):
        open_backend("tensorrt", cnn, OPTIONS)


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        ({"validity": (2, 1)}, BackendUnavailableError, "refuses the engine: version mismatch; build it again"),
        ({"validity": (2, 34)}, BackendUnavailableError, "refuses the engine: unsupported cc, malformed engine; build"),
        ({"validity": (2, 0)}, BackendUnavailableError, "refuses the engine: the library gives no reason"),
        ({"loads": False}, BackendUnavailableError, "does not load the engine: it does not say why; build it again"),
        ({"runs": False}, CellError, "tensorrt-rtx failed in a run"),
        ({"runs": "open"}, ModelError, "the shape of y depends on what the model sees"),
    ],
)
def test_what_the_library_refuses_is_one_line(bench, cnn, behaviour, error, said):
    bench.install(VERSIONS[2], **behaviour)
    with pytest.raises(error, match=said):
        open_backend("tensorrt-rtx", cnn, OPTIONS)


def test_an_engine_that_is_slow_here_is_run_and_noted(bench, cnn):
    bench.install(VERSIONS[2], validity=(1, 2))
    with open_backend("tensorrt-rtx", cnn, OPTIONS) as backend:
        assert backend.details()["engine_note"] == "suboptimal here: unsupported cc"


def test_a_device_that_fails_before_the_first_answer_is_one_line(bench, cnn):
    bench.install(VERSIONS[2])
    for fault, error, said in (
        ("cuStreamSynchronize 719", CellError, r"tensorrt-rtx failed before its first answer: cuStreamSynchronize: CUDA_ERROR_LAUNCH"),
        ("cuMemGetInfo 999", BackendUnavailableError, r"tensorrt-rtx: cuMemGetInfo: CUDA_ERROR_UNKNOWN \(999\)"),
    ):  # fmt: skip
        bench.script(f"fail {fault}")
        with pytest.raises(error, match=said):
            open_backend("tensorrt-rtx", cnn, OPTIONS)


def test_a_device_lost_at_whatever_call_is_one_line(bench, cnn):
    """From the first to the last of opening, a run and its end: an error of ours, or none where nothing more was asked."""
    bench.install(VERSIONS[1])
    with open_backend("tensorrt", cnn, OPTIONS):
        pass
    errors = []
    for after in range(400):
        bench.script(f"lost_after {after}")
        try:
            with open_backend("tensorrt", cnn, OPTIONS) as backend:
                backend.run(feeds())
        except SeatrialError as e:
            errors.append(e)
        else:
            break
    assert {type(e) for e in errors} == {BackendUnavailableError, CellError}
    assert [str(e) for e in errors if "CUDA_ERROR_UNKNOWN (999)" not in str(e)] == []
    assert len(errors) > 40
    errors.clear()
    bench.forget_lost()


def test_a_lost_device_in_a_run_is_a_cells_error(bench, cnn):
    bench.install(VERSIONS[2])
    with open_backend("tensorrt-rtx", cnn, OPTIONS) as backend:
        bench.script("fail cuStreamSynchronize 719")
        with pytest.raises(
            CellError, match="tensorrt-rtx failed in a run: cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED"
        ):
            backend.run(feeds())
    bench.forget_lost()


def test_feeds_are_held_against_the_engine(bench, cnn):
    bench.install(VERSIONS[2])
    with open_backend("tensorrt-rtx", cnn, OPTIONS) as backend:
        with pytest.raises(ModelError, match="no input called 'X'"):
            backend.run({"X": feeds()["x"]})
        with pytest.raises(CellError, match=r"input x: expected float32\[2, 3, 6, 6\], got float32\[1, 3, 6, 6\]"):
            backend.run(feeds(batch=1))
        with pytest.raises(CellError, match=r"input x: expected float32\[2, 3, 6, 6\], got float64"):
            backend.run({**feeds(), "x": feeds()["x"].astype(np.float64)})


def test_a_strided_feed_gives_what_it_holds(bench, cnn):
    """It is copied in this call, so that it needs not be contiguous."""
    bench.install(VERSIONS[2])
    turned = {**feeds(), "x": feeds()["x"][:, ::-1]}
    with open_backend("tensorrt-rtx", cnn, OPTIONS) as backend:
        np.testing.assert_allclose(backend.run(turned)[0], expected(cnn, turned)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("label", "options", "error", "said"),
    [
        (VERSIONS[2], OpenOptions.for_mix(1), ModelError, "tensorrt-rtx runs fixed shapes"),
        (VERSIONS[2], settings(builder_level=3), BackendUnavailableError, "builder_level: TensorRT-RTX 1.7.1.116 has no such option"),
        (VERSIONS[2], settings(hardware_compatibility="ampere_plus"), BackendUnavailableError, "name the capabilities that"),
        (VERSIONS[2], settings(version_compatible=True), BackendUnavailableError, "build the engine again with the version"),
        (VERSIONS[1], settings(kernel_strategy="lazy"), PlanError, "options.kernel_strategy: only tensorrt-rtx compiles"),
        (VERSIONS[1], settings(weight_budget_mib=1), PlanError, "options.weight_budget_mib: it needs weight_streaming"),
        (VERSIONS[1], settings(engine="a.engine", tf32=True), PlanError, "tf32 belongs to building, and the engine is given"),
        (VERSIONS[1], settings(engine="gone.engine"), ModelError, "gone.engine: the engine cannot be read: No such file"),
        (VERSIONS[1], OpenOptions(input_shapes={"x": (2, 3, 6, 7), "scale": (1,)}), ModelError, "cannot take 2x3x6x7"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_told(bench, cnn, label, options, error, said):
    bench.install(label)
    with pytest.raises(error, match=said):
        open_backend(bench.name, cnn, options)


def test_an_engine_without_a_profile_for_the_shapes_is_told(bench, cnn, tmp_path):
    bench.install(VERSIONS[2])
    with open_backend("tensorrt-rtx", cnn, OPTIONS) as backend:
        name = backend.details()["engine"].split(",")[0]
    path = next((tmp_path / "cache" / "engines").rglob(name))
    other = OpenOptions(input_shapes={"x": (5, 3, 6, 6), "scale": (1,)}, settings={"engine": str(path)})
    with pytest.raises(ModelError, match="no optimisation profile for x 5x3x6x6, scale 1; build it with that"):
        open_backend("tensorrt-rtx", cnn, other)
    named = OpenOptions(input_shapes=SHAPES, settings={"engine": str(path)})
    with open_backend("tensorrt-rtx", cnn, named) as backend:
        assert "as the plan names it" in backend.details()["engine"]


def test_the_inspector_says_what_computes_in_what(bench, cnn):
    layer = {"Name": "conv1 + relu1", "LayerType": "CaskConvolution", "Metadata": "[ONNX Layer: conv1]\x1e[ONNX Layer: relu1]",
             "Inputs": [{"Name": "x", "Format": "LINEAR", "Datatype": "FP16"}], "Outputs": [{"Name": "r", "Datatype": "FP16"}]}  # fmt: skip
    bench.install(VERSIONS[1], inspector=json.dumps({"Layers": [layer], "I/O Tensors": []}))
    with open_backend("tensorrt", cnn, OPTIONS) as backend:
        assert backend.computed_in(feeds()) == {"fp16": 1}


def test_numbers_that_numpy_has_not_are_refused_by_name(bench, tmp_path):
    proto = model_of([helper.make_node("Identity", ["x"], ["y"])], {"x": [2]}, {"y": [2]})
    for port in (*proto.graph.input, *proto.graph.output):
        port.type.tensor_type.elem_type = onnx.TensorProto.BFLOAT16
    onnx.save(proto, tmp_path / "b.onnx")
    bench.install(VERSIONS[1])
    with pytest.raises(ModelError, match="is bfloat16, which NumPy does not have"):
        open_backend("tensorrt", tmp_path / "b.onnx", OpenOptions(input_shapes={"x": (2,)}))


@pytest.mark.parametrize(
    ("label", "device", "said", "cure"),
    [
        (VERSIONS[2], NoDevice("there is no CUDA driver (libcuda.so.1: gone)", "install it"), "no CUDA driver", "install it"),
        (VERSIONS[2], Device("NVIDIA H200", "sm90", 1, (13, 0)), "it knows no sm90, which NVIDIA H200 is", "onnxruntime-tensorrt or tensorrt"),
        (VERSIONS[2], Device("NVIDIA L4", "sm89", 1, (12, 4)), "it is made for CUDA 13, and the driver speaks 12.4", "tensorrt-rtx-cu12"),
        (VERSIONS[1], Device("NVIDIA L4", "sm89", 1, (12, 4)), "it is made for CUDA 13, and the driver speaks 12.4", "update the driver"),
    ],
)  # fmt: skip
def test_a_machine_that_cannot_run_it_is_told_before_the_library_is_touched(bench, cnn, label, device, said, cure):
    bench.install(label).device = device
    found = availability(bench.name)
    assert (found.ok, said in found.reason, cure in found.cure) == (False, True, True), found
    with pytest.raises(BackendUnavailableError, match=bench.name):
        open_backend(bench.name, cnn, OPTIONS)
    assert not [c for c in bench.trt.calls if c.startswith("Runtime")]


def test_an_engine_of_unknown_origin_runs_where_that_is_allowed_and_the_record_says_so(bench, cnn, tmp_path):
    bench.install(VERSIONS[1])
    with open_backend("tensorrt", cnn, OPTIONS):
        pass
    [path] = (tmp_path / "cache" / "engines").rglob("*.engine")
    strange = path.rename(tmp_path / "strange.engine")
    with pytest.raises(ModelError, match=r"strange.engine: refused: an engine is code"):
        open_backend("tensorrt", cnn, settings(engine=str(strange)))
    with open_backend("tensorrt", cnn, settings(engine=str(strange), allow_engine=True)) as backend:
        assert backend.details()["engine_build"] == "unknown: not built by seatrial, and allowed by allow_engine"
        np.testing.assert_allclose(backend.run(feeds())[0], expected(cnn, feeds())[0], rtol=1e-5)
