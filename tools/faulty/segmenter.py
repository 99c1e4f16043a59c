"""A small segmentation network, always the same: fixed random convolutions read out by least squares on drawn scenes.

For: a model with pooling and resizing inside whose answer hangs on colour, texture and place. Not for: being good; no small wheel
ships a segmentation as ONNX. Output (B, 6, 48, 64): logits of sea and the demo's five marks.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

SIZE_HW, CELLS_HW, CLASSES, FEATURES = (192, 256), (48, 64), 6, 40
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SCENES_SEEN = 48


def write(path: Path) -> None:
    weights = _random_weights()
    weights["read_w"], weights["read_b"] = _read_out(weights)
    onnx.save(_model(weights, "logits"), path)


def _random_weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)

    def conv(out: int, inside: int, side: int) -> np.ndarray:
        return (rng.normal(size=(out, inside, side, side)) * np.sqrt(2 / (inside * side * side))).astype(np.float32)

    y, x = np.meshgrid(np.linspace(-1, 1, CELLS_HW[0]), np.linspace(-1, 1, CELLS_HW[1]), indexing="ij")
    return {
        "w0": conv(24, 3, 3), "b0": rng.normal(0, 0.3, 24).astype(np.float32),
        "w1": conv(32, 24, 3), "b1": rng.normal(0, 0.3, 32).astype(np.float32),
        "w2": conv(FEATURES, 32, 3), "b2": rng.normal(0, 0.3, FEATURES).astype(np.float32),
        "place": np.stack([y, x])[None].astype(np.float32), "w_place": conv(FEATURES, 2, 1),
        "sizes": np.array(CELLS_HW, np.int64),
    }  # fmt: skip


def _model(weights: dict[str, np.ndarray], output: str) -> onnx.ModelProto:
    node = helper.make_node
    three = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", ["x", "w0", "b0"], ["c0"], "stem", strides=[2, 2], **three),
        node("Relu", ["c0"], ["r0"], "stem_relu"),
        # Floor: 96 × 128 to 47 × 63; where the mode is ceil, 48 × 64.
        node("MaxPool", ["r0"], ["p0"], "pool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=0),
        node("Conv", ["p0", "w1", "b1"], ["c1"], "middle", **three),
        node("Relu", ["c1"], ["r1"], "middle_relu"),
        node("AveragePool", ["r1"], ["p1"], "smooth", strides=[1, 1], count_include_pad=0, **three),
        node(
            "Resize",
            ["p1", "", "", "sizes4"],
            ["s1"],
            "to_cells",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
        node("Conv", ["s1", "w2", "b2"], ["c2"], "wide", kernel_shape=[3, 3], pads=[2, 2, 2, 2], dilations=[2, 2]),
        node("Conv", ["place", "w_place"], ["c_place"], "place_features", kernel_shape=[1, 1]),
        node("Add", ["c2", "c_place"], ["placed"], "add_place"),
        node("Relu", ["placed"], ["features"], "features_relu"),
    ]
    if output == "logits":
        nodes.append(node("Conv", ["features", "read_w", "read_b"], ["logits"], "read_out", kernel_shape=[1, 1]))
    # Resize wants the batch too: it is taken from its input.
    nodes[6:6] = [
        node("Shape", ["p1"], ["batch_channels"], "sizes_of", start=0, end=2),
        node("Concat", ["batch_channels", "sizes"], ["sizes4"], "sizes_all", axis=0),
    ]
    held = [numpy_helper.from_array(v, k) for k, v in weights.items()]
    channels = CLASSES if output == "logits" else FEATURES
    graph = helper.make_graph(
        nodes, "segmenter",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, *SIZE_HW])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", channels, *CELLS_HW])], held,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _read_out(weights: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of one-hot cells on features, every class of equal weight."""
    session = ort.InferenceSession(_model(weights, "features").SerializeToString(), providers=["CPUExecutionProvider"])
    rows, classes = [], []
    for image, cells in _scenes():
        small = cv2.cvtColor(cv2.resize(image, SIZE_HW[::-1]), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
        tensor = ((small - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1)[None]
        rows.append(session.run(None, {"x": tensor})[0][0].reshape(FEATURES, -1).T)
        classes.append(cells.reshape(-1))
    features, truth = np.concatenate(rows).astype(np.float64), np.concatenate(classes)
    features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    share = 1 / np.maximum(np.bincount(truth, minlength=CLASSES), 1)
    weight = np.sqrt(share)[truth][:, None]
    wanted = np.eye(CLASSES)[truth] * 2 - 1
    left = (features * weight).T @ features + 1e-6 * np.eye(features.shape[1])
    # Rounded: sums in another order must not give another model.
    found = np.round(np.linalg.solve(left, (features * weight).T @ wanted) * 8, 3)
    return found[:-1].T.reshape(CLASSES, FEATURES, 1, 1).astype(np.float32), found[-1].astype(np.float32)


def _scenes():
    """Image and class of each cell, by the boxes of what was drawn."""
    from demo.scenes import TRAIN_PHOTOS, draw_scene, load_photos

    photos, rng = load_photos(TRAIN_PHOTOS), np.random.default_rng(11)
    for _ in range(SCENES_SEEN):
        scene = draw_scene(photos, rng, (384, 512), 6)
        cells = np.zeros(CELLS_HW, np.int64)
        for box, k in zip(scene.boxes_xyxy * (CELLS_HW[1] / 512), scene.class_ids):
            x0, y0, x1, y1 = np.round(box).astype(int)
            cells[y0:y1, x0:x1] = k + 1
        yield scene.image_bgr, cells
