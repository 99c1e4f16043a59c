"""A step in a stream of latencies: found where it is, and not where there is none."""

import numpy as np
import pytest

from seatrial.stats.level import level_shift


def steps(*parts, seed=0, spread=0.02):
    rng = np.random.default_rng(seed)
    return np.concatenate([level * rng.lognormal(0, spread, count) for level, count in parts])


@pytest.mark.parametrize(("levels", "at"), [((2.0, 1.0), 300), ((1.0, 1.2), 700), ((1.0, 0.9), 900)])
def test_a_step_is_found_where_it_is(levels, at):
    found = level_shift(steps((levels[0], at), (levels[1], 1000 - at)))
    assert found.at == pytest.approx(at, abs=50)
    assert (found.before, found.after) == pytest.approx(levels, rel=0.02)


@pytest.mark.parametrize("kind", ["alike", "bimodal", "heavy", "correlated", "images"])
def test_no_step_is_seen_where_there_is_none(kind):
    """In no more than 1 % of streams, or 5 % where neighbours resemble each other (0.8), which is a change of level for a while."""
    seen = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(40, 400))
        noise = rng.normal(0, 0.05, n)
        if kind == "correlated":
            for i in range(1, n):
                noise[i] += 0.8 * noise[i - 1]
        x = {
            "alike": np.exp(noise),
            "correlated": np.exp(noise),
            "bimodal": np.where(rng.random(n) < 0.5, 1.0, 1.5) * np.exp(noise),
            "heavy": 1 + rng.pareto(1.5, n),
            "images": rng.lognormal(0, 0.6, n),
        }[kind]
        seen += level_shift(x) is not None
    assert seen <= (15 if kind == "correlated" else 3)


@pytest.mark.parametrize(
    "x",
    [
        steps((1.0, 500), (1.02, 500), spread=0.001),
        np.ones(1000),
        # Too few, on one side or in all, are a few slow requests.
        steps((1.0, 990), (2.0, 10)),
        steps((1.0, 19), (2.0, 20)),
        # Within the spread of unlike images.
        steps((1.0, 500), (1.2, 500), spread=0.6),
    ],
)
def test_what_is_no_step(x):
    assert level_shift(x) is None
