"""How near does a search for the highest rate come, and how often is it right? On simulated queues, whose true rate is known.

python bench/highest_rate.py [--runs 20] [--seconds 58]     a 10 ms model; prints markdown; some 20 minutes at 20 runs

shown: searches with enough service times for an estimate; near: of these, within 10 % of the true rate. covers: intervals
that hold it. proved: searches that proved a rate, and the median of those over the true one; wrong: proved rates above it, and
broken ones below it. The truth is from 40 queues of 400,000 requests each.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from seatrial._native.statistics import queue_latencies
from seatrial.loads.bound import LatencyBound
from seatrial.loads.chance import FILLING
from seatrial.loads.fit import Sent
from seatrial.loads.search import Found, find_rate
from seatrial.machine.environment import cpu_model
from seatrial.stats.queue import Queue, enough_service_times

F64 = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], F64]
SERVICE_S = 0.01
SERVICES: dict[str, Draw] = {
    "constant": lambda _rng, n: np.full(n, SERVICE_S),
    "uniform ± 50 %": lambda rng, n: SERVICE_S * (1 + 0.5 * rng.uniform(-1, 1, n)),
    "log-normal, σ 0.3": lambda rng, n: SERVICE_S * np.exp(0.3 * rng.standard_normal(n) - 0.045),
    "gamma, shape 4": lambda rng, n: rng.gamma(4, SERVICE_S / 4, n),
    "two sizes of image": lambda rng, n: np.where(rng.random(n) < 0.8, 0.0075, 0.02),
    "one in 200 stalls 100 ms": lambda rng, n: (
        0.0095 * (1 + 0.1 * rng.uniform(-1, 1, n)) + 0.1 * (rng.random(n) < 0.005)
    ),
    "exponential": lambda rng, n: rng.exponential(SERVICE_S, n),
}
BOUNDS = [(0.9, 0.03), (0.99, 0.05), (0.99, 0.1)]
CLIENTS = [1, 2, 4]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=58.0, help="of a search, without its first look")
    given = parser.parse_args()
    print(f"{given.runs} searches each of {given.seconds:g} s, {cpu_model()}\n")
    print(
        "| service times of 10 ms | clients | bound | true | load | shown | near | covers | width | proved | of true | wrong |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, draw in SERVICES.items():
        for clients in CLIENTS:
            for quantile, bound_s in BOUNDS:
                print(row(name, draw, LatencyBound(quantile, bound_s, clients), given.runs, given.seconds), flush=True)


def row(name: str, draw: Draw, bound: LatencyBound, runs: int, seconds: float) -> str:
    truth = true_rate(draw, bound)
    what = f"| {name} | {bound.clients} | {bound.limit_s * 1e3:g} ms@p{bound.quantile * 100:g} | {truth:.1f}/s "
    if not truth:
        return f"{what}| no rate holds it {'| ' * 8}|"
    found = [search(draw, bound, seconds, seed) for seed in range(runs)]
    enough = enough_service_times(bound.quantile)
    estimates = [f.estimate for f in found if f.estimate and f.estimate.n >= enough]
    held = [f.held / truth for f in found if f.held]
    near = sum(abs(e.value / truth - 1) < 0.1 for e in estimates)
    covers = sum(e.low <= truth <= e.high for e in estimates)
    width = f"{np.median([(e.high - e.low) / truth for e in estimates]):.0%}" if estimates else "–"
    wrong = sum(h > 1 for h in held) + sum(f.broke < truth for f in found if f.broke)
    return (
        f"{what}| {truth * SERVICE_S / bound.clients:.0%} | {len(estimates)} | {near} | {covers} | {width} | {len(held)} "
        f"| {f'{np.median(held):.0%}' if held else '–'} | {wrong} |"
    )


def true_rate(draw: Draw, bound: LatencyBound) -> float:
    rng = np.random.default_rng(99)
    rates = [
        Queue(draw(rng, 400_000), bound.clients).highest_rate(bound.quantile, bound.limit_s, rng, 400_000)
        for _ in range(40)
    ]
    return float(np.mean(rates))


def search(draw: Draw, bound: LatencyBound, seconds: float, seed: int) -> Found:
    rng = np.random.default_rng([seed, 11])

    def send(rate: float, duration_s: float) -> Sent:
        due_s = np.cumsum(rng.exponential(1 / rate, int(rate * duration_s * 2 + 100)))
        due_s = due_s[: max(1, int(np.searchsorted(due_s, duration_s)))]
        service_s = draw(rng, len(due_s))
        latencies_s, first = queue_latencies(due_s, service_s, bound.clients), int(len(due_s) * FILLING)
        return Sent(rate, due_s, first, service_s[:first], latencies_s[first:], service_s[first:])

    return find_rate(bound, draw(rng, 100 * bound.clients), send, seconds, seed)


if __name__ == "__main__":
    main()
