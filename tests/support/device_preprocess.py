"""Preprocessing on a card without one: random cases, and the two machines that run a launch: g++'s body, and the PTX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import ptx

from seatrial._native import device_preprocess as native
from seatrial.cuda.device_images import DeviceImage
from seatrial.cuda.preprocess import DevicePreprocess, Launch, kernel_of
from seatrial.cuda.ptx import preprocess_ptx
from seatrial.errors import DataError
from seatrial.kernels.images import CHANNELS, Planes, check_image, size_of
from seatrial.kernels.preprocess import Preprocess

INTERPOLATIONS = ("linear", "nearest", "area", "cubic", "antialias_linear", "antialias_cubic")


@dataclass
class Placed:
    """Memory of a machine: its address, and what keeps it alive."""

    pointer: int
    kept: object = None


class Host:
    """g++'s build of the body, on the host's memory."""

    def place(self, content: bytes | np.ndarray) -> Placed:
        array = np.frombuffer(content, np.uint8).copy() if isinstance(content, bytes) else np.ascontiguousarray(content)
        return Placed(array.ctypes.data, array)

    def output(self, array: np.ndarray) -> Placed:
        return Placed(array.ctypes.data, array)

    def launch(self, launch: Launch) -> None:
        images, out, settings = launch.arguments
        method, kind = kernel_of(launch.function)
        native.run(method, kind, int.from_bytes(images, "little"), int.from_bytes(out, "little"), settings)

    def read(self, placed: Placed, like: np.ndarray) -> np.ndarray:
        return placed.kept


class Card:
    """The committed PTX, or another, run by the interpreter on memory of its own."""

    def __init__(self, kernels: dict[str, ptx.Kernel] | None = None, capacity: int = 64 << 20) -> None:
        self.kernels = kernels or committed_kernels()
        self.memory = ptx.Memory(capacity)
        self.ran: set[int] = set()

    def place(self, content: bytes | np.ndarray) -> Placed:
        # Images begin anywhere; tables where they must.
        offset = 0 if isinstance(content, bytes) else 3
        return Placed(self.memory.place(content, offset=offset))

    def output(self, array: np.ndarray) -> Placed:
        return Placed(self.memory.place(array, writable=True, offset=array.itemsize))

    def launch(self, launch: Launch) -> None:
        kernel = self.kernels[launch.function]
        self.ran |= ptx.launch(kernel, self.memory, launch.grid, launch.block, launch.arguments)

    def read(self, placed: Placed, like: np.ndarray) -> np.ndarray:
        return self.memory.read(placed.pointer, like.nbytes).view(like.dtype).reshape(like.shape)


_kernels: dict[str, ptx.Kernel] = {}


def committed_kernels() -> dict[str, ptx.Kernel]:
    if not _kernels:
        _kernels.update(ptx.kernels(preprocess_ptx().text))
    return _kernels


def run(
    machine: Host | Card, preprocess: Preprocess, images: Sequence, rng: np.random.Generator | None = None
) -> np.ndarray:
    """The tensor that a machine makes of host images; with rng, the images' rows lie apart, some from the bottom up."""
    placed = [device_image(machine.place, image, preprocess.input_color, rng) for image in images]
    source_hw = size_of(check_image(images[0], preprocess.input_color))
    shape = (len(images), *preprocess.shape_of(preprocess.geometry(source_hw).input_hw))
    # Bytes that no tensor here is made of throughout: what is not written shows.
    before = (
        np.full(shape, 0xA5, np.uint8).astype(preprocess.dtype)
        if preprocess.dtype != "int8"
        else np.full(shape, -91, np.int8)
    )
    device = DevicePreprocess(preprocess, machine.place)
    out = machine.output(before)
    # Held until the tensor is read: a launch keeps the memory that its kernel reads, which may run later.
    launches = device.launches([image for image, _ in placed], out.pointer, shape)
    for launch in launches:
        machine.launch(launch)
    return machine.read(out, before)


def device_image(
    place: Callable[[np.ndarray], Placed], image, input_color: str, rng: np.random.Generator | None
) -> tuple[DeviceImage, list[Placed]]:
    """An image's planes in a machine's memory, each row followed by a gap where rng says so."""
    checked = check_image(image, input_color)
    height, width = size_of(checked)

    def plane(pixels: np.ndarray) -> tuple[Placed, int, int]:
        """(memory, address of the first row, bytes from row to row)."""
        rows = pixels.reshape(len(pixels), -1)
        gap, flipped = (int(rng.integers(0, 9)), bool(rng.integers(2))) if rng is not None else (0, False)
        stride = rows.shape[1] + gap
        # The memory ends with the last row's last pixel.
        memory = np.full(len(rows) * stride - gap, 0xEE, np.uint8)
        np.lib.stride_tricks.as_strided(memory, rows.shape, (stride, 1))[:] = rows[::-1] if flipped else rows
        placed = place(memory)
        if flipped:
            return placed, placed.pointer + (len(rows) - 1) * stride, -stride
        return placed, placed.pointer, stride

    if not isinstance(checked, Planes):
        placed, pixels, stride = plane(checked)
        return DeviceImage(height=height, width=width, pixels=pixels, row_stride=stride), [placed]
    luma, pixels, stride = plane(checked.y)
    common = {"height": height, "width": width, "pixels": pixels, "row_stride": stride}
    if input_color == "nv12":
        chroma, u, chroma_stride = plane(np.stack([checked.u, checked.v], axis=-1))
        return DeviceImage(**common, u=u, v=u + 1, chroma_stride=chroma_stride, chroma_step=2), [luma, chroma]
    # Both planes of I420 share one stride: side by side in one memory.
    half = checked.u.shape[1]
    chroma, u, chroma_stride = plane(np.concatenate([checked.u, checked.v], axis=1))
    return DeviceImage(**common, u=u, v=u + half, chroma_stride=chroma_stride, chroma_step=1), [luma, chroma]


def same_bits(a: np.ndarray, b: np.ndarray) -> int:
    """How many values differ in any bit."""
    assert (a.shape, a.dtype) == (b.shape, b.dtype)
    width = f"u{a.itemsize}"
    return int((a.view(width) != b.view(width)).sum())


# ---- Random cases ----

# Negative, tiny (subnormal in float32), huge: whatever no short cut can repeat goes through the table.
SCALES = (1 / 255, 1.0, -1 / 255, 2.5, 1e-6, 1e-30, 1e-42, 1e36, 0.0, 1 / 128)
MEANS = (0.0, 0.485, -0.5, 1.0, 1e-7, 114.0)
DEVIATIONS = (1.0, 0.229, -0.5, 1e-6, 255.0, 3.0, 1e-40)
MODES = ("letterbox", "stretch", "resize_center_crop", "pad", "rect", "keep_ratio")


def picture(rng: np.random.Generator, height: int, width: int, input_color: str):
    """Noise in the form that `input_color` asks for."""

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape, dtype=np.uint8)

    half = (height + 1) // 2, (width + 1) // 2
    if input_color == "nv12":
        return noise(height, width), noise(*half, 2)
    if input_color == "i420":
        return noise(height, width), noise(*half), noise(*half)
    return noise(height, width, CHANNELS[input_color])


def sizes(rng: np.random.Generator, largest: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """(source, input): any, whole factors, exactly half, the same, enlarged, long, one pixel."""

    def side(most: int = largest) -> int:
        return int(rng.integers(1, int(rng.choice([9, max(10, most // 3), most])) + 1))

    out = side(), side()
    kind = str(rng.choice(["any", "any", "any", "whole", "half", "same", "enlarged", "long", "one"]))
    if kind == "whole":
        return (out[0] * int(rng.integers(1, 5)), out[1] * int(rng.integers(1, 5))), out
    if kind == "half":
        return (2 * out[0], 2 * out[1]), out
    if kind == "same":
        return out, out
    if kind == "enlarged":
        return (side(12), side(12)), out
    if kind == "long":
        ends = [int(rng.integers(1, 4)), int(rng.integers(500, 3000))]
        rng.shuffle(ends)
        return (ends[0], ends[1]), (min(out[0], 40), min(out[1], 40))
    return ((1, 1) if kind == "one" else (side(), side())), out


def case(rng: np.random.Generator, largest: int = 150) -> tuple[Preprocess, list]:
    """Settings, every one that changes a value, and one to three images that they can take."""
    while True:
        try:
            return _case(rng, largest)
        except DataError:  # the image can't be fitted in that mode
            continue


def _case(rng: np.random.Generator, largest: int) -> tuple[Preprocess, list]:
    def one(values):
        return values[int(rng.integers(len(values)))]

    (height, width), size = sizes(rng, largest)
    input_color = one([*CHANNELS, "nv12", "nv12", "i420"])
    color = "gray" if input_color == "gray" else one(["rgb", "rgb", "bgr", "gray"])
    channels = 1 if color == "gray" else 3
    mode = one(MODES)
    dtype = one(["float32", "float32", "float16", "uint8", "int8"])
    arithmetic: dict = {"scale": 1}
    quantised = dtype == "int8" or (dtype == "uint8" and bool(rng.integers(2)))
    if quantised:
        limits = np.iinfo(dtype)
        arithmetic["quant_scale"] = one([1 / 255, 0.01, 0.018658, 1.0, 1e-12])
        arithmetic["zero_point"] = int(rng.integers(limits.min, limits.max + 1))
    if dtype != "uint8" or quantised:
        plain = bool(rng.integers(2))
        arithmetic["scale"] = 1 / 255 if plain else one(SCALES)
        if rng.integers(2):
            arithmetic["mean"] = tuple(one(MEANS) for _ in range(channels))
        if rng.integers(2):
            arithmetic["std"] = tuple(one(DEVIATIONS[:3] if plain else DEVIATIONS) for _ in range(channels))
    varying = {
        "stride": int(one([1, 8, 32])),
        "scaling": one(["any", "down", "up"]),
        "to_stride": one(["pad", "stretch"]),
    }
    preprocess = Preprocess(
        size=size, mode=mode, color=color, input_color=input_color, dtype=dtype, **arithmetic,
        interpolation=one(INTERPOLATIONS), layout=one(["nchw", "nhwc"]),
        pad_value=int(rng.integers(256)), pad_anchor=one(["center", "top_left"]),
        yuv_matrix=one(["bt601", "bt709"]), yuv_range=one(["limited", "full"]),
        resize_short=one([None, int(rng.integers(1, 60))]),
        **(varying if mode in ("rect", "keep_ratio") else {}),
    )  # fmt: skip
    if mode == "pad":
        height, width = min(height, size[0]), min(width, size[1])
    geometry = preprocess.geometry((height, width))
    pixels = geometry.resized_hw[0] * geometry.resized_hw[1], geometry.input_hw[0] * geometry.input_hw[1]
    if max(pixels) > 1 << 18:
        raise DataError("larger than a test wants")
    images = [picture(rng, height, width, input_color)]
    if not preprocess.varies:
        for _ in range(int(rng.integers(0, 3))):
            other = (
                (height, width)
                if rng.integers(2)
                else (int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1)))
            )
            fitted = preprocess.geometry(other).resized_hw
            if fitted[0] * fitted[1] <= 1 << 18:
                images.append(picture(rng, *other, input_color))
    return preprocess, images
