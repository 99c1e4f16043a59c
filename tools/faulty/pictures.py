"""Sixteen pictures a task that tell faults apart: EXIF 1 to 8, 4:2:0 and 4:4:4, grey, alpha, 16 bits, large, odd sizes.

For: folders of encoded files, the same every time. Not for: ground truth; what they show is the demo's scenes, or pages drawn here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

SCENES = Path(__file__).resolve().parents[2] / "src/seatrial/demo/images"
Array = np.ndarray
# File by file: how the k-th scene is encoded. The first are the most unlike, for sets that are smaller.
KINDS = (
    "plain-420", "exif-6", "plain-444", "rgba", "odd", "sixteen", "exif-3", "large",
    "exif-8", "grey", "exif-5", "upright", "exif-2", "exif-7", "crop", "exif-4",
)  # fmt: skip
WORDS = (
    "harbour", "lifeboat", "24", "knots", "no", "smoking", "depth", "184", "starboard", "exit", "keep", "clear", "port", "side",
)  # fmt: skip


def put_pictures(task: str, folder: Path, first: int = 0) -> list[Path]:
    """Writes what is not there. first: of another number other scenes, encoded in the same ways."""
    folder.mkdir(parents=True, exist_ok=True)
    scene: Callable[[int], Array] = page if task in ("classify", "text") else demo_scene
    out = []
    for k, kind in enumerate(KINDS):
        ending = "png" if kind in ("rgba", "sixteen", "upright") else "jpg"
        path = folder / f"{k:02d}-{kind}.{ending}"
        if not path.is_file():
            write(path, scene(k + first), kind, k)
        out.append(path)
    return out


def write(path: Path, image_bgr: Array, kind: str, seed: int) -> None:
    height, width = image_bgr.shape[:2]
    rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)
    if kind.startswith("exif"):
        return with_exif(path, rgb, int(kind[-1]), seed)
    if kind == "rgba":
        ramp = np.linspace(40, 255, width).astype(np.uint8)
        return Image.fromarray(np.dstack([rgb, np.broadcast_to(ramp, (height, width))])).save(path)
    if kind == "sixteen":
        noise = np.random.default_rng(seed).integers(0, 257, image_bgr.shape)
        cv2.imwrite(str(path), np.clip(image_bgr.astype(np.int64) * 257 + noise - 128, 0, 65535).astype(np.uint16))
        return None
    if kind == "grey":
        return Image.fromarray(rgb).convert("L").save(path, quality=92)
    if kind == "large":
        rgb = cv2.resize(rgb, (width * 3, height * 3), interpolation=cv2.INTER_CUBIC)
        grain = np.random.default_rng(seed).normal(0, 12, rgb.shape)
        return Image.fromarray(np.clip(rgb + grain, 0, 255).astype(np.uint8)).save(path, quality=90)
    if kind == "odd":
        rgb = rgb[: height - 1 - height % 2, : width - 1 - width % 2]
    if kind == "crop":
        rgb = rgb[: height * 5 // 6, width // 7 :]
    if path.suffix == ".png":
        return Image.fromarray(rgb).save(path)
    return Image.fromarray(np.ascontiguousarray(rgb)).save(
        path, quality=92, subsampling=2 if seed % 2 == 0 and "444" not in kind else 0
    )


def with_exif(path: Path, rgb: Array, orientation: int, seed: int) -> None:
    """Stored so that the tag turns it upright."""
    T = Image.Transpose
    stored = {
        2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE,
        6: T.ROTATE_90, 7: T.TRANSVERSE, 8: T.ROTATE_270,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(rgb).transpose(stored).save(path, quality=92, subsampling=seed % 2 * 2, exif=exif)


def demo_scene(k: int) -> Array:
    """Scenes of the demo as they are seen."""
    names = sorted(p for p in SCENES.iterdir() if p.suffix in (".jpg", ".png"))
    return cv2.imread(str(names[(2 * k) % len(names) + k * 2 // len(names) % 2]), cv2.IMREAD_COLOR)


def page(k: int) -> Array:
    """Coloured lines on coloured paper with a picture, turned by k quarters: BGR."""
    rng = np.random.default_rng(100 + k)
    height, width = ((480, 640), (640, 480), (600, 600), (500, 700))[k // 4 % 4]
    image = np.empty((height, width, 3), np.uint8)
    image[:] = rng.integers(190, 256, 3)
    shade = np.linspace(0.85, 1, width)[None, :, None]
    image = (image * shade).astype(np.uint8)
    y = 60
    while y < height - 40:
        x = int(rng.integers(20, 90))
        ink, size = rng.integers(0, 120, 3).tolist(), float(rng.uniform(0.7, 1.3))
        while True:
            word = str(rng.choice(WORDS))
            (w, _), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, size, 2)
            if x + w > width - 15:
                break
            cv2.putText(image, word, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 2, cv2.LINE_AA)
            x += w + int(rng.integers(16, 60))
        y += int(rng.integers(52, 90))
    stamp = cv2.resize(demo_scene(k), (width // 5, height // 5), interpolation=cv2.INTER_AREA)
    top, left = int(rng.integers(0, height - stamp.shape[0])), int(rng.integers(0, width - stamp.shape[1]))
    image[top : top + stamp.shape[0], left : left + stamp.shape[1]] = stamp
    return np.ascontiguousarray(np.rot90(image, -(k % 4)))
