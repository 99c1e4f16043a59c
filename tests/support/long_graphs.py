"""A network of more than a hundred nodes and many operators, small enough to run in milliseconds, with pictures for it."""

import numpy as np
from float_graphs import model_of
from onnx import helper

BLOCKS, CHANNELS, SIDE = 12, 6, 11


def network(seed: int = 0):
    """Twelve blocks of nine nodes behind each other, and a head with two outputs."""
    rng = np.random.default_rng(seed)
    nodes, constants, x = [], {}, "x"

    def constant(name, *shape, scale=1.0, shift=0.0):
        constants[name] = (rng.normal(size=shape) * scale + shift).astype(np.float32)
        return name

    for k in range(BLOCKS):
        w = constant(f"w{k}", CHANNELS, CHANNELS, 3, 3, scale=0.15)
        b = constant(f"b{k}", CHANNELS, scale=0.3)
        nodes.append(helper.make_node("Conv", [x, w, b], [f"conv{k}"], pads=[1, 1, 1, 1]))
        scale = constant(f"s{k}", CHANNELS, scale=0.1, shift=1.0)
        shift = constant(f"h{k}", CHANNELS, scale=0.1)
        mean = constant(f"m{k}", CHANNELS, scale=0.1)
        constants[f"v{k}"] = rng.uniform(0.3, 1.0, CHANNELS).astype(np.float32)
        nodes.append(helper.make_node("BatchNormalization", [f"conv{k}", scale, shift, mean, f"v{k}"], [f"bn{k}"]))
        nodes.append(helper.make_node("LeakyRelu", [f"bn{k}"], [f"relu{k}"], alpha=0.1))
        nodes.append(
            helper.make_node("AveragePool", [f"relu{k}"], [f"pool{k}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        )
        nodes.append(helper.make_node("Sigmoid", [f"pool{k}"], [f"gate{k}"]))
        nodes.append(helper.make_node("Mul", [f"relu{k}", f"gate{k}"], [f"gated{k}"]))
        nodes.append(helper.make_node("Relu", [f"gated{k}"], [f"positive{k}"]))
        nodes.append(helper.make_node("Add", [f"positive{k}", x], [f"sum{k}"]))
        nodes.append(helper.make_node("Softmax", [f"sum{k}"], [f"share{k}"], axis=1))
        nodes.append(helper.make_node("Sub", [f"sum{k}", f"share{k}"], [f"block{k}"]))
        x = f"block{k}"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["flat"]))
    nodes.append(
        helper.make_node("Gemm", ["flat", constant("head", CHANNELS, 9), constant("head_bias", 9)], ["scores"])
    )
    nodes.append(helper.make_node("Identity", [x], ["maps"]))
    shape = (1, CHANNELS, SIDE, SIDE)
    return model_of(nodes, {"x": shape}, {"scores": None, "maps": None}, constants)


def pictures(count: int = 2):
    rng = np.random.default_rng(7)
    return [{"x": rng.normal(size=(1, CHANNELS, SIDE, SIDE)).astype(np.float32)} for _ in range(count)]


def overflowing(places, depth=16):
    """A chain of convolutions of which, at each place, two in a row multiply by 400 and the next two divide again: what stands
    between the second and the third of them is beyond float16. Returns the names of the nodes that touch it."""
    rng, nodes, constants, x = np.random.default_rng(0), [], {}, "x"
    needed = set()
    for k in range(depth):
        w = rng.normal(size=(8, 8, 3, 3)).astype(np.float32) * 0.17
        for place in places:
            w = w * {0: 400, 1: 400, 2: 1 / 400, 3: 1 / 400}.get(k - place, 1)
            if k == place + 1:
                needed |= {f"/conv[{k}]", f"/relu{k}", f"/conv[{k + 1}]"}
        constants[f"w{k}"] = np.float32(w)
        nodes.append(helper.make_node("Conv", [x, f"w{k}"], [f"c{k}"], name=f"/conv[{k}]", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{k}"], [f"r{k}"], name=f"/relu{k}"))
        x = f"r{k}"
    return model_of(nodes, {"x": (1, 8, 10, 10)}, {x: None}, constants), needed
