"""seatrial bench-kernels: our pre- and postprocessing kernels against OpenCV, Pillow and NumPy, on the user's machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from seatrial.cli.output import console, write_json
from seatrial.cli.shell import DebugOption, JsonOption, QuietOption, command
from seatrial.errors import DataError, ExitCode, UsageError
from seatrial.units import duration_s

LARGEST_SIDE = 20000


@command(
    name="bench-kernels",
    examples=[
        "seatrial bench-kernels",
        "seatrial bench-kernels --image street.jpg --size 1920x1200 --size 4096x3000",
        "seatrial bench-kernels --max-time 500ms --json kernels.json",
    ],
)
def bench_kernels(
    image: Annotated[
        Path | None,
        typer.Option("--image", help="A photograph of yours; by default a picture of the demo's.", show_default=False),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="WxH", help="Image size to preprocess; may be repeated; VGA to 4K by default."),
    ] = None,
    max_time: Annotated[
        str, typer.Option("--max-time", metavar="TIME", help="Longest measurement of one comparison.")
    ] = "1 s",
    json: JsonOption = None,
    quiet: QuietOption = False,
    debug: DebugOption = False,
) -> ExitCode:
    """Race the native kernels against what people write without them; ratios of interleaved rounds, one thread."""
    import cv2

    from seatrial._native.kernels import simd_level
    from seatrial.contests.kernels import contests
    from seatrial.contests.table import run_contest
    from seatrial.demo import PICTURE
    from seatrial.images.decode import decode_image
    from seatrial.kernels.simd import check_simd
    from seatrial.machine.environment import environment
    from seatrial.report.contest_text import print_contests

    check_simd()
    sizes = [_size(text) for text in size or ("640x480", "1280x720", "1920x1080", "3840x2160")]
    try:
        seconds = duration_s(max_time)
    except ValueError as e:
        raise UsageError(f"--max-time: {e}") from None
    if seconds <= 0:
        raise UsageError(f"--max-time: expected more than zero, got {max_time}")
    try:
        encoded = (image or PICTURE).read_bytes()
    except OSError as e:
        raise DataError(f"{image}: the photograph cannot be read ({e.strerror}); expected an image file") from None
    try:
        photograph = decode_image(encoded)
    except DataError as e:
        raise DataError(e.text, subject=image or PICTURE) from None
    out = console(quiet, json)
    facts = environment()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    lines = []
    try:
        for contest in contests(photograph, sizes):
            with out.status(f"{contest.name} …"):
                lines += run_contest(contest, seconds)
    finally:
        cv2.setNumThreads(threads)
    print_contests(out, simd_level() or "none", facts, lines)
    write_json(json, {"environment": facts, "lines": [vars(line) for line in lines]})
    return ExitCode.PASS


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})\s*[x×]\s*(\d{1,6})", text.strip())
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE):
        raise UsageError(
            f"--size: expected WIDTHxHEIGHT of 1 to {LARGEST_SIDE} pixels, such as 1920x1080, got {text!r}"
        )
    return width, height
