"""Small graphs of float32 tensors, checked and with all shapes known, for whatever converts graphs."""

import onnx
from onnx import TensorProto, helper, numpy_helper

F32 = TensorProto.FLOAT


def model_of(nodes, inputs, outputs, constants=(), opset=22, ir=10, domains=()):
    """inputs, outputs: shapes by name, None where it is to be worked out; constants: arrays by name."""
    graph = helper.make_graph(
        [*nodes],
        "g",
        [helper.make_tensor_value_info(n, F32, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, F32, s) for n, s in outputs.items()],
        [numpy_helper.from_array(v, n) for n, v in dict(constants).items()],
    )
    for index, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    proto = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)],
        ir_version=ir,
    )
    return onnx.shape_inference.infer_shapes(proto)


def node(proto, name):
    return next(n for n in proto.graph.node if n.name == name)
