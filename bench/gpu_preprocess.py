"""How near is preprocessing on a card to the card's own copy bandwidth? Prints a table; needs an NVIDIA card.

    python bench/gpu_preprocess.py [--batch 16] [--seconds 0.3]

Time: by the device's events, launches back to back, the median of blocks. Floor: every byte of the tensors written once and
every 32-byte sector of the images that has weight read once. Copy: device to device, of 512 MiB, both ways counted. Caches are
not emptied between launches: a batch's images and tensors are larger than they are, or the row says so.
"""

import argparse
from collections.abc import Callable

import numpy as np

from seatrial._native import cuda
from seatrial._native import device_preprocess as native
from seatrial.cuda.device_images import DeviceImage, packed
from seatrial.cuda.preprocess import DevicePreprocess
from seatrial.cuda.ptx import preprocess_ptx
from seatrial.kernels.geometry import Geometry
from seatrial.kernels.images import CHANNELS
from seatrial.kernels.native_preprocess import INTERPOLATIONS
from seatrial.kernels.preprocess import Preprocess

SECTOR = 32
CASES = [
    ("1080p letterbox, fp32", (1080, 1920), {}),
    ("1080p letterbox, fp16", (1080, 1920), {"dtype": "float16"}),
    ("750 × 1000 letterbox, fp32", (750, 1000), {}),
    ("750 × 1000 letterbox, fp16", (750, 1000), {"dtype": "float16"}),
    ("750 × 1000 letterbox, uint8", (750, 1000), {"dtype": "uint8", "scale": 1}),
    ("720p letterbox (half), fp32", (720, 1280), {}),
    ("640 × 640, no resize, fp32", (640, 640), {}),
    ("1080p NV12 letterbox, fp32", (1080, 1920), {"input_color": "nv12"}),
    ("750 × 1000 antialias, mean, std, fp32", (750, 1000), {
        "interpolation": "antialias_linear", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
    }),
]  # fmt: skip


def _rows_and_columns(geometry: Geometry, interpolation: str) -> tuple[np.ndarray, np.ndarray]:
    """The source rows and columns that are read."""
    number = INTERPOLATIONS.index(interpolation)
    _, across, down, columns, rows, _ = native.tables(geometry, number)
    read = []
    for (begin, count), (first, length, weights, _), source, resized in zip(
        (down, across), (rows, columns), geometry.source_hw, geometry.resized_hw, strict=True
    ):
        if length.size:
            used = np.concatenate([np.arange(f, f + n) for f, n in zip(first, length, strict=True)])
        elif first.size:
            used = first
        elif weights.size:
            used = weights.reshape(-1, 4)[:, :2]
        else:
            factor = source // resized
            used = np.arange(begin * factor, (begin + count) * factor)
        read.append(np.unique(used))
    return read[0], read[1]


def floor_bytes(preprocess: Preprocess, source_hw: tuple[int, int]) -> int:
    """What one image's tensor cannot be made without: bytes written, and 32-byte sectors read."""
    geometry = preprocess.geometry(source_hw)
    rows, columns = _rows_and_columns(geometry, preprocess.interpolation)

    def sectors(start: np.ndarray, size: int) -> int:
        return np.unique(np.concatenate([start // SECTOR, (start + size - 1) // SECTOR])).size * SECTOR

    written = int(np.prod(preprocess.shape)) * np.dtype(preprocess.dtype).itemsize
    if preprocess.input_color == "nv12":
        chroma = np.unique(rows // 2).size * sectors(np.unique(columns // 2) * 2, 2)
        return written + rows.size * sectors(columns, 1) + chroma
    channels = CHANNELS[preprocess.input_color]
    return written + rows.size * sectors(columns * channels, channels)


def seconds_of(stream: cuda.Stream, work: Callable[[], None], seconds: float) -> float:
    """The median time of one call, over blocks of calls."""
    work()
    stream.synchronize()
    calls, blocks = 20, 9
    while True:
        timer = cuda.EventTimer(stream, blocks)
        timer.start()
        for _ in range(blocks):
            for _ in range(calls):
                work()
            timer.mark()
        times_ns = timer.intervals_ns()
        if times_ns.sum() >= seconds * 1e9 or calls >= 1 << 16:
            return float(np.median(times_ns)) / calls / 1e9
        calls = int(calls * min(50.0, 1.2 * seconds * 1e9 / times_ns.sum())) + 1


def copy_bandwidth(context: cuda.Context, stream: cuda.Stream, seconds: float) -> float:
    """Bytes a second, read and written ones counted."""
    nbytes = 512 << 20
    one, other = cuda.DeviceBuffer(context, nbytes), cuda.DeviceBuffer(context, nbytes)
    return 2 * nbytes / seconds_of(stream, lambda: stream.copy_on_device(one, other), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=0.3, help="at least so long a case")
    given = parser.parse_args()
    context = cuda.Context()
    stream = cuda.Stream(context)
    module = cuda.Module(context, preprocess_ptx().text)

    def place(content: bytes) -> cuda.DeviceBuffer:
        buffer = cuda.DeviceBuffer(context, len(content))
        stream.copy_to_device(buffer, np.frombuffer(content, np.uint8))
        stream.synchronize()
        return buffer

    copied = copy_bandwidth(context, stream, given.seconds)
    l2_bytes = context.device.l2_bytes
    print(f"{context.device.name}: copies {copied / 1e9:.0f} GB/s; batch {given.batch}; L2 {l2_bytes >> 20} MiB\n")
    print("| case | µs | floor, MB | GB/s | of the copy | |\n|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    for name, (height, width), settings in CASES:
        preprocess = Preprocess(size=(640, 640), **settings)
        planes = preprocess.input_color == "nv12"
        noise = rng.integers(0, 256, (height * 3 // 2, width) if planes else (height, width, 3), np.uint8)
        content = packed(noise, preprocess.input_color).tobytes()
        images = [place(content) for _ in range(given.batch)]
        shape = (given.batch, *preprocess.shape)
        out = cuda.DeviceBuffer(context, int(np.prod(shape)) * np.dtype(preprocess.dtype).itemsize)
        launches = DevicePreprocess(preprocess, place).launches(
            [DeviceImage.at(i.pointer, height, width, preprocess.input_color) for i in images], out.pointer, shape
        )
        work = [(module.function(launch.function), launch) for launch in launches]

        def all_of(work: list = work) -> None:
            for function, launch in work:
                function.launch(stream, launch.grid, launch.block, launch.arguments)

        took = seconds_of(stream, all_of, given.seconds)
        least = given.batch * floor_bytes(preprocess, (height, width))
        small = "fits into L2" if least < l2_bytes else ""
        rate = least / took
        print(f"| {name} | {took * 1e6:.1f} | {least / 1e6:.1f} | {rate / 1e9:.0f} | {rate / copied:.0%} | {small} |")


if __name__ == "__main__":
    main()
