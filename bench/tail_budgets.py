"""How often is a latency budget's verdict wrong, and how many requests does a clear one take? Simulated request streams.

    python bench/tail_budgets.py [--repeats 1000] [--seed 0]

The limit is the stream's true percentile, so that PASS and FAIL are both wrong (each may be, in 2.5 % of trials), or lies
between the ordinary requests and runs of slow ones that hold twice the share that may be slow, so that PASS is wrong.
Streams: independent, AR(1) with a Gaussian latent, and runs of 1 to 20 slow requests with pauses of random length.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.special import ndtri

from seatrial.stats.sample import CONFIDENCE, quantile_below

F64 = npt.NDArray[np.float64]
# n latencies of which `share` are above the limit, and that limit.
Stream = Callable[[np.random.Generator, int, float], tuple[F64, float]]


def independent(rng: np.random.Generator, n: int, share: float) -> tuple[F64, float]:
    return rng.exponential(size=n), float(-np.log(share))


def autoregressive(rho: float) -> Stream:
    def stream(rng: np.random.Generator, n: int, share: float) -> tuple[F64, float]:
        noise = rng.normal(size=n) * np.sqrt(1 - rho**2)
        noise[0] /= np.sqrt(1 - rho**2)
        return lfilter([1], [1, -rho], noise), float(-ndtri(share))

    return stream


def in_runs(shortest: int, longest: int) -> Stream:
    """Runs of slow requests, each as likely as the next to be of any length in between, long since begun."""

    def stream(rng: np.random.Generator, n: int, share: float) -> tuple[F64, float]:
        mean = (shortest + longest) / 2
        before = 20 * longest
        begins = share / (share + mean * (1 - share))
        cycles = int(2 * (n + before) * share / mean) + 100
        while True:
            lengths = rng.integers(shortest, longest + 1, cycles)
            ends = np.cumsum(rng.geometric(begins, cycles) - 1 + lengths)
            if ends[-1] >= n + before:
                break
            cycles *= 2
        steps = np.zeros(int(ends[-1]) + 1)
        np.add.at(steps, ends - lengths, 1)
        np.add.at(steps, ends, -1)
        slow = np.cumsum(steps)[before : before + n] > 0
        return rng.random(n) + slow * (2 + rng.random(n)), 1.5

    return stream


STREAMS: dict[str, Stream] = {
    "independent": independent,
    **{f"AR(1) {rho}": autoregressive(rho) for rho in (0.6, 0.9, 0.97)},
    **{f"runs of {length}": in_runs(length, length) for length in (1, 2, 5, 10, 15, 20)},
    "runs of 1 to 20": in_runs(1, 20),
}


def answers(stream: Stream, n: int, quantile: float, share: float, repeats: int, seed: int) -> Counter[str]:
    """'yes', 'no' and 'unsure' by how often quantile_below says so."""
    rng = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    for _ in range(repeats):
        x, limit = stream(rng, n, share)
        found[quantile_below(x, quantile, limit, CONFIDENCE).answer] += 1
    return found


def requests_until(answer: str, stream: Stream, quantile: float, share: float, seed: int) -> int | None:
    """Fewest requests, of a growing series, of which four in five samples are called so; None: not with 100,000."""
    n = 10
    while n <= 100_000:
        if answers(stream, n, quantile, share, 40, seed)[answer] >= 32:
            return n
        n = int(n * 1.25) + 1
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("Percent of samples: PASS / FAIL / INCONCLUSIVE")
    for quantile, counts in ((0.5, (60, 120, 400)), (0.9, (200, 700, 2000)), (0.99, (1000, 8000, 20000))):
        for times in (1, 2):
            columns = [f"n = {n:,}" for n in counts]
            print(f"\np{quantile * 100:g}, {'at the limit' if times == 1 else 'twice as many above as may be'}")
            print("| stream | " + " | ".join(columns) + " |\n|---|" + "---|" * len(counts))
            for name, stream in STREAMS.items():
                cells = []
                for n in counts:
                    share = min(times * (1 - quantile), 0.95)
                    found = answers(stream, n, quantile, share, options.repeats, options.seed)
                    cells.append(" / ".join(f"{found[a] / options.repeats:.1%}" for a in ("yes", "no", "unsure")))
                print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print(
        "\nRequests until four in five samples are decided: PASS with a tenth of the share above that may be, FAIL with"
    )
    print("five times it (p50: with 5 % and 95 %), FAIL with all above")
    print("| | " + " | ".join(STREAMS) + " |\n|---|" + "---|" * len(STREAMS))
    for quantile in (0.5, 0.9, 0.99):
        allowed = 1 - quantile
        for answer, share in (("yes", allowed / 10), ("no", min(5 * allowed, 0.95)), ("no", 1 - 1e-9)):
            said = [requests_until(answer, stream, quantile, share, options.seed) for stream in STREAMS.values()]
            cells = [f"{n:,}" if n else "> 100,000" for n in said]
            print(
                f"| p{quantile * 100:g} {'PASS' if answer == 'yes' else 'FAIL'}, {share:.1%} above | "
                + " | ".join(cells)
                + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
