"""Draws the demo's bundled images with their ground truth, from photographs that training never saw.

    python tools/demo/make_images.py --out src/seatrial/demo

Sizes, formats and EXIF orientations vary on purpose; the seed is fixed. Needs scikit-image.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scenes import CLASSES, HELD_OUT_PHOTOS, draw_scene, load_photos

SEED = 4
COUNT = 32
SIZES_HW = ((480, 640), (640, 480), (360, 640), (333, 500), (617, 411), (480, 480), (427, 640), (320, 320))
# What to do to the upright picture so that a viewer who honours the tag sees it upright again.
STORED_TURN = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_COUNTERCLOCKWISE, 8: cv2.ROTATE_90_CLOCKWISE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    (out / "images").mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)
    photos = load_photos(HELD_OUT_PHOTOS)
    coco: dict = {
        "info": {"description": "seatrial demo: sea marks on free photographs"},
        "images": [],
        "annotations": [],
        "categories": [{"id": i + 1, "name": n} for i, n in enumerate(CLASSES)],
    }
    tags = ["image,tag"]
    for i in range(COUNT):
        size_hw = SIZES_HW[i % len(SIZES_HW)]
        # Marks as large as in training once the image is fitted to the model's input.
        scene = draw_scene(photos, rng, size_hw, int(rng.integers(2, 8)), zoom=max(size_hw) / 320)
        orientation = (6, 3, 8, 6)[i // 8] if i % 8 == 5 else 1
        png = i % 16 == 7
        name = f"scene-{i:02d}.{'png' if png else 'jpg'}"
        stored = cv2.rotate(scene.image_bgr, STORED_TURN[orientation]) if orientation != 1 else scene.image_bgr
        image = Image.fromarray(stored[..., ::-1])
        exif = Image.Exif()
        if orientation != 1:
            exif[0x0112] = orientation
        options = {} if png else {"quality": 88, "subsampling": 2 if i % 2 else 0, "exif": exif}
        image.save(out / "images" / name, **options)
        coco["images"].append({"id": i + 1, "file_name": name, "height": size_hw[0], "width": size_hw[1]})
        for box, c in zip(scene.boxes_xyxy.tolist(), scene.class_ids.tolist()):
            w, h = box[2] - box[0], box[3] - box[1]
            coco["annotations"].append(
                {
                    "id": len(coco["annotations"]) + 1,
                    "image_id": i + 1,
                    "category_id": c + 1,
                    "bbox": [box[0], box[1], w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        areas = (scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2]).prod(1)
        tags += [f"{name},exif-turned"] * (orientation != 1) + [f"{name},crowded"] * (len(areas) >= 6)
        tags += [f"{name},small-marks"] * bool((areas < (24 * max(size_hw) / 320) ** 2).any())
    (out / "images" / "annotations.json").write_text(json.dumps(coco) + "\n")
    (out / "images" / "tags.csv").write_text("\n".join(tags) + "\n")


if __name__ == "__main__":
    main()
