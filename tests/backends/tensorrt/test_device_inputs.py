"""Inputs that lie on the device already: read there, in the order of their stream, by runs and timed requests."""

import numpy as np
import pytest
from simulated_cuda import PTX
from simulated_tensorrt import VERSIONS

from seatrial import cuda
from seatrial._native.timing import NO_DEADLINE_NS, StageSamples, closed_loop
from seatrial.backends import OpenOptions, open_backend
from seatrial.errors import CellError

SHAPES = {"x": (2, 3, 6, 6), "scale": (1,)}
SCALE = np.full(1, 2.0, np.float32)
COPIES = ("cuMemcpyHtoDAsync", "cuMemcpyDtoDAsync", "cuGraphLaunch", "cuLaunchKernel", "cuStreamWaitEvent")


class Interface:
    """What pycuda's and cupy's arrays say of themselves."""

    def __init__(self, array, **changes):
        self.array = array
        self.__cuda_array_interface__ = array.__cuda_array_interface__ | changes


class Dlpack:
    """What torch's tensors do."""

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **asked):
        return self.array.__dlpack__(**asked)


def picture(seed):
    return np.random.default_rng(seed).standard_normal(SHAPES["x"]).astype(np.float32)


def on_device(context, values, stream=None):
    array = cuda.DeviceArray.empty(context, values.shape, values.dtype, stream=stream)
    own = stream or cuda.Stream(context)
    own.copy_to_device(array, values)
    if stream is None:
        own.synchronize()
    return array


def opened(cnn, **given):
    return open_backend("tensorrt", cnn, OpenOptions(input_shapes=SHAPES, settings=given))


@pytest.mark.parametrize("graph", [True, False])
@pytest.mark.parametrize("form", [lambda a: a, Interface, Dlpack], ids=["ours", "interface", "dlpack"])
def test_an_input_on_the_device_is_read_where_it_lies(bench, cnn, form, graph):
    bench.install(VERSIONS[0])
    context = cuda.Context()
    with opened(cnn, cuda_graph=graph) as backend:
        right = {seed: [o.copy() for o in backend.run({"x": picture(seed), "scale": SCALE})] for seed in (1, 2, 3)}
        first, second = (form(on_device(context, picture(seed))) for seed in (1, 2))
        bench.script("trace")
        # Elsewhere, there again (where it is captured), once more, and from the host in between.
        for given, seed in (
            (first, 1),
            (first, 1),
            (first, 1),
            (picture(3), 3),
            (second, 2),
            (first, 1),
            (picture(3), 3),
        ):
            for own, other in zip(backend.run({"x": given, "scale": SCALE}), right[seed], strict=True):
                np.testing.assert_array_equal(own, other)
        calls = bench.simulation.trace(*COPIES)
    assert "cuMemcpyDtoDAsync" not in calls
    # The scale each time, the picture where it is the host's.
    assert calls.count("cuMemcpyHtoDAsync") == 7 + 2
    assert calls.count("cuGraphLaunch") == (4 if graph else 0)


def test_the_device_waits_for_who_still_writes_it(bench, cnn):
    bench.install(VERSIONS[0])
    context = cuda.Context()
    with opened(cnn) as backend:
        right = backend.run({"x": picture(1), "scale": SCALE})[0].copy()
        theirs = cuda.Stream(context)
        given = on_device(context, picture(1), theirs)
        bench.script("trace")
        np.testing.assert_array_equal(backend.run({"x": given, "scale": SCALE})[0], right)
        assert bench.simulation.trace("cuStreamWaitEvent")
        # Made on the backend's own stream there is nothing to wait for.
        given = on_device(context, picture(1), backend.stream)
        bench.script("trace")
        np.testing.assert_array_equal(backend.run({"x": Interface(given), "scale": SCALE})[0], right)
        assert not bench.simulation.trace("cuStreamWaitEvent")


def test_a_stage_on_our_context_and_stream_hands_its_array_over(bench, cnn):
    """As a pycuda stage does: its kernel runs on the backend's stream, its array goes in as it lies."""
    bench.install(VERSIONS[0])
    context = cuda.Context()
    with context, opened(cnn) as backend:
        values = np.zeros(SHAPES["x"], np.float32)
        right = backend.run(
            {"x": np.frombuffer(bytes([1]) * values.nbytes, np.float32).reshape(values.shape), "scale": SCALE}
        )
        right = right[0].copy()
        made = on_device(context, values, backend.stream)
        kernel = cuda.Module(context, PTX).function("add_one")
        kernel.launch(backend.stream, values.nbytes // 32, 32, [made, np.uint64(values.nbytes)])
        np.testing.assert_array_equal(backend.run({"x": Interface(made), "scale": SCALE})[0], right)


@pytest.mark.parametrize("options", [{}, {"cuda_graph": False}, {"in_flight": 2}], ids=["graph", "plain", "pipelined"])
def test_timed_requests_read_it_there_too(bench, cnn, options):
    bench.install(VERSIONS[0])
    context = cuda.Context()
    with opened(cnn, **options) as backend:
        right = backend.run({"x": picture(1), "scale": SCALE})[0].copy()
        request = backend.work({"x": on_device(context, picture(1)), "scale": SCALE})
        # Whose inputs lie elsewhere: those of the request are its own.
        backend.run({"x": picture(2), "scale": SCALE})
        answers = [each._made[0].array for each in (backend, *backend._others)]
        for answer in answers:
            answer[...] = 0
        bench.script("trace")
        closed_loop(request, StageSamples(8, 5), deadline_ns=NO_DEADLINE_NS, most=6)
        for answer in answers:
            np.testing.assert_array_equal(answer, right)
        # The scale alone.
        enqueued = 6 + (options.get("in_flight", 1) - 1)
        assert 6 <= bench.simulation.trace(*COPIES).count("cuMemcpyHtoDAsync") <= enqueued


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda c: [1.0], "input x: expected a NumPy array, or one on the device with __cuda_array_interface__ .* got list"),
        (lambda c: on_device(c, picture(1).astype(np.float16)), r"expected float32\[2, 3, 6, 6\], got float16\[2, 3, 6, 6\]"),
        (lambda c: on_device(c, picture(1)[:1].copy()), r"expected float32\[2, 3, 6, 6\], got float32\[1, 3, 6, 6\]"),
        (lambda c: Interface(on_device(c, picture(1)), strides=(4, 8, 48, 288)), "input x: expected an array in C order"),
        (lambda c: Interface(on_device(c, picture(1)), data=(0, False)), "input x: expected memory, got a null pointer"),
        (lambda c: Interface(on_device(c, np.zeros((1, *SHAPES["x"]), np.float32)), shape=(9,) * 9), "input x: expected memory of"),
        (lambda c: _shifted(c), "input x: expected device memory at a multiple of 256 bytes, .*, as a view into another"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_there_is_told(bench, cnn, make, said):
    bench.install(VERSIONS[0])
    with opened(cnn) as backend, pytest.raises(CellError, match=said):
        backend.run({"x": make(cuda.Context()), "scale": SCALE})


def _shifted(context):
    whole = on_device(context, np.zeros((3, *SHAPES["x"][1:]), np.float32))
    return cuda.DeviceArray(context, whole.pointer + 4, SHAPES["x"], np.float32, owner=whole)
