"""Pipelines on images of 0.1 to 20 megapixels: simulated from recorded costs, through the real orders, plans and verdicts.

The simulation is bench/unlike_images.py, which also records such costs and runs real comparisons.
"""

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("unlike_images", ROOT / "bench" / "unlike_images.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up.
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def costs(bench):
    return bench.Costs.load()


def middle(bench, costs):
    """The smaller images, on a machine where the last turn of a warm-up is as often run as not."""
    half = costs.smaller_half()
    return bench.Costs(1.25 * half.seconds, half.noise)


def verdicts(bench, costs, count, **asked):
    found = [c for seed in range(count) for c in bench.simulated(costs, seed, **asked)]
    return Counter(c.verdict for c in found), float(np.median([c.pairs_sd for c in found]))


def test_the_recorded_images_are_as_unlike_as_they_should_be(costs):
    whole = costs.seconds.sum(axis=1)
    assert len(whole) == 24
    assert whole.max() > 100 * whole.min()


@pytest.mark.slow
def test_of_200_comparisons_of_equal_pipelines_hardly_one_is_called(bench, costs):
    found, _ = verdicts(bench, costs, 200)
    assert found["REGRESSION"] + found["IMPROVED"] <= 2, found
    assert found["EQUIVALENT"] >= 180, found


def test_where_warm_ups_differ_the_order_that_begins_anew_is_what_makes_them_equal(bench, costs):
    """Else the sides time different images in the same block: the pairs' sd is several times as large, and hardly a pipeline
    is as fast as itself."""
    found, spread = verdicts(bench, middle(bench, costs), 40)
    assert found == {"EQUIVALENT": 40}
    assert spread < 0.012
    found, spread = verdicts(bench, middle(bench, costs), 12, old=True)
    assert found["EQUIVALENT"] <= 6, found
    assert spread > 0.018


def test_five_percent_are_found_on_unlike_images_too(bench, costs):
    found, _ = verdicts(bench, middle(bench, costs), 20, slower=0.05)
    assert found == {"REGRESSION": 20}
