"""OpenVINO's own benchmark_app against ours: same model, same settings, in turns.

    python bench/benchmark_app.py MODEL.onnx=INPUT:1x3x224x224 [--rounds 10]

Each round starts both, in random order, one synchronous request at a time, one thread, one stream, f32. Prints medians and
the ratio of each round with its interval. Processes differ by launch: only the median over rounds means something.

Its latency is taken inside the binding, around the runtime's call; ours is of the whole call from Python, which is what a
pipeline pays: a difference of some 10 to 30 µs, the same for small and large models. Its throughput has the whole loop in it.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from seatrial.stats.sample import percentile_estimate

SECONDS = 3


def theirs(model: str, shape: str, core: str) -> dict[str, float]:
    command = [
        "taskset", "-c", core, str(Path(sys.executable).parent / "benchmark_app"), "-m", model, "-d", "CPU", "-api", "sync",
        "-hint", "none", "-nthreads", "1", "-nstreams", "1", "-infer_precision", "f32", "-t", str(SECONDS), "-shape", shape,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    units = {"ms": 1e-3, "us": 1e-6}
    lines = re.finditer(r"(Median|Average|Min|Max):\s+([\d.]+) (ms|us)", done.stdout)
    found = {m[1]: float(m[2]) * units[m[3]] for m in lines}
    if "Median" not in found:
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    throughput = re.search(r"Throughput:\s+([\d.]+)", done.stdout)
    return found | {"throughput": float(throughput[1]) if throughput else 0.0}


def ours(model: str, shape: str, folder: Path) -> dict[str, float]:
    out = folder / "bench.json"
    subprocess.run(
        [
            sys.executable, "-c", "from seatrial.cli import main; main()", "bench", model, "--backend", "openvino-cpu",
            "--shape", shape, "--max-time", f"{SECONDS} s", "--json", str(out), "--quiet", "--results", str(folder),
        ], check=True,
    )  # fmt: skip
    measurement = json.loads(out.read_text())["cells"][0]["measurement"]
    stage = measurement["stages"]["infer"]
    return {
        "Median": stage["p50"]["value"],
        "Average": stage["mean"]["value"],
        "throughput": measurement["throughput"]["value"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="+", help="MODEL.onnx=INPUT:1x3x224x224")
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    from seatrial.jobs.child import cores_for

    core = ",".join(map(str, cores_for(1)))
    for text in args.models:
        path, _, rest = text.partition("=")
        name, _, shape = rest.partition(":")
        runs: dict[str, list[dict[str, float]]] = {"benchmark_app": [], "seatrial": []}
        with tempfile.TemporaryDirectory() as folder:
            for turn in range(args.rounds):
                order = list(runs)
                random.Random(turn).shuffle(order)
                for who in order:
                    result = (
                        theirs(path, f"{name}[{shape.replace('x', ',')}]", core) if who == "benchmark_app"
                        else ours(path, f"{name}={shape}", Path(folder))
                    )  # fmt: skip
                    runs[who].append(result)
        print(f"{Path(path).stem} {shape}: {args.rounds} rounds of {SECONDS} s")
        for metric, scale, unit in (("Median", 1e3, "ms"), ("Average", 1e3, "ms"), ("throughput", 1.0, "images/s")):
            a, b = (np.array([r[metric] for r in runs[who]]) * scale for who in ("benchmark_app", "seatrial"))
            e = percentile_estimate(b / a, 0.5)
            low, high = ("?" if v is None else f"{v:.3f}" for v in (e.low, e.high))
            print(
                f"  {metric.lower():10} benchmark_app {np.median(a):.4g} {unit}, seatrial {np.median(b):.4g} {unit}, "
                f"ratio {e.value:.3f} ({low} to {high})"
            )


if __name__ == "__main__":
    main()
