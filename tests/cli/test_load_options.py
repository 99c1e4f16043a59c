"""Options of a bench to loads: every combination that is a load, and the words for those that are none."""

import re

import pytest

from seatrial.cli.load_options import MLPERF, SCENARIOS, LoadOptions, loads_of
from seatrial.errors import DataError, UsageError
from seatrial.loads.task import Load

GIVEN = {
    "scenario": "single-stream", "clients": "", "threads": [None], "rate": "", "arrivals": "poisson", "gap": "",
    "find_rate": False, "latency_bound": "", "mix": None,
}  # fmt: skip


def loads(scenario="single-stream", **options):
    return loads_of(LoadOptions(**GIVEN | {"scenario": scenario} | options))


def shown(points):
    return [(p.load.rate, p.load.gap_s, p.clients, p.threads) for p in points]


@pytest.mark.parametrize(
    ("scenario", "options", "points"),
    [
        ("single-stream", {}, [(None, 0.0, 1, None)]),
        ("single-stream", {"threads": [1, 2]}, [(None, 0.0, 1, 1), (None, 0.0, 1, 2)]),
        ("single-stream", {"clients": "1"}, [(None, 0.0, 1, None)]),
        ("multi-stream", {"clients": "1,4"}, [(None, 0.0, 1, None), (None, 0.0, 4, None)]),
        # As many as fill the cores, unless it is said.
        ("offline", {}, [(None, 0.0, None, None)]),
        ("offline", {"clients": "2"}, [(None, 0.0, 2, None)]),
        ("server", {"rate": "20,30/s"}, [(20.0, 0.0, 1, None), (30.0, 0.0, 1, None)]),
        ("server", {"rate": "20", "clients": "1,2", "threads": [1, 3]},
         [(20.0, 0.0, 1, 1), (20.0, 0.0, 2, 1), (20.0, 0.0, 1, 3), (20.0, 0.0, 2, 3)]),
        ("paced", {"gap": "0 ms,5 ms"}, [(None, 0.0, 1, None), (None, 0.005, 1, None)]),
        ("mlperf-server", {"rate": "5"}, [(5.0, 0.0, 1, None)]),
        ("mlperf-offline", {}, [(None, 0.0, 1, None)]),
    ],
)  # fmt: skip
def test_loads(scenario, options, points):
    assert shown(loads(scenario, **options)) == points


@pytest.mark.parametrize(
    ("scenario", "options", "fields"),
    [
        ("server", {"rate": "20", "arrivals": "constant"}, {"scenario": "server", "rate": 20.0, "arrivals": "constant"}),
        ("server", {"find_rate": True, "latency_bound": "50ms@p90"}, {"scenario": "server", "bound_s": 0.05, "bound_quantile": 0.9}),
        ("mlperf-server", {"rate": "5", "latency_bound": "1s@p99"},
         {"scenario": "mlperf", "mlperf": "mlperf-server", "rate": 5.0, "bound_s": 1.0, "bound_quantile": 0.99}),
        ("mlperf-single-stream", {}, {"scenario": "mlperf", "mlperf": "mlperf-single-stream"}),
        ("single-stream", {"mix": ["x=1@3", "x=2"]}, {"mix": (({"x": (1,)}, 3.0), ({"x": (2,)}, 1.0))}),
    ],
)  # fmt: skip
def test_what_a_load_holds(scenario, options, fields):
    (point,) = loads(scenario, **options)
    assert point.load == Load(**fields)


def test_every_scenario_has_a_load():
    for name in (*SCENARIOS, *MLPERF):
        options = {"rate": "9"} if "server" in name else {"gap": "1 ms"} if name == "paced" else {}
        assert loads(name, **options), name


@pytest.mark.parametrize(
    ("scenario", "options", "said"),
    [
        ("serve", {}, "--scenario: expected one of single-stream, multi-stream"),
        ("serve", {}, "(did you mean 'server'?)"),
        ("", {}, "got ''"),
        ("offline", {"rate": "2"}, "--rate belongs to --scenario server or mlperf-server, not offline"),
        (
            "mlperf-server",
            {"rate": "2", "find_rate": True},
            "--find-rate belongs to --scenario server, not mlperf-server",
        ),
        (
            "paced",
            {"gap": "1 ms", "latency_bound": "1s@p50"},
            "--latency-bound belongs to --scenario server or mlperf-server",
        ),
        ("server", {"rate": "2", "gap": "1 ms"}, "--gap belongs to --scenario paced, not server"),
        (
            "mlperf-server",
            {"rate": "2", "arrivals": "constant"},
            "--arrivals belongs to --scenario server, not mlperf-server",
        ),
        ("single-stream", {"clients": "2"}, "--clients: single-stream has one client"),
        ("paced", {"gap": "1 ms", "clients": "1,2"}, "--clients: paced has one client"),
        ("multi-stream", {"clients": "2,2"}, "--clients: expected different values, got 2 twice"),
        ("multi-stream", {"clients": "0"}, "--clients: expected whole numbers from 1 on"),
        ("server", {}, "needs --rate, such as 20 requests a second, or --find-rate with --latency-bound"),
        ("mlperf-server", {}, "--scenario mlperf-server needs --rate, such as 20 requests a second"),
        ("server", {"rate": "20,20.0"}, "--rate: expected different values, got 20 twice"),
        ("server", {"find_rate": True}, "--find-rate needs --latency-bound, such as 100ms@p95"),
        ("server", {"find_rate": True, "latency_bound": "1s@p50", "rate": "2"}, "leave --rate away"),
        ("server", {"rate": "2", "latency_bound": "1s@p50"}, "give --find-rate too"),
        ("server", {"arrivals": "possion"}, "no file is called 'possion' (did you mean 'poisson'?)"),
        ("server", {"arrivals": "t.csv", "rate": "2"}, "a recorded trace has its own rate"),
        ("paced", {}, "--scenario paced needs --gap, such as 20ms"),
        ("paced", {"gap": "5ms,0.005 s"}, "--gap: expected different values, got 5ms twice"),
        ("paced", {"gap": "-1 ms"}, "--gap: expected a time of zero or more"),
    ],
)
def test_what_does_not_go_together(scenario, options, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        loads(scenario, **options)


@pytest.mark.parametrize(
    ("text", "arrivals_s"), [("0\n0.5\n0.5\n", (0.0, 0.5, 0.5)), ("seconds,who\n1,a\n2,b\n", (1.0, 2.0))]
)
def test_a_trace_has_its_own_rate(tmp_path, text, arrivals_s):
    path = tmp_path / "spur ä.csv"
    path.write_text(text)
    (point,) = loads("server", arrivals=str(path))
    assert (point.load.arrivals, point.load.arrivals_s, point.load.rate) == ("trace", arrivals_s, None)


@pytest.mark.parametrize("text", ["", "1\n", "2\n1\n", "1\nnan\n", "1\n2\nx\n"])
def test_a_damaged_trace(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"t\.csv: "):
        loads("server", arrivals=str(path))
