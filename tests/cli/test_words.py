"""Words of the command line to values: what is taken, to the last digit, and what is refused, with the option's name."""

import pytest

from seatrial.cli import words
from seatrial.errors import UsageError
from seatrial.runtimes.names import OWN


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda: words.count("--n", "1"), 1),
        (lambda: words.count("--n", " 007 "), 7),
        (lambda: words.count("--n", "999999"), 999_999),
        (lambda: words.rate_per_s("20"), 20.0),
        (lambda: words.rate_per_s(" 2.5 /s "), 2.5),
        (lambda: words.rate_per_s("1e-3/s"), 0.001),
        (lambda: words.time_s("--t", "30 ms"), 0.03),
        (lambda: words.time_s("--t", "24 h"), 86_400.0),
        (lambda: words.time_s("--t", "0 s", zero=True), 0.0),
        (lambda: words.percentile_of("--p", "p99.9"), ("p99.9", pytest.approx(0.999))),
        (lambda: words.percentile_of("--p", "P50.0"), ("p50", 0.5)),
        (lambda: words.percentile_of("--p", "p0.1"), ("p0.1", 0.001)),
        (lambda: words.latency_bound_of("50ms@p99"), {"bound_s": 0.05, "bound_quantile": 0.99}),
        (lambda: words.several("--n", "1,2, 4", lambda t: words.count("--n", t), str), [1, 2, 4]),
        (lambda: words.shapes_of(["x=1x3x8x8", "y=5"]), {"x": (1, 3, 8, 8), "y": (5,)}),
        (lambda: words.shapes_of(["a=b=1,2"]), {"a=b": (1, 2)}),
        (lambda: words.shapes_of(None), {}),
        (lambda: words.mix_of(None), ()),
        (lambda: words.mix_of(["x=1@2", "x=2"]), (({"x": (1,)}, 2.0), ({"x": (2,)}, 1.0))),
        (lambda: words.mix_of(["x=1;y=2@0.5", "x=2;y=3@1e3"]), (({"x": (1,), "y": (2,)}, 0.5), ({"x": (2,), "y": (3,)}, 1000.0))),
        (lambda: words.check_backend_name(None), None),
        (lambda: words.check_backend_name("fake"), None),
        (lambda: words.backend_names(""), list(OWN)),
        (lambda: words.backend_names("fa"), ["fake"]),
        (lambda: words.backend_names("nothing"), []),
    ],
)  # fmt: skip
def test_taken(call, value):
    assert call() == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        *[(lambda t=t: words.count("--n", t), f"--n: expected whole numbers from 1 on, such as 1,2,4, got {t!r}")
          for t in ("", "0", "00", "-1", "1.0", "1e3", "1000000", "١", "one", "1 2")],
        *[(lambda t=t: words.rate_per_s(t), "--rate: expected requests a second above 0 and below 10 million")
          for t in ("", "0", "-1", "nan", "inf", "1e7", "20/m", "/s")],
        *[(lambda t=t: words.time_s("--t", t), "--t: ") for t in ("", "5", "0 s", "-1 s", "nan s", "inf s", "soon")],
        (lambda: words.time_s("--t", "24.01 h"), "--t: expected a time of at most 24 h, got '24.01 h'"),
        (lambda: words.time_s("--t", "-1 s", zero=True), "--t: expected a time of zero or more"),
        *[(lambda t=t: words.percentile_of("--p", t), "--p: expected a percentile between p0 and p100")
          for t in ("99", "p", "p0", "p0.0", "p100", "p99.99999", "pnan", "p-1", "q99")],
        (lambda: words.latency_bound_of("50ms"), "expected a time and its percentile, such as 100ms@p95, got '50ms'"),
        (lambda: words.latency_bound_of("@p99"), "--latency-bound: "),
        (lambda: words.latency_bound_of("50ms@"), "--latency-bound: expected a percentile"),
        (lambda: words.several("--n", "1,01", lambda t: words.count("--n", t), str), "got 1 twice in '1,01'; leave one away"),
        (lambda: words.several("--n", "1,", lambda t: words.count("--n", t), str), "got ''"),
        *[(lambda t=t: words.shapes_of([t]), "--shape: expected ") for t in ("", "x", "x=", "=1", "x=1x", "x=-1", "x=a", "x=1.5")],
        *[(lambda t=t: words.shapes_of([t]), "expected dimensions from 1 on and at most 2,147,483,648 elements")
          for t in ("x=0", "x=3x0", "x=65536x65536", "x=999999999x999999999")],
        (lambda: words.shapes_of(["x=1", "x=2"]), "--shape: expected one shape for input 'x', got 2; leave one away"),
        (lambda: words.mix_of(["x=1"]), "--mix: one shape is no mix"),
        *[(lambda t=t: words.mix_of([t, "x=2"]), "with a weight above 0") for t in ("x=1@", "x=1@0", "x=1@-1", "x=1@nan", "x=1@inf", "x=1@x")],
        (lambda: words.check_backend_name("fakee"), "(did you mean 'fake'?)"),
        (lambda: words.check_backend_name(""), "--backend: expected one of "),
    ],
)  # fmt: skip
def test_refused(call, said):
    with pytest.raises(UsageError) as caught:
        call()
    assert said in str(caught.value)


def test_the_largest_tensor_is_one():
    assert words.shapes_of([f"x={1 << 16}x{1 << 15}"]) == {"x": (1 << 16, 1 << 15)}


def test_the_help_of_backend_names_all_that_run():
    *first, last = [name for name in OWN if name != "fake"]
    names = f"{', '.join(first)} or {last}"
    assert f"What runs it: {names}; with options as NAME:KEY=VALUE,KEY=VALUE." == words.BACKEND_HELP


@pytest.mark.parametrize("given", [[], ["--max-time", "5s"], ["--max-time=5s"]])
def test_the_command_that_runs_with_another_value(monkeypatch, given):
    monkeypatch.setattr(words.sys, "argv", ["/bin/seatrial", "compare", "a.onnx", *given, "b.onnx"])
    assert words.with_option("--max-time", "240s") == ["seatrial", "compare", "a.onnx", "b.onnx", "--max-time", "240s"]
