"""Preprocessing on a card, its kernels' body built by g++: the CPU kernels' bits, for every setting and any shape."""

import dataclasses

import cv2
import numpy as np
import pytest
from device_preprocess import INTERPOLATIONS, Host, case, picture, run, same_bits

from seatrial._native import device_preprocess as native
from seatrial.cuda.device_images import DeviceImage, packed
from seatrial.cuda.layouts import IMAGE, METHODS, SETTINGS
from seatrial.cuda.preprocess import DevicePreprocess
from seatrial.errors import DataError
from seatrial.kernels.arguments import ArgumentError
from seatrial.kernels.preprocess import Preprocess


def differing(seed: int, pixels: int, largest: int) -> tuple[int, int, set[str]]:
    """(values that differ, pixels compared, kernels that ran) over random cases until there are so many pixels."""
    rng = np.random.default_rng(seed)
    bad = done = 0
    functions: set[str] = set()

    class Watched(Host):
        def launch(self, launch):
            functions.add(launch.function)
            super().launch(launch)

    while done < pixels:
        preprocess, images = case(rng, largest)
        expected = preprocess.batch(images)
        got = run(Watched(), preprocess, images, rng)
        wrong = same_bits(got, expected)
        assert wrong == 0, (preprocess, [np.shape(i[0] if isinstance(i, tuple) else i) for i in images])
        bad += wrong
        done += expected.size // preprocess.channels
    return bad, done, functions


def test_no_value_of_four_million_random_pixels_differs_from_the_cpu_kernels():
    bad, done, functions = differing(seed=14, pixels=4_000_000, largest=150)
    assert bad == 0
    assert done >= 4_000_000
    assert {f.removeprefix("seatrial_preprocess_") for f in functions} == {
        f"{method}_{kind}" for method in METHODS for kind in ("gray", "color", "planes")
    }


@pytest.mark.slow
def test_nor_of_sixty_million():
    bad, done, _ = differing(seed=1, pixels=60_000_000, largest=400)
    assert bad == 0
    assert done >= 60_000_000


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(
    ("source", "size"),
    [
        ((1, 1), (1, 1)),
        ((1, 1), (64, 48)),
        ((1, 4000), (8, 8)),
        ((4000, 1), (8, 8)),
        ((7, 5), (1, 1)),
        ((90, 1), (30, 31)),
    ],
)
def test_extreme_shapes(interpolation, source, size):
    rng = np.random.default_rng(3)
    for input_color in ("bgr", "nv12", "gray", "rgba"):
        color = "gray" if input_color == "gray" else "rgb"
        preprocess = Preprocess(
            size=size, mode="stretch", interpolation=interpolation, input_color=input_color, color=color
        )
        image = picture(rng, *source, input_color)
        assert same_bits(run(Host(), preprocess, [image]), preprocess(image)) == 0


def test_nv12_is_opencvs_own_arithmetic():
    rng = np.random.default_rng(0)
    y, uv = picture(rng, 64, 82, "nv12")
    preprocess = Preprocess(
        size=(64, 82), mode="stretch", input_color="nv12", color="bgr", layout="nhwc", dtype="uint8", scale=1
    )
    expected = cv2.cvtColor(np.concatenate([y, uv.reshape(32, 82)]), cv2.COLOR_YUV2BGR_NV12)
    np.testing.assert_array_equal(run(Host(), preprocess, [(y, uv)])[0], expected)


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "area"])
def test_a_resize_is_opencvs_own(interpolation):
    rng = np.random.default_rng(1)
    flags = {"linear": cv2.INTER_LINEAR, "nearest": cv2.INTER_NEAREST, "area": cv2.INTER_AREA}
    for source, size in (((97, 55), (40, 33)), ((20, 30), (61, 77)), ((80, 60), (40, 30)), ((90, 60), (30, 20))):
        image = picture(rng, *source, "bgr")
        preprocess = Preprocess(
            size=size, mode="stretch", interpolation=interpolation, color="bgr", layout="nhwc", dtype="uint8", scale=1
        )
        expected = cv2.resize(image, size[::-1], interpolation=flags[interpolation])
        np.testing.assert_array_equal(run(Host(), preprocess, [image])[0], expected)


def test_what_has_no_arithmetic_is_looked_up():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for settings in ({"scale": 1e36, "std": (1e-6,)}, {"scale": 1e-42}, {"dtype": "float16", "scale": 300.0}):
        preprocess = Preprocess(size=(16, 16), input_color="gray", color="gray", **settings)
        assert same_bits(run(Host(), preprocess, [image]), preprocess(image)) == 0


def test_a_slice_of_a_larger_image_needs_no_copy():
    rng = np.random.default_rng(2)
    whole = picture(rng, 200, 300, "bgr")
    view = whole[31:151, 17:217]
    preprocess = Preprocess(size=(64, 64))
    out = np.empty((1, 3, 64, 64), np.float32)
    image = DeviceImage(height=120, width=200, pixels=view.ctypes.data, row_stride=900)
    host = Host()
    for launch in DevicePreprocess(preprocess, host.place).launches([image], out.ctypes.data, out.shape):
        host.launch(launch)
    assert same_bits(out, preprocess(view)) == 0


# ---- Launches ----


class Counted(Host):
    """Counts uploads."""

    def __init__(self):
        self.uploads = []

    def place(self, content):
        self.uploads.append(len(content))
        return super().place(content)


def test_images_of_one_method_go_in_one_launch_and_tables_up_once():
    machine = Counted()
    device = DevicePreprocess(Preprocess(size=(64, 64)), machine.place)
    images = [
        DeviceImage.at(0x1000_0000, h, w, "bgr") for h, w in ((100, 80), (64, 64), (100, 80), (128, 128), (90, 33))
    ]
    launches = device.launches(images, 0x2000_0000, (5, 3, 64, 64))
    assert [(launch.function, launch.grid[2]) for launch in launches] == [
        ("seatrial_preprocess_linear_color", 3),
        ("seatrial_preprocess_copy_color", 1),
        ("seatrial_preprocess_halve_color", 1),
    ]
    assert all(launch.block == (32, 8, 1) and launch.grid[:2] == (2, 2) for launch in launches)
    before = len(machine.uploads)
    device.launches(images, 0x2000_0000, (5, 3, 64, 64))
    # The arrays of images alone: the tables of values and of taps are there.
    assert machine.uploads[before:] == [3 * IMAGE.itemsize, IMAGE.itemsize, IMAGE.itemsize]


@pytest.mark.parametrize(
    ("source", "method"), [((1080, 1920), "nearest"), ((720, 1280), "halve"), ((750, 1000), "linear")]
)
def test_a_linear_resize_that_needs_less_arithmetic_gets_less(source, method):
    preprocess = Preprocess(size=(640, 640))
    launches = DevicePreprocess(preprocess, Host().place).launches(
        [DeviceImage.at(0x1000_0000, *source, "bgr")], 0x2000_0000, (1, 3, 640, 640)
    )
    assert [launch.function for launch in launches] == [f"seatrial_preprocess_{method}_color"]
    image = picture(np.random.default_rng(0), *source, "bgr")
    assert same_bits(run(Host(), preprocess, [image]), preprocess(image)) == 0


def test_a_launch_keeps_the_memory_that_it_points_into():
    machine = Host()
    device = DevicePreprocess(Preprocess(size=(16, 16)), machine.place)
    (launch,) = device.launches([DeviceImage.at(0x1000_0000, 50, 40, "bgr")], 0x2000_0000, (1, 3, 16, 16))
    images, _, settings = launch.arguments
    record = np.frombuffer(next(k for k in launch.kept if k.pointer == int.from_bytes(images, "little")).kept, IMAGE)[0]
    held = {k.pointer: k.kept.nbytes for k in launch.kept}
    for address in (
        record["columns"]["weights"],
        record["rows"]["weights"],
        np.frombuffer(settings, SETTINGS)[0]["tables"],
    ):
        assert any(start <= address < start + size for start, size in held.items())


def test_structs_have_the_kernels_own_sizes():
    assert (IMAGE.itemsize, SETTINGS.itemsize) == (native.IMAGE_BYTES, native.SETTINGS_BYTES)


@pytest.mark.parametrize("input_color", ["bgr", "bgra", "gray", "nv12", "i420"])
def test_packed_images_are_read_where_at_says(input_color):
    rng = np.random.default_rng(4)
    color = "gray" if input_color == "gray" else "rgb"
    preprocess = Preprocess(size=(20, 30), input_color=input_color, color=color)
    image = picture(rng, 35, 27, input_color)
    memory = packed(image, input_color)
    out = np.empty((1, *preprocess.shape), np.float32)
    host = Host()
    device = DevicePreprocess(preprocess, host.place)
    for launch in device.launches(
        [DeviceImage.at(memory.ctypes.data, 35, 27, input_color)], out.ctypes.data, out.shape
    ):
        host.launch(launch)
    assert same_bits(out, preprocess(image)) == 0


# ---- Refusals ----

IMAGE_AT = DeviceImage.at(0x1000_0000, 100, 80, "bgr")
OUT = 0x2000_0000


@pytest.mark.parametrize(
    ("settings", "images", "out", "shape", "message"),
    [
        ({}, [IMAGE_AT], OUT, (1, 64, 64, 3), "shape: expected (1, 3, 64, 64) for these images, got (1, 64, 64, 3)"),
        ({}, [], OUT, (0, 3, 64, 64), "images: expected at least one, all of one input size, got no image; give them one by one"),
        ({}, [IMAGE_AT], OUT + 2, (1, 3, 64, 64), "out: expected an address that is a multiple of 4, got 0x20000002"),
        (
            {}, [IMAGE_AT, IMAGE_AT], IMAGE_AT.pixels + 23_996, (2, 3, 64, 64),
            "out: expected memory of its own, got an address whose tensor overlaps image 0",
        ),
        (
            {}, [dataclasses.replace(IMAGE_AT, pixels=0)], OUT, (1, 3, 64, 64),
            "image 0 of the batch: pixels: expected the address of device memory, got 0",
        ),
        (
            {}, [dataclasses.replace(IMAGE_AT, width=2**30)], OUT, (1, 3, 64, 64),
            "image 0 of the batch: width: expected rows of at most 2147483647 bytes, got 1073741824 pixels of 3; cut the image up",
        ),
        (
            {}, [dataclasses.replace(IMAGE_AT, height=0)], OUT, (1, 3, 64, 64),
            "image 0 of the batch: height: expected a side of 1 to 2147483647 pixels, got 0",
        ),
        (
            {}, [dataclasses.replace(IMAGE_AT, row_stride=2**31)], OUT, (1, 3, 64, 64),
            "image 0 of the batch: row_stride: expected at most 2147483647 bytes from row to row, got 2147483648",
        ),
        (
            {}, [dataclasses.replace(IMAGE_AT, row_stride=-80)], OUT, (1, 3, 64, 64),
            "image 0 of the batch: row_stride: expected at least 240 bytes from row to row for this image, got -80",
        ),
        (
            {"input_color": "i420"}, [dataclasses.replace(DeviceImage.at(9, 100, 80, "i420"), chroma_stride=39)], OUT,
            (1, 3, 64, 64),
            "image 0 of the batch: chroma_stride: expected at least 40 bytes from row to row for this image, got 39",
        ),
        (
            {}, [dataclasses.replace(IMAGE_AT, u=4)], OUT, (1, 3, 64, 64),
            "image 0 of the batch: u: expected no chroma planes for input_color 'bgr', got u 0x4",
        ),
        (
            {"input_color": "nv12"}, [IMAGE_AT], OUT, (1, 3, 64, 64),
            "image 0 of the batch: chroma_step: expected addresses of u and v and a step of 2 for input_color 'nv12', got u 0x0, "
            "v 0x0, step 0; DeviceImage.at lays an image out",
        ),
        (
            {"mode": "rect", "stride": 8}, [IMAGE_AT, DeviceImage.at(0x1100_0000, 10, 90, "bgr")], OUT, (2, 3, 64, 56),
            "images: expected at least one, all of one input size, got 64 × 56 and 8 × 64; give them one by one",
        ),
    ],
)  # fmt: skip
def test_refusals_say_what_came_and_the_cure(settings, images, out, shape, message):
    device = DevicePreprocess(Preprocess(size=(64, 64), **settings), Host().place)
    with pytest.raises(ArgumentError) as caught:
        device.launches(images, out, shape)
    assert str(caught.value) == message


def test_memory_that_a_vector_load_cannot_read_is_refused():
    class Askew(Host):
        def place(self, content):
            placed = super().place(content)
            placed.pointer += 8
            return placed

    with pytest.raises(
        ArgumentError, match=r"^upload: expected memory at a multiple of 16, got 0x\w+8; DeviceBuffer gives such$"
    ):
        DevicePreprocess(Preprocess(size=(8, 8)), Askew().place)


def test_more_rows_than_a_grid_has_are_refused():
    device = DevicePreprocess(Preprocess(size=(2097121, 1), mode="stretch"), Host().place)
    with pytest.raises(
        ArgumentError, match="^size: expected at most 2097120 rows of 536870911 values on a card, got 2097121 × 1$"
    ):
        device.launches([IMAGE_AT], OUT, (1, 3, 2097121, 1))


def test_the_reference_is_not_run_on_a_card():
    with pytest.raises(
        ArgumentError, match="^engine: expected 'native' for preprocessing on a card, got 'reference'; the ref"
    ):
        DevicePreprocess(Preprocess(size=(8, 8), engine="reference"), Host().place)


def test_an_image_that_does_not_fit_is_the_same_error_as_on_the_cpu():
    device = DevicePreprocess(Preprocess(size=(8, 8), mode="pad"), Host().place)
    with pytest.raises(DataError, match="^mode 'pad' does not resize"):
        device.launches([IMAGE_AT], OUT, (1, 3, 8, 8))
    small = DeviceImage.at(0x1100_0000, 5, 5, "bgr")
    with pytest.raises(DataError, match="^image 1 of the batch: mode 'pad' does not resize"):
        device.launches([small, IMAGE_AT], OUT, (2, 3, 8, 8))
