"""Trains the demo's detector on a CPU and exports its two versions to ONNX.

    python tools/demo/train.py --out src/seatrial/demo/models       # about 25 minutes on two cores

Needs torch and scikit-image beside seatrial's own packages. One run gives both versions: v1 is the network
after a short schedule, v2 after a longer one that starts from v1. The seed is fixed; the score reached is
printed, kept in scores.json and quoted in README.md beside this file.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from scenes import CLASSES, HELD_OUT_PHOTOS, TRAIN_PHOTOS, draw_scene, load_photos
from torch import Tensor, nn

SEED = 20261123
IMAGE_SIZE = 320
STRIDES = (8, 16, 32)


class ConvUnit(nn.Sequential):
    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()
        )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvUnit(channels, channels // 2, 1), ConvUnit(channels // 2, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class Detector(nn.Module):
    """Anchor-free detector with a YOLOv8-shaped output: (B, 4 + classes, anchors), boxes cx, cy, w, h in pixels."""

    def __init__(self, classes: int = len(CLASSES)) -> None:
        super().__init__()
        self.classes = classes
        self.stem = nn.Sequential(ConvUnit(3, 16, 3, 2), ConvUnit(16, 32, 3, 2), Residual(32))
        self.p3 = nn.Sequential(ConvUnit(32, 64, 3, 2), Residual(64), Residual(64))
        self.p4 = nn.Sequential(ConvUnit(64, 96, 3, 2), Residual(96), Residual(96))
        self.p5 = nn.Sequential(ConvUnit(96, 128, 3, 2), Residual(128))
        self.lateral = nn.ModuleList([ConvUnit(c, 64, 1) for c in (64, 96, 128)])
        self.smooth = nn.ModuleList([ConvUnit(64, 64) for _ in STRIDES])
        self.box_head = nn.Sequential(ConvUnit(64, 64), nn.Conv2d(64, 4, 1))
        self.class_head = nn.Sequential(ConvUnit(64, 64), nn.Conv2d(64, classes, 1))
        nn.init.constant_(self.class_head[-1].bias, -math.log(99))
        nn.init.constant_(self.box_head[-1].bias, 0.8)
        self.level_scale = nn.Parameter(torch.ones(len(STRIDES)))

    def features(self, x: Tensor) -> list[Tensor]:
        c3 = self.p3(self.stem(x))
        c4 = self.p4(c3)
        c5 = self.p5(c4)
        top = self.lateral[2](c5)
        mid = self.lateral[1](c4) + F.interpolate(top, scale_factor=2.0)
        low = self.lateral[0](c3) + F.interpolate(mid, scale_factor=2.0)
        return [smooth(f) for smooth, f in zip(self.smooth, (low, mid, top))]

    def forward(self, x: Tensor) -> Tensor:
        boxes, scores = self.raw(x)
        xy, wh = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        return torch.cat([xy, wh, scores.sigmoid()], 1)

    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Corner boxes (B, 4, A) in pixels and class logits (B, C, A)."""
        boxes, logits = [], []
        for i, (f, stride) in enumerate(zip(self.features(x), STRIDES)):
            distance = F.softplus(self.box_head(f).float() * self.level_scale[i]) * stride
            centre = anchor_centres(f.shape[2], f.shape[3], stride)
            distance = distance.flatten(2)
            boxes.append(torch.cat([centre - distance[:, :2], centre + distance[:, 2:]], 1))
            logits.append(self.class_head(f).float().flatten(2))
        return torch.cat(boxes, 2), torch.cat(logits, 2)


def anchor_centres(h: int, w: int, stride: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()])[None] * stride


def giou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes (..., 4), corners (Rezatofighi et al., 2019)."""
    inter = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    union = area_a + area_b - inter + 1e-7
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1) + 1e-7
    iou = inter / union
    return iou, iou - (hull - union) / hull


def detection_loss(
    boxes: Tensor, logits: Tensor, gt_boxes: Tensor, gt_classes: Tensor, gt_mask: Tensor, centres: Tensor
) -> Tensor:
    """Task-aligned assignment (Feng et al., TOOD, 2021), BCE on soft class targets, GIoU on boxes.

    boxes (B, A, 4), logits (B, A, C), gt_boxes (B, G, 4), gt_classes (B, G), gt_mask (B, G), centres (A, 2).
    """
    with torch.no_grad():
        scores = logits.sigmoid()
        pair_scores = scores.gather(2, gt_classes[:, None, :].expand(-1, scores.shape[1], -1))  # B A G
        iou, _ = giou(boxes[:, :, None], gt_boxes[:, None])  # B A G
        inside = (
            torch.cat(
                [centres[None, :, None] - gt_boxes[:, None, :, :2], gt_boxes[:, None, :, 2:] - centres[None, :, None]],
                -1,
            ).amin(-1)
            > 0
        )
        usable = inside & gt_mask[:, None]
        align = pair_scores.sqrt() * iou.clamp(min=0).pow(6) * usable
        top = align.topk(10, dim=1)
        chosen = torch.zeros_like(align, dtype=torch.bool).scatter_(1, top.indices, True) & usable & (align > 1e-9)
        owner = (iou * chosen).argmax(2)  # an anchor serves the mark it overlaps most
        positive = chosen.any(2)
        own = F.one_hot(owner, gt_boxes.shape[1]).bool() & chosen
        align = align * own
        best = (iou * own).amax(1, keepdim=True)
        weight = (align / (align.amax(1, keepdim=True) + 1e-9) * best).amax(2)  # B A
        target_class = gt_classes.gather(1, owner)
        target = F.one_hot(target_class, logits.shape[2]) * (weight * positive)[..., None]
        target_box = gt_boxes.gather(1, owner[..., None].expand(-1, -1, 4))
        total = target.sum().clamp(min=1)
    class_loss = F.binary_cross_entropy_with_logits(logits, target.float(), reduction="sum") / total
    _, g = giou(boxes[positive], target_box[positive])
    box_loss = ((1 - g) * weight[positive]).sum() / total
    return class_loss + 2.5 * box_loss


def make_pool(photos: list[np.ndarray], count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    pool = []
    for _ in range(count):
        s = draw_scene(photos, rng, (IMAGE_SIZE, IMAGE_SIZE), int(rng.integers(1, 9)))
        pool.append((s.image_bgr[..., ::-1].copy(), s.boxes_xyxy, s.class_ids))
    return pool


def batch_of(
    pool: list[tuple[np.ndarray, np.ndarray, np.ndarray]], rows: np.ndarray, rng: np.random.Generator
) -> tuple[Tensor, ...]:
    most = max(1, *(len(pool[r][2]) for r in rows))
    images = np.empty((len(rows), 3, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    boxes, classes = np.zeros((len(rows), most, 4), np.float32), np.zeros((len(rows), most), np.int64)
    mask = np.zeros((len(rows), most), bool)
    for i, r in enumerate(rows):
        image, b, c = pool[r]
        if rng.random() < 0.5:
            image = image[:, ::-1]
            b = b[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [IMAGE_SIZE, 0, IMAGE_SIZE, 0] if len(b) else b
        images[i] = image.transpose(2, 0, 1)
        boxes[i, : len(b)], classes[i, : len(c)], mask[i, : len(c)] = b, c, True
    return torch.from_numpy(images / 255), torch.from_numpy(boxes), torch.from_numpy(classes), torch.from_numpy(mask)


def run_schedule(model: Detector, pool: list, steps: int, batch: int, peak_lr: float, seed: int) -> Detector:
    """Trains in place with AdamW on a cosine; returns the exponential moving average of the weights."""
    rng = np.random.default_rng(seed)
    average = copy.deepcopy(model).eval()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}], lr=peak_lr
    )
    centres = torch.cat([anchor_centres(IMAGE_SIZE // s, IMAGE_SIZE // s, s)[0] for s in STRIDES], 1).T
    began = time.time()
    for step in range(steps):
        ramp = min(1.0, (step + 1) / 100)
        for group in optimiser.param_groups:
            group["lr"] = peak_lr * ramp * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        images, boxes, classes, mask = batch_of(pool, rng.integers(len(pool), size=batch), rng)
        model.train()
        with torch.autocast("cpu", torch.bfloat16):
            found, logits = model.raw(images.contiguous(memory_format=torch.channels_last))
        loss = detection_loss(found.transpose(1, 2), logits.transpose(1, 2), boxes, classes, mask, centres)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        keep = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                a.copy_(a * keep + b * (1 - keep) if a.is_floating_point() else b)
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:5d}/{steps} loss {loss.item():.3f} {time.time() - began:.0f} s", flush=True)
    return average


def evaluate(model: Detector, pool: list) -> dict[str, float]:
    """COCO mAP of the whole detector (NMS at 0.6) on scenes whose photographs training never saw."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    import contextlib, io
    import cv2

    truth = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": n} for i, n in enumerate(CLASSES)],
        "info": {},
    }
    found = []
    for i, (image, boxes, classes) in enumerate(pool):
        truth["images"].append({"id": i, "width": IMAGE_SIZE, "height": IMAGE_SIZE})
        for b, c in zip(boxes, classes):
            w, h = float(b[2] - b[0]), float(b[3] - b[1])
            truth["annotations"].append(
                {
                    "id": len(truth["annotations"]) + 1,
                    "image_id": i,
                    "category_id": int(c),
                    "bbox": [float(b[0]), float(b[1]), w, h],
                    "area": w * h,
                    "iscrowd": 0,
                }
            )
        with torch.no_grad():
            out = model(torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32) / 255))[0].numpy()
        for c in range(len(CLASSES)):
            rows = np.nonzero(out[4 + c] > 0.01)[0]
            xywh = np.stack(
                [out[0, rows] - out[2, rows] / 2, out[1, rows] - out[3, rows] / 2, out[2, rows], out[3, rows]], 1
            )
            if len(rows):
                for k in np.array(cv2.dnn.NMSBoxes(xywh.tolist(), out[4 + c, rows].tolist(), 0.01, 0.6)).ravel():
                    found.append(
                        {
                            "image_id": i,
                            "category_id": c,
                            "bbox": [float(v) for v in xywh[k]],
                            "score": float(out[4 + c, rows[k]]),
                        }
                    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        e = COCOeval(coco, coco.loadRes(found), "bbox")
        e.evaluate(), e.accumulate(), e.summarize()
    return {"map": round(float(e.stats[0]), 4), "map50": round(float(e.stats[1]), 4)}


def export(model: Detector, path: Path, version: str) -> None:
    model = model.eval()
    torch.onnx.export(
        model,
        (torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE),),
        str(path),
        input_names=["images"],
        output_names=["output0"],
        dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    proto = onnx.load(path)
    # The keys that Ultralytics' exporter writes: `seatrial init` reads them.
    facts = {
        "task": "detect",
        "stride": "32",
        "batch": "1",
        "imgsz": str([IMAGE_SIZE] * 2),
        "names": str(dict(enumerate(CLASSES))),
        "description": f"seatrial demo sea-mark detector {version}",
        "version": version,
        "license": "Apache-2.0",
    }
    for key, value in facts.items():
        proto.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pool", type=int, default=9000)
    parser.add_argument("--steps", type=int, nargs=2, default=(700, 4000), metavar=("V1", "V2"))
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    print(time.strftime("%X"), "drawing scenes", flush=True)
    pool = make_pool(load_photos(TRAIN_PHOTOS), args.pool, SEED)
    held_out = make_pool(load_photos(HELD_OUT_PHOTOS), 300, SEED + 1)
    model = Detector().to(memory_format=torch.channels_last)
    print(sum(p.numel() for p in model.parameters()), "parameters", flush=True)
    scores: dict[str, object] = {"seed": SEED, "parameters": sum(p.numel() for p in model.parameters())}
    for version, steps, peak_lr in zip(("v1", "v2"), args.steps, (2e-3, 2e-3)):
        average = run_schedule(model, pool, steps, args.batch, peak_lr, SEED + steps)
        export(average, args.out / f"seamarks-{version}.onnx", version)
        scores[version] = {"steps": steps, **evaluate(average.eval(), held_out)}
        print(version, scores[version], flush=True)
        (Path(__file__).parent / "scores.json").write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main()
