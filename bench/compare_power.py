"""Does `seatrial compare` call what is there, and nothing that is not? Real models against themselves and slowed copies.

    python bench/compare_power.py --same 100 --slower-5 40 --slower-2 40 --separate 20 MODEL.onnx=x:1x3x224x224 ...

A model is slowed by arithmetic: a branch of matrix products whose result is one more output, sized by timing it beside the
model. Prints a line a comparison and a table; one core, and nothing else should run. `--separate` prints how far medians of
separate processes lie apart, for comparison.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from seatrial._native.timing import StageSamples, closed_loop, now_ns
from seatrial.compare.lockstep import RoundSize, run_round
from seatrial.compare.question import Question
from seatrial.compare.rounds import compare_sides
from seatrial.compare.sides import model_side
from seatrial.compare.turner import Side, task_of
from seatrial.compare.turns import open_work

WIDTH, HEIGHT = 192, 8


def with_more_arithmetic(model: Path, products: int, target: Path, alone: bool = False) -> Path:
    """The model with so many products of a HEIGHT × WIDTH matrix that depends on its input; `alone`: only those."""
    proto = onnx.load(model)
    graph, source = proto.graph, proto.graph.input[0].name
    rng = np.random.default_rng(0)
    weights = (rng.normal(size=(WIDTH, WIDTH)) / math.sqrt(WIDTH)).astype(np.float32)
    rank = len(graph.input[0].type.tensor_type.shape.dim)
    # It hangs on one element of the input: else it would be computed once, when the model is loaded.
    nodes = [
        helper.make_node("Slice", [source, "extra_starts", "extra_ends"], ["extra_corner"]),
        helper.make_node("ReduceMean", ["extra_corner"], ["extra_mean"], keepdims=0),
        helper.make_node("Mul", ["extra_mean", "extra_seed"], ["extra_0"]),
    ]
    for i in range(products):
        nodes.append(helper.make_node("MatMul", [f"extra_{i}", "extra_weights"], [f"extra_{i + 1}"]))
    nodes.append(helper.make_node("ReduceMean", [f"extra_{products}"], ["extra_output"], keepdims=0))
    if alone:
        del graph.node[:], graph.output[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.zeros(rank, np.int64), "extra_starts"),
            onnx.numpy_helper.from_array(np.ones(rank, np.int64), "extra_ends"),
            onnx.numpy_helper.from_array(weights, "extra_weights"),
            onnx.numpy_helper.from_array(rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32), "extra_seed"),
        ]
    )
    graph.output.append(helper.make_tensor_value_info("extra_output", TensorProto.FLOAT, []))
    onnx.save(proto, target)
    return target


def median_s(side: Side, requests: int = 60) -> float:
    opened = open_work(task_of(side.work, "", 0))
    samples = StageSamples(requests, len(opened.stages))
    closed_loop(opened.work, StageSamples(10, len(opened.stages)), deadline_ns=now_ns() + 10**10, most=10)
    closed_loop(opened.work, samples, deadline_ns=now_ns() + 60 * 10**9, most=requests)
    return float(np.median(samples.to_array()[:, -1])) / 1e9


def slowed(model: Path, shapes: dict[str, tuple[int, ...]], share: float, folder: Path) -> Path:
    """Sized until lock-step rounds see about that share: what a branch costs beside a model is not what it costs alone."""
    probe = with_more_arithmetic(model, 200, folder / "probe.onnx", alone=True)
    base = model_side(model, shapes=shapes)
    one = float(np.median([median_s(model_side(probe, shapes=shapes)) / 200 / median_s(base) for _ in range(9)]))
    target = folder / f"{model.stem}-slower-{share:g}.onnx"

    def seen(products: int) -> float:
        with_more_arithmetic(model, products, target)
        effects = []
        for seed in range(8):
            sides = [Side("a", base.work), Side("b", model_side(target, shapes=shapes).work)]
            r = run_round(sides, folder / "sizing", 1000 * products + seed)
            logs = [np.log(np.median(r.blocks_ns[name][:, :, -1], axis=1)) for name in "ab"]
            effects.append(float(np.median(logs[1] - logs[0])))
        return math.expm1(float(np.median(effects)))

    products, tried = max(1, round(share / one)), {}
    for _ in range(4):
        tried[products] = seen(products)
        if abs(tried[products] - share) < 0.05 * share:
            break
        products = max(1, products + round((share - tried[products]) / one))
        if products in tried:
            break
    products = min(tried, key=lambda n: abs(tried[n] - share))
    print(f"sizing {model.stem}: {products} products take {tried[products]:.2%} more", flush=True)
    return with_more_arithmetic(model, products, target)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+", help="MODEL.onnx=INPUT:1x3x224x224")
    for name in ("same", "slower-5", "slower-2", "separate"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N")
    parser.add_argument(
        "--max-time", type=float, default=60.0, metavar="S", help="of a comparison (default: 60, the command's)"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    subjects = []
    for text in args.models:
        path, _, rest = text.partition("=")
        name, _, shape = rest.partition(":")
        subjects.append((Path(path), {name: tuple(map(int, shape.split("x")))}))
    with tempfile.TemporaryDirectory() as name:
        study(args, subjects, Path(name))


def study(args: argparse.Namespace, subjects: list[tuple[Path, dict[str, tuple[int, ...]]]], folder: Path) -> None:
    lines = []
    for kind, share, margin, count in (
        ("same", 0.0, 0.02, args.same), ("slower-5", 0.05, 0.02, args.slower_5), ("slower-2", 0.02, 0.01, args.slower_2)
    ):  # fmt: skip
        copies = [slowed(m, s, share, folder) if share and count else m for m, s in subjects]
        for n in range(count):
            i = n % len(subjects)
            model, shapes = subjects[i]
            began = time.monotonic()
            sides = model_side(model, shapes=shapes), model_side(copies[i], shapes=shapes)
            question = Question(margin=margin, seed=n, max_time_s=args.max_time)
            (c,) = compare_sides(*sides, question, folder / "work", ("A", "B"))
            took = time.monotonic() - began
            low, high = c.change.interval or (None, None)
            line = {
                "kind": kind, "model": model.stem, "verdict": c.verdict, "change": c.change.value, "low": low, "high": high,
                "pairs": len(c.pairs), "sd": c.pairs_sd, "noise_floor": c.noise_floor, "seconds": took,
                "effects": [p.effect for p in c.pairs], "control": [p.control for p in c.pairs],
                "a_s": c.a_value.value, "within_se": float(np.median([p.within_se for p in c.pairs])),
            }  # fmt: skip
            lines.append(line)
            print(
                f"{kind:9} {model.stem[:24]:24} {c.verdict:12} {c.change.value:+.2%} sd {c.pairs_sd or 0:.2%} "
                f"floor {c.noise_floor or 0:.2%} {len(c.pairs)} pairs {took:.0f} s", flush=True,
            )  # fmt: skip
            if args.json:
                args.json.write_text(json.dumps(lines))
    print()
    for kind in dict.fromkeys(line["kind"] for line in lines):
        own = [line for line in lines if line["kind"] == kind]
        print(kind, dict(Counter(line["verdict"] for line in own)), f"of {len(own)}")
        about = [np.median(line["effects"]) if kind != "same" else 0.0 for line in own]
        effects = np.concatenate([np.array(line["effects"]) - a for line, a in zip(own, about, strict=True)])
        seconds, changes = [line["seconds"] for line in own], [line["change"] for line in own]
        about_what = "zero" if kind == "same" else "their comparison's median"
        print(
            f"  sd of {len(effects)} pair effects about {about_what} {effects.std(ddof=1):.2%}; "
            f"mean change {np.mean(changes):+.2%}"
        )
        print(f"  comparisons of fewer than eight pairs: {sum(line['pairs'] < 8 for line in own)}")
        print(f"  seconds a comparison: median {np.median(seconds):.0f}, longest {max(seconds):.0f}")
    if args.separate:
        logs, requests = [], []
        for n in range(args.separate):
            model, shapes = subjects[n % len(subjects)]
            values = []
            for _ in range(2):
                side = Side("a", model_side(model, shapes=shapes).work)
                r = run_round([side], folder / "one", n, RoundSize(blocks=50, least_requests=200))
                values.append(np.median(r.blocks_ns["a"][:, :, -1]))
                requests.append(r.blocks_ns["a"][:, :, -1].size)
            logs.append(math.log(values[1] / values[0]))
        print(
            f"separate processes, medians of {min(requests)} to {max(requests)} requests: sd of ln ratio "
            f"{np.std(logs, ddof=1):.2%} over {len(logs)} pairs"
        )


if __name__ == "__main__":
    main()
