"""Does `seatrial compare` call nothing where nothing differs, though images differ by two hundred times?

    python bench/unlike_images.py --real 20                  # real comparisons of one pipeline with itself
    python bench/unlike_images.py --simulate 200 [--old]     # the same from recorded costs, through the real judging
    python bench/unlike_images.py --record FILE              # what each image costs here, stage by stage

The set: JPEG images of 0.1 to 20 megapixels, evenly spread over the logarithm of their size; the pipeline: decode, resize, a
small network, top 3. `--old` simulates what was done before the order of images began anew in each round: all rounds replayed
one order, and warm-ups by time shifted the sides against each other in it. Real comparisons want the machine for themselves.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from seatrial.compare.lockstep import Round, image_seed
from seatrial.compare.pairs import CONTROL, A, B
from seatrial.compare.question import Question
from seatrial.compare.round_plan import BLOCKS, TurnPlan, plan_turns, round_budget_s
from seatrial.compare.turn_task import SideFacts
from seatrial.compare.verdicts import judge_rounds
from seatrial.errors import UsageError
from seatrial.history.records import Comparison
from seatrial.noise.counters import COLUMNS
from seatrial.noise.report import summarise
from seatrial.noise.timeline import Timeline
from seatrial.timing.measure import image_order

COSTS = Path(__file__).parents[1] / "tests" / "compare" / "unlike_images.json"
LAUNCH_SD = 0.003
# How much longer or shorter a process takes to warm up, in cold caches and beside whatever else is started.
WARM_UP_SD = 0.15
READY_S = 2.5
QUIET = summarise(Timeline((0,), np.zeros((2, len(COLUMNS)), np.int64)))
PLAN = """version: 1
images: {path: images}
pipelines:
  one: {model: m.onnx, preprocess: {size: [64, 64], mode: stretch}, postprocess: {task: classify, top_k: 3}}
matrix: {backends: [onnxruntime-cpu]}
"""


@dataclass(frozen=True)
class Costs:
    """seconds: (images, stages). noise: standard deviation of ln of a stage's time, between repeats of an image."""

    seconds: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]

    @classmethod
    def load(cls, path: Path = COSTS) -> Costs:
        data = json.loads(path.read_text())
        return cls(np.array(data["seconds"]), np.array(data["noise"]))

    def smaller_half(self) -> Costs:
        """Images of 0.1 to 1.4 megapixels: more of them fit into a round, and into a warm-up."""
        whole = self.seconds.sum(axis=1)
        return Costs(self.seconds[whole <= np.median(whole)], self.noise)


# From recorded costs


def simulated(
    costs: Costs, seed: int, old: bool = False, metrics: tuple[str, ...] = ("p50",), slower: float = 0.0
) -> list[Comparison]:
    """One comparison of a pipeline with itself, or with one `slower` by that share: the real blocks, orders, looks and
    verdicts, on simulated times."""
    question = Question(metrics=metrics, seed=seed)
    rng = np.random.default_rng([seed, old])
    left_s = round_budget_s(question.max_time_s, question.looks[0]) - READY_S
    plan = plan_turns(BLOCKS, [float(costs.seconds.sum(axis=1).mean())] * 3, question.least_requests, left_s)
    rounds: list[Round] = []
    for look in question.looks:
        while len(rounds) < look:
            rounds.append(_round(costs, plan, seed * 1000 + len(rounds), rng, old, slower))
        found = judge_rounds(rounds, question, ("A", "A again"))
        if all(c.verdict != "INCONCLUSIVE" for c in found):
            break
    return found


def _round(
    costs: Costs, plan: TurnPlan, seed: int, rng: np.random.Generator, old: bool, slower: float
) -> Round:  # fmt: skip
    tables = {}
    requests = plan.blocks * (plan.burst + 1)
    for name in (A, B, CONTROL):
        launch = rng.normal(0, LAUNCH_SD) + np.log1p(slower) * (name == B)
        order = image_order(len(costs.seconds), 0 if old else image_seed(seed))
        if old:
            _warm_up(costs, order, launch, rng)
        images = np.array(list(islice(order, requests)))
        stages = _times(costs, images, launch, rng)
        table = np.column_stack([stages, stages.sum(axis=1)]).reshape(plan.blocks, plan.burst + 1, -1)
        tables[name] = np.round(table[:, 1:] * 1e9).astype(np.int64)
    facts = SideFacts()
    names = ["decode", "preprocess", "infer", "postprocess"]
    return Round(tables, names, [A, B, CONTROL], plan.burst, dict.fromkeys(tables, facts), QUIET, 0.0)


def _times(
    costs: Costs, images: npt.NDArray[np.int64], launch: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(requests, stages) seconds."""
    noise = rng.normal(size=(len(images), costs.seconds.shape[1])) * costs.noise
    return np.asarray(costs.seconds[images] * np.exp(launch + noise))


def _warm_up(costs: Costs, order: Iterator[int], launch: float, rng: np.random.Generator) -> None:
    """As it was: longer and longer turns until 0.15 s went by, on the images at the head of the order."""
    next(order)
    count, spent, least = 1, 0.0, np.inf
    slower = np.exp(rng.normal(0, WARM_UP_SD))
    while True:
        took = slower * float(_times(costs, np.array(list(islice(order, count))), launch, rng).sum())
        spent, least = spent + took, min(least, took / count)
        if spent >= 0.15 and (count >= 4 or least >= 0.1):
            return
        count = min(64, 2 * count)


# On this machine


def make_images(folder: Path, count: int = 24, seed: int = 0) -> list[float]:
    """Writes them; gives their megapixels. Coloured blots with grain, which a JPEG of a photograph resembles in size."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    sizes = np.geomspace(0.1, 20.0, count)
    for i, megapixels in enumerate(rng.permutation(sizes)):
        height = int((megapixels * 1e6 * 3 / 4) ** 0.5)
        width = int(height * 4 / 3)
        blots = cv2.resize(rng.integers(0, 256, (12, 16, 3), np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
        grain = rng.integers(0, 24, (height, width, 1), np.uint8)
        cv2.imwrite(str(folder / f"{i:03}.jpg"), cv2.add(blots, np.repeat(grain, 3, axis=2)))
    return [float(s) for s in sizes]


def make_trial(folder: Path) -> Path:
    """Images, a small network and a plan."""
    make_images(folder / "images")
    rng = np.random.default_rng(0)
    weights, width = [], 3
    nodes, last = [], "x"
    for i, channels in enumerate((16, 32, 10)):
        kernel = (rng.normal(size=(channels, width, 3, 3)) / (9 * width) ** 0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{i}"))
        nodes += [
            helper.make_node("Conv", [last, f"w{i}"], [f"c{i}"], strides=[2, 2]),
            helper.make_node("Relu", [f"c{i}"], [f"r{i}"]),
        ]
        last, width = f"r{i}", channels
    nodes.append(helper.make_node("ReduceMean", [last], ["y"], axes=[2, 3], keepdims=0))
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 64, 64]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10]),
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx")
    (folder / "trial.yaml").write_text(PLAN)
    return folder / "trial.yaml"


def record(folder: Path, repeats: int = 9) -> dict[str, object]:
    """What each image costs here, in each stage, and how its repeats differ."""
    from seatrial._native.timing import PythonWork, StageSamples, closed_loop, now_ns
    from seatrial.cells.preflight import preflight
    from seatrial.cells.prepare import pipeline_cell
    from seatrial.history.run_folder import new_run
    from seatrial.jobs.opened import open_pipeline
    from seatrial.plan import load_plan
    from seatrial.stages import PIPELINE_STAGES

    ready = preflight(load_plan(make_trial(folder)), False, lambda _: None)
    _, task = pipeline_cell(ready, new_run(folder / "results", "here"), "one")
    opened = open_pipeline(task)
    count = len(ready.images)
    opened.order = (i % count for i in range(count * (repeats + 1)))
    samples = StageSamples(count * (repeats + 1), len(PIPELINE_STAGES))
    closed_loop(PythonWork(opened.iterate), samples, deadline_ns=now_ns() + 10**12, most=count * (repeats + 1))
    # The first time round is a warm-up.
    seconds = samples.to_array()[count:, 1:-1].reshape(repeats, count, -1) / 1e9
    # From the faster half, which other load on the machine hardly touches: a normal sample's 10 % lies 1.28 sd lower.
    middle = np.quantile(seconds, 0.25, axis=0)
    spread = np.log(np.median(seconds, axis=0) / np.quantile(seconds, 0.1, axis=0)) / 1.28
    return {
        "what": "bench/unlike_images.py --record: 24 JPEG images of 0.1 to 20 megapixels; seconds of each stage",
        "stages": list(PIPELINE_STAGES),
        "seconds": [[float(f"{v:.3g}") for v in row] for row in middle],
        "noise": [float(f"{v:.3g}") for v in np.median(spread, axis=0)],
    }


def real(folder: Path, count: int, max_time_s: float) -> Iterator[Comparison]:
    """Comparisons of the pipeline with itself, one after another."""
    from seatrial.cells.preflight import preflight
    from seatrial.compare.rounds import compare_sides
    from seatrial.compare.sides import pipeline_subject
    from seatrial.history.run_folder import new_run
    from seatrial.plan import load_plan

    ready = preflight(load_plan(make_trial(folder)), False, lambda _: None)
    side = pipeline_subject(ready, new_run(folder / "results", "here"), "one").side
    for n in range(count):
        question = Question(seed=n, max_time_s=max_time_s)
        try:
            yield from compare_sides(side, side, question, folder / "rounds", ("A", "A again"))
        except UsageError as e:
            print(f"refused      {e}", flush=True)


def tell(found: Iterator[Comparison] | Sequence[Comparison]) -> None:
    verdicts: Counter[str] = Counter()
    for c in found:
        verdicts[c.verdict] += 1
        low, high = c.change.interval or (None, None)
        ends = f"{low:+.2%} to {high:+.2%}" if low is not None and high is not None else "no interval"
        print(
            f"{c.verdict:12} {c.change.value:+.2%} ({ends}) pairs' sd {c.pairs_sd or 0:.2%} A against A {c.noise_sd or 0:.2%} "
            f"{len(c.pairs)} rounds of {c.pairs[0].blocks} turns of {c.pairs[0].burst}", flush=True,
        )  # fmt: skip
    print(dict(verdicts), f"of {verdicts.total()}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", type=int, default=0, metavar="N")
    parser.add_argument("--simulate", type=int, default=0, metavar="N")
    parser.add_argument("--old", action="store_true")
    parser.add_argument("--smaller", action="store_true", help="simulate with the smaller half of the images")
    parser.add_argument("--times", type=float, default=1.0, metavar="X", help="simulate a machine so many times slower")
    parser.add_argument("--record", type=Path, metavar="FILE")
    parser.add_argument("--max-time", type=float, default=60.0, metavar="S")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if args.record:
            args.record.write_text(json.dumps(record(Path(name, "recorded")), indent=1) + "\n")
        if args.simulate:
            began = time.monotonic()
            costs = Costs.load()
            costs = costs.smaller_half() if args.smaller else costs
            costs = Costs(costs.seconds * args.times, costs.noise)
            tell([c for seed in range(args.simulate) for c in simulated(costs, seed, args.old)])
            print(f"{time.monotonic() - began:.1f} s")
        if args.real:
            tell(real(Path(name, "real"), args.real, args.max_time))


if __name__ == "__main__":
    main()
