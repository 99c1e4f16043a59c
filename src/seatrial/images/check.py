"""Checks every image before anything is measured, in a process of its own: a decoder may print, or crash.

For: naming each bad file and its cure, and collecting sizes. Not for: deciding what to leave out.
Run as `python -m seatrial.images.check < paths.json > report.json`.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from seatrial.errors import DataError

MAX_STRAY_BYTES = 16


@dataclass(frozen=True)
class CheckedImage:
    """source_hw as decoded with EXIF applied, stored_hw without; problem is None where the image is sound.

    frames: frames or pages in the file, of which the first is read. turned: whether its orientation tag turns or mirrors it.
    """

    path: Path
    source_hw: tuple[int, int] = (0, 0)
    stored_hw: tuple[int, int] = (0, 0)
    frames: int = 1
    problem: str | None = None
    turned: bool = False


def check_images(paths: Sequence[Path]) -> list[CheckedImage]:
    """Decodes every image in a child process. DataError lists all bad ones, each with path and cure."""
    done: list[CheckedImage] = []
    while len(done) < len(paths):
        rest = [str(p) for p in paths[len(done) :]]
        command = [sys.executable, "-P", "-m", "seatrial.images.check"]
        child = subprocess.run(command, input=json.dumps(rest), capture_output=True, text=True, check=False)
        for line in child.stdout.splitlines():
            row = json.loads(line)
            done.append(
                CheckedImage(
                    Path(row["path"]),
                    tuple(row["source_hw"]),
                    tuple(row["stored_hw"]),
                    row["frames"],
                    row["problem"],
                    row["turned"],
                )
            )
        if len(done) < len(paths):
            if child.returncode >= 0:
                raise DataError(f"the image check failed: {child.stderr.strip().splitlines()[-1:] or child.returncode}")
            # The decoder itself died: that image is the culprit, the rest is still to be checked.
            crash = f"decoding this image kills the decoder (signal {-child.returncode}); leave it out"
            done.append(CheckedImage(paths[len(done)], problem=crash))
    bad = [i for i in done if i.problem]
    if bad:
        first = [f"{i.path}: {i.problem}" for i in bad[:20]]
        more = [f"and {len(bad) - 20} more"] if len(bad) > 20 else []
        raise DataError("\n".join(first + more))
    return done


def main() -> None:
    from PIL import Image

    from seatrial.images.decode import DecodeSettings, decode, find_problem
    from seatrial.images.orientation import read_orientation

    # Pillow's "Corrupt EXIF data" speaks of a tag, not of a pixel.
    warnings.simplefilter("ignore")
    with tempfile.TemporaryFile() as captured:
        # libjpeg only prints what it thinks of broken data, then returns grey; its words are the evidence.
        os.dup2(captured.fileno(), 2)
        for path in json.loads(sys.stdin.read()):
            row = {
                "path": path,
                "source_hw": (0, 0),
                "stored_hw": (0, 0),
                "frames": 1,
                "problem": None,
                "turned": False,
            }
            try:
                data = Path(path).read_bytes()
                row["problem"] = find_problem(data)
                if not row["problem"]:
                    row["source_hw"] = decode(data, DecodeSettings(), path).shape[:2]
                    orientation = read_orientation(data)
                    row["turned"] = orientation in range(2, 9)
                    row["stored_hw"] = row["source_hw"][::-1] if orientation in (5, 6, 7, 8) else row["source_hw"]
                    with Image.open(io.BytesIO(data)) as header:
                        # A camera's MPO holds previews of the same picture.
                        row["frames"] = 1 if header.format == "MPO" else getattr(header, "n_frames", 1)
                    complaint = _complaint(captured)
                    if complaint:
                        row["problem"] = (
                            f"the image is corrupt (its decoder says: {complaint}); copy it again or leave it out"
                        )
            except DataError as e:
                row["problem"] = e.text
            except OSError as e:
                row["problem"] = f"the image cannot be read: {e.strerror}"
            except Exception as e:
                row["problem"] = f"the image cannot be decoded ({type(e).__name__}: {e}); leave it out"
            print(json.dumps(row), flush=True)


def _complaint(captured: BinaryIO) -> str:
    """What the decoder printed since the last call, if it speaks of broken data."""
    captured.seek(0)
    text = captured.read().decode("utf-8", "replace")
    captured.seek(0)
    captured.truncate()
    lines = [line.strip() for line in text.splitlines() if "corrupt" in line.lower() or "premature" in line.lower()]
    return next((line for line in lines if not _harmless(line)), "")[:120]


def _harmless(line: str) -> bool:
    """A few stray bytes between markers are common in camera files and lose no pixel; many are lost picture."""
    stray = re.search(r"(\d+) extraneous bytes before marker", line)
    return stray is not None and int(stray[1]) <= MAX_STRAY_BYTES


if __name__ == "__main__":
    main()
