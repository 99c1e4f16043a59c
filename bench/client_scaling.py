"""Do clients scale? Requests a second of 1 and of N clients, one thread each, on one loaded model.

    python bench/client_scaling.py MODEL.onnx=INPUT:1x3x224x224 [--clients 2]

One process; rounds of 1 and N clients in random order; the ratio of each pair of rounds with its 95 % interval.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from seatrial._native.timing import StageSamples, Work, closed_loops, now_ns
from seatrial.backends.base import OpenOptions
from seatrial.backends.catalogue import open_backend
from seatrial.stats.sample import percentile_estimate

ROUNDS, ROUND_NS = 31, 400_000_000


def rate(works: list[Work]) -> float:
    tables = [StageSamples(1 << 16, 1) for _ in works]
    began = now_ns()
    closed_loops(works, tables, deadline_ns=began + ROUND_NS)
    return sum(map(len, tables)) / ((now_ns() - began) / 1e9)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+", help="MODEL.onnx=INPUT:1x3x224x224")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--backend", default="onnxruntime-cpu")
    args = parser.parse_args()
    for text in args.models:
        path, _, rest = text.partition("=")
        name, _, shape = rest.partition(":")
        sizes = tuple(map(int, shape.split("x")))
        options = OpenOptions(1, args.clients, {name: sizes})
        with open_backend(args.backend, Path(path), options, native=True) as backend:
            rng = np.random.default_rng(0)
            feeds = [{name: rng.random(sizes).astype(np.float32)} for _ in range(args.clients)]
            works = [backend.another().work(f) for f in feeds]
            rate(works)
            one, many = [], []
            for turn in range(ROUNDS):
                order = [works[:1], works]
                random.Random(turn).shuffle(order)
                for members in order:
                    (one if len(members) == 1 else many).append(rate(members))
        e = percentile_estimate(np.array(many) / np.array(one), 0.5)
        print(
            f"{Path(path).stem} {shape}: 1 client {np.median(one):.1f}/s, {args.clients} clients {np.median(many):.1f}/s, "
            f"ratio {e.value:.3f} ({e.low:.3f} to {e.high:.3f})"
        )


if __name__ == "__main__":
    main()
