"""What OpenVINO's options do, by OpenVINO's own account."""

import numpy as np
import pytest

from seatrial.backends import OpenOptions, open_backend
from seatrial.demo import MODEL
from seatrial.errors import BackendUnavailableError
from seatrial.runtimes.choice import BackendChoice

SHAPES = {"images": (1, 3, 320, 320)}


def opened(clients=1, threads=1, **options):
    return open_backend(BackendChoice("openvino-cpu", options=options), MODEL, OpenOptions(threads, clients, SHAPES))


def of(backend, name):
    return str(backend.compiled.get_property(name))


@pytest.mark.parametrize(
    ("options", "streams", "hint"),
    [
        ({}, "1", "LATENCY"),
        ({"hint": "latency"}, "1", "LATENCY"),
        ({"hint": "throughput", "streams": 2}, "2", "THROUGHPUT"),
        ({"streams": 2}, "2", "LATENCY"),
    ],
)
def test_streams_and_hint(options, streams, hint):
    with opened(threads=2, **options) as backend:
        assert of(backend, "NUM_STREAMS") == streams
        assert of(backend, "PERFORMANCE_HINT").endswith(hint)
        assert backend.details()["hint"] == hint.lower()
        assert f"{streams} stream" in backend.details()["threads"]


@pytest.mark.parametrize(("option", "its_own"), [("cpu_pinning", "ENABLE_CPU_PINNING"), ("hyper_threading", "ENABLE_HYPER_THREADING")])  # fmt: skip
def test_pinning_and_hyper_threading_reach_openvino(option, its_own):
    """On, it may leave off what the machine has not; off, it is off."""
    with opened(**{option: False}) as backend:
        assert backend.compiled.get_property(its_own) is False
    with opened(**{option: True}) as backend:
        assert backend._settings(backend._options)[its_own] is True


def test_products_compute_in_float32_unless_something_else_is_asked_for():
    import openvino

    feeds = {"images": np.random.default_rng(0).random(SHAPES["images"], np.float32)}
    with opened() as backend:
        assert set(backend.computed_in(feeds)) == {"fp32"}
        assert backend.details()["inference_precision"] == "f32"
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(
            BackendUnavailableError, match="asked for bf16 arithmetic, but OpenVINO would compute in f32"
        ):
            opened(inference_precision="bf16")
        return
    with opened(inference_precision="bf16") as backend:
        assert set(backend.computed_in(feeds)) == {"bf16"}
        assert backend.details()["inference_precision"] == "bf16"
    with opened(inference_precision="auto") as backend:
        assert set(backend.computed_in(feeds)) == {backend.details()["inference_precision"].replace("f32", "fp32")}


def test_streams_that_openvino_does_not_make_are_refused():
    """Each computes on a thread of its own at least; with fewer threads OpenVINO makes fewer streams, without a word."""
    with pytest.raises(BackendUnavailableError, match="asked for streams 2, but OpenVINO would have 1 on this device"):
        opened(streams=2)
