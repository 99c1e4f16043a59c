"""Folders of taps as anybody may write them: with numpy alone, or with bytes that nobody should."""

import json
import zipfile
from pathlib import Path

import numpy as np

BOXES = {
    "results.boxes_xyxy": np.array([[1, 2, 30, 40], [5, 6, 7, 8]], np.float32),
    "results.scores": np.array([0.5, 0.25], np.float32),
    "results.class_ids": np.array([3, 0]),
}
PICTURE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def taps_json(folder: Path, images: dict[str, str], stages: list[str], **changes: object) -> None:
    """images: file by name."""
    rows = [{"name": name, "file": file} for name, file in images.items()]
    data = {"schema": "seatrial.taps/1", "producer": "a test", "stages": stages, "images": rows} | changes
    (folder / "taps.json").write_text(json.dumps(data))


def one_image(folder: Path, arrays: dict[str, object], stages: list[str], name: str = "a.jpg") -> Path:
    """A folder of one image, whose arrays are written by numpy."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "a.npz", **{key: np.asarray(array) for key, array in arrays.items()})
    taps_json(folder, {name: "a.npz"}, stages)
    return folder


def raw_image(folder: Path, entries: dict[str, bytes], stages: list[str], name: str = "a.jpg") -> Path:
    """A folder of one image, whose entries are these bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for key, content in entries.items():
            archive.writestr(key, content)
    taps_json(folder, {name: "a.npz"}, stages)
    return folder


def npy(header: str, content: bytes = b"") -> bytes:
    """An .npy file of version 1.0 with that header, whatever it says."""
    line = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + content
