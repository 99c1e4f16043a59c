"""Arguments at the edge of their types: both engines answer alike, or one message says what was expected."""

import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from seatrial._native import kernels
from seatrial.kernels.geometry import Geometry, fit
from seatrial.kernels.postprocess import ClassificationDecoder, DetectionDecoder
from seatrial.kernels.preprocess import Preprocess

SQUARE = fit((64, 64), (64, 64), "stretch")
every_engine = pytest.mark.parametrize("engine", ["native", "reference"])


def zeros(width):
    """A row of `width` pixels in one byte of memory."""
    return np.broadcast_to(np.uint8(0), (1, width))


def test_a_row_of_planes_counts_as_the_colours_it_becomes():
    width = 2**29 + 2**27
    kernel = Preprocess(size=(1, 64), mode="stretch", input_color="i420", interpolation="nearest")
    with pytest.raises(ValueError, match="rows of at most 2147483647 bytes, got 671088640 pixels of 4"):
        kernel((zeros(width), zeros(width // 2), zeros(width // 2)))


def test_a_row_is_measured_before_it_is_copied():
    with pytest.raises(ValueError, match="rows of at most"):
        Preprocess(size=(4, 8))(np.broadcast_to(np.uint8(0), (4, 2**31, 3)))


@pytest.mark.parametrize("threshold", [0.1, np.float64(0.1), np.float32(0.1)])
@every_engine
def test_a_threshold_is_compared_in_float32_whatever_it_came_as(threshold, engine):
    rows = np.array([[[1, 1, 9, 9, 0.1, 0]]], np.float32)
    assert len(DetectionDecoder("end_to_end", confidence=threshold, engine=engine)([rows], [SQUARE])[0]) == 0


@every_engine
def test_no_queries_and_no_images(engine):
    empty = [np.zeros((1, 0, 4), np.float32), np.zeros((1, 0, 3), np.float32)]
    assert len(DetectionDecoder("detr", engine=engine)(empty, [SQUARE])[0]) == 0
    assert ClassificationDecoder(engine=engine)([np.zeros((0, 10), np.float32)], []) == []


@every_engine
def test_values_beyond_float32_are_infinite_without_a_warning(engine):
    assert np.isinf(Preprocess(size=(2, 2), std=(1e-40,) * 3, engine=engine)(np.full((2, 2, 3), 255, np.uint8))).all()
    assert len(DetectionDecoder("end_to_end", engine=engine)([np.full((1, 1, 6), 1e300)], [SQUARE])[0]) == 0


@every_engine
def test_minus_zero_is_zero(engine):
    image = np.zeros((2, 2, 3), np.uint8)
    plus, minus = (Preprocess(size=(2, 2), scale=-1, mean=(z,) * 3, engine=engine)(image) for z in (0.0, -0.0))
    assert plus.tobytes() == minus.tobytes()


def test_more_threads_than_an_int_holds():
    images = [np.full((2, 2, 3), 9, np.uint8)] * 3
    kernel = Preprocess(size=(2, 2))
    np.testing.assert_array_equal(kernel.batch(images, threads=2**31), kernel.batch(images))


def test_halves_of_one_canvas_do_not_overlap():
    canvas = np.zeros((8, 16, 3), np.uint8)
    canvas[:, 8:] = 7
    raw = Preprocess(size=(8, 8), layout="nhwc", scale=1, dtype="uint8")
    raw(canvas[:, 8:], out=canvas[None, :, :8])
    assert (canvas == 7).all()
    with pytest.raises(ValueError, match="overlaps"):
        raw(canvas[:, 8:], out=canvas[None, :, 7:15])


@pytest.mark.parametrize("count", [2.5, 0, -1, True, "5", None])
def test_counts_are_whole_numbers(count):
    with pytest.raises(ValueError, match="max_detections: expected a whole number"):
        DetectionDecoder(max_detections=count)
    with pytest.raises(ValueError, match="top_k: expected a whole number"):
        ClassificationDecoder(count)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, 0), (0.0123, 3), (0.5, 100), (1e-4, 0), (0.02, 127)])
@every_engine
def test_levels_are_onnxs_quantize_linear(dtype, scale, zero_point, engine):
    onnxruntime = pytest.importorskip("onnxruntime")
    image = np.random.default_rng(0).integers(0, 256, (31, 33, 3), dtype=np.uint8)
    settings = {"size": (31, 33), "mode": "stretch", "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25), "engine": engine}
    kind = TensorProto.INT8 if dtype == "int8" else TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"])], "q",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)], [helper.make_tensor_value_info("y", kind, None)],
        [helper.make_tensor("s", TensorProto.FLOAT, [], [scale]), helper.make_tensor("z", kind, [], [zero_point])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"x": Preprocess(**settings)(image)})
    given = Preprocess(**settings, dtype=dtype, quant_scale=scale, zero_point=zero_point)(image)
    np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dtype": "int8"}, "dtype: int8 needs a quant_scale"),
        ({"zero_point": 1}, "zero_point: expected a quant_scale with it"),
        ({"quant_scale": 0.1}, "quant_scale: expected dtype uint8 or int8 with it, got float32"),
        ({"dtype": "int8", "quant_scale": 0}, "quant_scale: expected a positive finite number, got 0"),
        ({"dtype": "int8", "quant_scale": -1}, "quant_scale: expected a positive finite number, got -1"),
        ({"dtype": "int8", "quant_scale": 1e-60}, "quant_scale: expected a positive finite number"),
        ({"dtype": "int8", "quant_scale": float("nan")}, "quant_scale: expected finite numbers"),
        ({"dtype": "int8", "quant_scale": "0.1"}, "quant_scale: expected a number, got '0.1'"),
        ({"dtype": "int8", "quant_scale": True}, "quant_scale: expected a number, got True"),
        ({"dtype": "int8", "quant_scale": [0.1, 0.2]}, "quant_scale: expected 1 value"),
        ({"dtype": "int8", "quant_scale": 0.1, "zero_point": 128}, "zero_point: expected a whole number from -128 to 127"),
        ({"dtype": "uint8", "quant_scale": 0.1, "zero_point": -1}, "zero_point: expected a whole number from 0 to 255"),
        ({"dtype": "int8", "quant_scale": 0.1, "zero_point": 1.5}, "zero_point: expected a whole number"),
        ({"size": (True, 8)}, "size: expected"), ({"pad_value": True}, "pad_value: expected a whole grey level"),
        ({"scale": "1/255"}, "scale: expected a number, got '1/255'"), ({"scale": 1e39}, "scale: expected finite numbers"),
        ({"mean": None}, "mean: expected 3 numbers, got None"), ({"mean": (1e300, 0, 0)}, "mean: expected finite numbers"),
        ({"std": (1, 1)}, "std: expected 3 value"), ({"engine": "fast"}, "engine: expected one of native, reference"),
        ({"input_color": "nv21"}, "input_color: expected one of .*did you mean 'nv12'"),
        ({"yuv_matrix": "bt2020"}, "yuv_matrix: expected one of bt601, bt709"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be(settings, said):
    with pytest.raises(ValueError, match=said):
        Preprocess(**{"size": (8, 8)} | settings)


@every_engine
def test_settings_as_onnx_and_numpy_hand_them_over(engine):
    image = np.full((4, 4, 3), 100, np.uint8)
    plain = Preprocess(size=(4, 4), dtype="int8", quant_scale=0.01, zero_point=-5, engine=engine)
    arrays = Preprocess(
        size=np.array([4, 4]),
        dtype=np.int8,
        quant_scale=np.array(0.01),
        zero_point=np.array([-5], np.int8),
        engine=engine,
    )
    assert plain == arrays
    np.testing.assert_array_equal(arrays(image), plain(image))


@pytest.mark.parametrize(
    ("outputs", "geometries", "said"),
    [
        (np.zeros((1, 6, 8)), [SQUARE], "outputs: expected a list of arrays, .* got ndarray; wrap it in a list"),
        ({"y": np.zeros((1, 6, 8))}, [SQUARE], r"got dict; give list\(outputs.values\(\)\)"),
        ([np.zeros((1, 6, 8))], SQUARE, "geometries: expected a list .* wrap it in a list"),
        (
            [np.zeros((1, 6, 8), complex)],
            [SQUARE],
            "outputs: expected numbers of at most 64 bits, got an array of complex128",
        ),
        ([np.zeros((1, 6, 8)).astype(str)], [SQUARE], "outputs: expected numbers"),
    ],
)
def test_outputs_that_are_none(outputs, geometries, said):
    with pytest.raises(ValueError, match=said):
        DetectionDecoder()(outputs, geometries)


@pytest.mark.parametrize("value", ["0.5", None, True, 1.5, float("nan")])
@pytest.mark.parametrize("name", ["confidence", "iou"])
def test_a_threshold_that_is_none(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected a threshold from 0 to 1, got"):
        DetectionDecoder(**{name: value})


def test_an_image_of_a_batch_is_named():
    good, bad = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8)
    with pytest.raises(ValueError, match=r"^image 2 of the batch: expected uint8 of shape \(height, width, 3\)"):
        Preprocess(size=(4, 4)).batch([good, good, bad])
    with pytest.raises(ValueError, match="^image: expected"):
        Preprocess(size=(4, 4))(bad)


@pytest.mark.parametrize("images", [None, 5, "image.jpg", {1: 2}])
def test_a_batch_is_a_list(images):
    with pytest.raises(ValueError, match="images: expected a list of images, got"):
        Preprocess(size=(4, 4)).batch(images)


def test_slots_that_share_memory_and_no_array():
    images = [np.zeros((4, 4, 3), np.uint8)] * 2
    kernel = Preprocess(size=(4, 4))
    shared = np.lib.stride_tricks.as_strided(np.zeros((3, 4, 4), np.float32), (2, 3, 4, 4), (0, 64, 16, 4))
    with pytest.raises(ValueError, match="a batch stride of zero"):
        kernel.batch(images, out=shared, threads=2)
    with pytest.raises(ValueError, match="out: expected a NumPy array of float32 .* got list"):
        kernel.batch(images, out=[[0]])


@pytest.mark.parametrize("sides", [((0, 4), (4, 4), (4, 4)), ((4, 4), (4, 4), (-8, 4)), ((4, 4), (4, 0), (4, 4))])
def test_a_geometry_without_pixels(sides):
    with pytest.raises(ValueError, match="sides of at least one pixel"):
        Geometry(*sides, 0, 0)


def test_ctrl_c_need_not_wait_for_the_whole_batch():
    code = (
        "import _thread, signal, threading, time, numpy as np\n"
        "from seatrial import Preprocess\n"
        # As in a terminal: whoever starts the tests may have SIGINT ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "images = [np.zeros((1500, 2000, 3), np.uint8)] * 4000\n"
        "kernel = Preprocess(size=(8, 8), interpolation='antialias_cubic')\n"
        "threading.Timer(0.5, _thread.interrupt_main).start()\n"
        "try:\n    kernel.batch(images)\nexcept KeyboardInterrupt:\n    print('stopped')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == "stopped\n", ended.stderr


def test_a_level_with_a_nul_is_no_level():
    with pytest.raises(ValueError, match="SIMD level"):
        kernels.select_simd("scalar\0x")


def test_a_box_of_sixteen_million_pixels_is_averaged_right():
    area = Preprocess(size=(1, 1), mode="stretch", interpolation="area", layout="nhwc", scale=1, dtype="uint8")
    image = np.broadcast_to(np.uint8(255), (4096, 4096, 3))
    assert area(image).tolist() == [[[[255, 255, 255]]]]
