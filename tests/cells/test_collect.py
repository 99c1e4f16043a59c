"""What a cell's process leaves to be compared, and what it says of outputs that it cannot tell apart."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import seatrial


def test_a_list_whose_rows_are_no_images_is_told(workspace):
    """Of each image three rows, all in one list, as flat lists of detections are."""
    nodes = [helper.make_node("Reshape", ["x", "rows"], ["dets"])]
    graph = helper.make_graph(
        nodes,
        "flat",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("dets", TensorProto.FLOAT, ["n", 64])],
        [numpy_helper.from_array(np.array([-1, 64], np.int64), "rows")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), workspace.folder / "f.onnx"
    )
    pipelines = (
        "\n  flat:\n    model: f.onnx\n    preprocess: {size: [8, 8], mode: stretch}\n    postprocess: {task: raw}\n"
    )
    matrix = "{backends: [onnxruntime-cpu], batch_sizes: [1, 2]}"
    record = seatrial.run(workspace.plan(pipelines=pipelines, matrix=matrix), results=workspace.folder / "results")
    one, two = record.cells
    assert not [w for w in one.warnings if w.code == "rows-without-image"]
    (told,) = [w for w in two.warnings if w.code == "rows-without-image"]
    assert told.text.startswith("output dets came with 6 rows for a batch of 2: they are no images")
