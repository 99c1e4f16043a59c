"""Images in a card's memory: where their pixels lie. For: addresses and strides, checked. Not for: copying them there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from seatrial.kernels.arguments import ArgumentError, is_whole
from seatrial.kernels.images import CHANNELS, YUV, ImageLike, Planes, check_image

# Kernels count pixels and a row's bytes in 32 bits.
LONGEST = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class DeviceImage:
    """One uint8 image in device memory, of any row stride; nothing is copied or owned.

    Args:
        height, width: pixels.
        pixels: the address of the first row: interleaved pixels, or the luma of NV12 and I420.
        row_stride: bytes from row to row; may be negative.
        u, v: addresses of the first chroma samples, one for each 2 × 2 pixels; NV12's v is u + 1. 0 for other images.
        chroma_stride: bytes from chroma row to chroma row.
        chroma_step: bytes from sample to sample: 2 for NV12, 1 for I420.
    """

    height: int
    width: int
    pixels: int
    row_stride: int
    u: int = 0
    v: int = 0
    chroma_stride: int = 0
    chroma_step: int = 0

    def check(self, input_color: str) -> None:
        """ArgumentError where a kernel can't read this as an image of that kind."""
        for name in ("height", "width"):
            side = getattr(self, name)
            if not is_whole(side) or not 1 <= side <= LONGEST:
                raise ArgumentError(name, f"expected a side of 1 to {LONGEST} pixels, got {side!r}")
        # As the CPU kernels, whose planes become four bytes a pixel on the way.
        channels = 4 if input_color in YUV else CHANNELS[input_color]
        if self.width * channels > LONGEST:
            raise ArgumentError(
                "width",
                f"expected rows of at most {LONGEST} bytes, got {self.width} pixels of {channels}; cut the image up",
            )
        for name in ("row_stride", "chroma_stride"):
            if abs(getattr(self, name)) > LONGEST:
                raise ArgumentError(
                    name, f"expected at most {LONGEST} bytes from row to row, got {getattr(self, name)}"
                )
        if not self.pixels:
            raise ArgumentError("pixels", "expected the address of device memory, got 0")
        chroma = bool(self.u and self.v), self.chroma_step
        if input_color in YUV:
            step = 2 if input_color == "nv12" else 1
            if chroma != (True, step):
                raise ArgumentError(
                    "chroma_step",
                    f"expected addresses of u and v and a step of {step} for input_color '{input_color}', got "
                    f"u {self.u:#x}, v {self.v:#x}, step {self.chroma_step}; DeviceImage.at lays an image out",
                )
        elif self.u or self.v:
            raise ArgumentError("u", f"expected no chroma planes for input_color '{input_color}', got u {self.u:#x}")
        # Rows that lie over each other are a stride in pixels, or of another format.
        luma_bytes = self.width * (1 if input_color in YUV else channels)
        chroma_bytes = (self.width - 1) // 2 * self.chroma_step + 1 if input_color in YUV else 0
        for name, rows, least in (
            ("row_stride", self.height, luma_bytes),
            ("chroma_stride", (self.height + 1) // 2, chroma_bytes),
        ):
            if rows > 1 and abs(getattr(self, name)) < least:
                raise ArgumentError(
                    name, f"expected at least {least} bytes from row to row for this image, got {getattr(self, name)}"
                )

    @staticmethod
    def at(address: int, height: int, width: int, input_color: str) -> DeviceImage:
        """An image without gaps at an address, as packed() lays it out and as decoders give NV12 and I420."""
        if input_color not in YUV:
            stride = width * CHANNELS[input_color]
            return DeviceImage(height=height, width=width, pixels=address, row_stride=stride)
        half_height, half_width = (height + 1) // 2, (width + 1) // 2
        u = address + height * width
        step = 2 if input_color == "nv12" else 1
        v = u + 1 if step == 2 else u + half_height * half_width
        return DeviceImage(
            height=height, width=width, pixels=address, row_stride=width,
            u=u, v=v, chroma_stride=half_width * step, chroma_step=step,
        )  # fmt: skip


def packed(image: ImageLike, input_color: str) -> npt.NDArray[np.uint8]:
    """The bytes of a host image in one piece, for a copy to the card: DeviceImage.at reads them there. ArgumentError as
    Preprocess raises."""
    checked = check_image(image, input_color)
    if not isinstance(checked, Planes):
        return np.ascontiguousarray(checked).reshape(-1)
    chroma = (np.stack([checked.u, checked.v], axis=-1),) if input_color == "nv12" else (checked.u, checked.v)
    return np.concatenate([checked.y.reshape(-1), *(plane.reshape(-1) for plane in chroma)])
