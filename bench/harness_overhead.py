"""How much does the harness add to each iteration? StageSamples against the same bookkeeping in plain Python.

    python bench/harness_overhead.py

Four stages that do nothing, interleaved rounds, medians. Prints nanoseconds an iteration and the ratio; only the ratio
of one run means anything on a shared machine.
"""

from __future__ import annotations

import time
from statistics import median

from seatrial._native.timing import StageSamples, clock_step_ns, now_ns

ITERATIONS = 20_000
ROUNDS = 15


def native_ns() -> float:
    samples = StageSamples(ITERATIONS, 4)
    begin, lap, end = samples.begin, samples.lap, samples.end
    started = now_ns()
    for _ in range(ITERATIONS):
        begin()
        lap()
        lap()
        lap()
        lap()
        end()
    return (now_ns() - started) / ITERATIONS


def python_ns() -> float:
    rows: list[tuple[int, ...]] = []
    clock = time.perf_counter_ns
    started = now_ns()
    for _ in range(ITERATIONS):
        a = clock()
        b = clock()
        c = clock()
        d = clock()
        e = clock()
        rows.append((a, b - a, c - b, d - c, e - d, clock() - a))
    return (now_ns() - started) / ITERATIONS


def main() -> None:
    rounds = [(native_ns(), python_ns()) for _ in range(ROUNDS)]
    native, python = median(r[0] for r in rounds), median(r[1] for r in rounds)
    print(f"clock step                   {clock_step_ns():8d} ns")
    print(f"StageSamples, 4 stages       {native:8.0f} ns an iteration")
    print(f"perf_counter_ns and a list   {python:8.0f} ns an iteration")
    print(f"ratio                        {median(p / n for n, p in rounds):8.2f}")


if __name__ == "__main__":
    main()
