"""What people type wrong: each bad option of `seatrial bench` says what was expected, what came, and the cure."""

import os
from pathlib import Path

import pytest
from onnx import TensorProto, helper

CORES = len(os.sched_getaffinity(0))
SERVER = ["--scenario", "server"]
TEN = ["--rate", "10"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A scripted model, ONNX models without weights, traces, and a plan."""
    path = tmp_path_factory.mktemp("bench-options")
    (path / "m.fake.json").write_text(
        '{"inputs": {"x": {"shape": ["batch", 3, 8, 8]}}, "outputs": {"y": {"shape": ["batch", 3]}}}'
    )
    relu(path / "free.onnx", ["n", 3, "h", "w"])
    relu(path / "fixed.onnx", [1, 3, 8, 8])
    text = helper.make_node("StringNormalizer", ["words"], ["y"], case_change_action="LOWER")
    save(path / "text.onnx", [text], [("words", TensorProto.STRING, ["n"])], ("y", TensorProto.STRING, ["n"]))
    both = helper.make_node("Add", ["a", "b"], ["y"])
    pair = [("a", TensorProto.FLOAT, ["n", "w"]), ("b", TensorProto.FLOAT, ["n", "w"])]
    save(path / "pair.onnx", [both], pair, ("y", TensorProto.FLOAT, ["n", "w"]))
    (path / "words.txt").write_text("0\nsoon\n")
    (path / "dense.txt").write_text("0\n0.000000001\n")
    (path / "trial.yaml").write_text(
        "version: 1\nimages: images\npipelines: {only: {model: fixed.onnx, preprocess: {size: [8, 8]}}}\n"
    )
    return path


def relu(path, shape):
    node = helper.make_node("Relu", ["x"], ["y"])
    save(path, [node], [("x", TensorProto.FLOAT, shape)], ("y", TensorProto.FLOAT, shape))


def save(path, nodes, inputs, output):
    values = [helper.make_tensor_value_info(*v) for v in inputs]
    graph = helper.make_graph(nodes, "g", values, [helper.make_tensor_value_info(*output)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


CASES = [
    # Soaks
    ("m.fake.json --max-memory-growth 10MiB/h", 2, "--max-memory-growth is a limit of a soak; give --soak too, such as --soak 30min"),
    ("m.fake.json --max-latency-growth 2%/h", 2, "--max-latency-growth is a limit of a soak; give --soak too"),
    ("m.fake.json --soak 1min --max-memory-growth 10MiB", 2, "--max-memory-growth: expected a growth in an hour, such as 10MiB/h, got "
     "'10MiB'"),
    ("m.fake.json --soak 1min --max-memory-growth 10/h", 2, "--max-memory-growth: expected a quantity such as '1 GiB', got '10': the "
     "unit is missing"),
    ("m.fake.json --soak 1min --max-memory-growth -1MiB/h", 2, "expected a growth of zero or more, such as 10MiB/h, got '-1MiB/h'"),
    ("m.fake.json --soak 1min --max-latency-growth 2%/h@p95", 2, "a soak keeps p50 and p99 of each window, got 'p95'; give 2%/h or "
     "2%/h@p99"),
    ("m.fake.json --soak 1min --max-time 20s", 2, "--max-time: a soak goes on for as long as --soak says; leave one of the two away"),
    ("m.fake.json --soak 1min --percentile p99.9", 2, "--percentile: a soak keeps p50 and p99 of each window"),
    ("m.fake.json --soak 25h", 2, "--soak: expected a time of at most 24 h, got '25h'"),
    ("m.fake.json --soak 1min --scenario mlperf-offline", 2, "LoadGen says itself how long it runs; leave --soak away"),
    ("m.fake.json --soak 1min --scenario server --find-rate --latency-bound 1ms@p90", 2, "a search goes through many rates; leave --soak "
     "away"),
    # How requests come
    ("m.fake.json --scenario serve", 2, "--scenario: expected one of single-stream, multi-stream, offline, server, paced, "
     "mlperf-single-stream, mlperf-multi-stream, mlperf-offline, mlperf-server, got 'serve' (did you mean 'server'?)"),
    ("m.fake.json --scenario zzz", 2, "got 'zzz'"),
    ("m.fake.json --scenario server", 2, "--scenario server needs --rate, such as 20 requests a second, or --find-rate with "
     "--latency-bound"),
    ("m.fake.json --scenario paced", 2, "--scenario paced needs --gap, such as 20ms, or several: 0ms,5ms,50ms"),
    ("m.fake.json --scenario server --rate 10 --gap 5ms", 2, "--gap belongs to --scenario paced, not server; change one of the "
     "two"),
    ("m.fake.json --rate 10", 2, "--rate belongs to --scenario server or mlperf-server, not single-stream"),
    ("m.fake.json --scenario offline --rate 10", 2, "--rate belongs to --scenario server or mlperf-server, not offline"),
    ("m.fake.json --scenario mlperf-offline --rate 5", 2, "--rate belongs to --scenario server or mlperf-server"),
    ("m.fake.json --arrivals constant", 2, "--arrivals belongs to --scenario server, not single-stream"),
    ("m.fake.json --find-rate --latency-bound 5ms@p99", 2, "--find-rate belongs to --scenario server, not single-stream"),
    ("m.fake.json --latency-bound 5ms@p99", 2, "--latency-bound belongs to --scenario server or mlperf-server"),
    # Rates
    *((f"m.fake.json --scenario server --rate={rate}", 2, "--rate: expected requests a second above 0 and below 10 million, "
       f"such as 20, got {shown!r}")
      for rate, shown in [("-5", "-5"), ("0", "0"), ("fast", "fast"), ("nan", "nan"), ("inf", "inf"), ("1e9", "1e9"),
                          ("10,,20", ""), ("10;20", "10;20"), ("10/min", "10/min")]),
    ("m.fake.json --scenario server --rate 20,5,20.0", 2, "--rate: expected different values, got 20 twice in '20,5,20.0'; "
     "leave one away"),
    ("m.fake.json --scenario server --rate 0.01 --max-time 10s", 2, "--rate 0.01 is 0.1 requests in --max-time 10.0 s; expected "
     "at least 1; raise --max-time to 100 s or more"),
    ("m.fake.json --scenario server --rate 5e6 --max-time 1min", 2, "--rate 5e+06 is 3e+08 requests in --max-time 60.0 s; "
     "expected at most 2e+06; lower the rate or the time"),
    # Arrivals
    ("m.fake.json --scenario server --rate 10 --arrivals constnat", 2, "--rate and --find-rate: a recorded trace has its own "
     "rate; leave them away, or the trace"),
    ("m.fake.json --scenario server --arrivals constnat", 2, "--arrivals: expected poisson, constant or a file of seconds, one "
     "a line; no file is called 'constnat' (did you mean 'constant'?)"),
    ("m.fake.json --scenario server --arrivals words.txt", 4, "words.txt: line 2: expected a time in seconds, got 'soon'"),
    ("m.fake.json --scenario server --arrivals .", 4, ".: the arrival trace cannot be read (Is a directory); expected seconds, "
     "one a line"),
    ("m.fake.json --scenario server --arrivals dense.txt", 2, "--arrivals is 2e+10 requests in --max-time 10.0 s; expected at "
     "most 2e+06"),
    # Bounds
    ("m.fake.json --scenario server --find-rate", 2, "--find-rate needs --latency-bound, such as 100ms@p95"),
    ("m.fake.json --scenario server --rate 5 --latency-bound 5ms@p99", 2, "--latency-bound is what --find-rate searches with; "
     "give --find-rate too"),
    ("m.fake.json --scenario server --find-rate --rate 5 --latency-bound 5ms@p99", 2, "--find-rate looks for the rate itself; "
     "leave --rate away"),
    *((f"m.fake.json --scenario server --find-rate --latency-bound {bound}", 2, said) for bound, said in [
        ("50ms", "--latency-bound: expected a time and its percentile, such as 100ms@p95, got '50ms'"),
        ("50@p99", "--latency-bound: expected a quantity such as '30 ms', got '50': the unit is missing"),
        ("-5ms@p99", "--latency-bound: expected a time above zero, got '-5ms'"),
        ("0ms@p99", "--latency-bound: expected a time above zero, got '0ms'"),
        ("5ms@p99.95", "--latency-bound: expected at most p99.9, got p99.95"),
        ("5ms@99", "--latency-bound: expected a percentile between p0 and p100, such as p99 or p99.9, got '99'"),
        ("5ms@p100", "got 'p100'"), ("5ms@p", "got 'p'"), ("@p99", "expected a quantity such as '30 ms', got ''"),
    ]),
    ("m.fake.json --scenario server --find-rate --latency-bound 5ms@p99 --percentile p99.9", 2, "--percentile: a search has "
     "many rates; the percentile to hold stands in --latency-bound"),
    # Clients
    *((f"m.fake.json --scenario multi-stream --clients={clients}", 2, f"--clients: expected whole numbers from 1 on, such as "
       f"1,2,4, got {shown!r}")
      for clients, shown in [("0", "0"), ("-1", "-1"), ("two", "two"), ("1.5", "1.5"), ("1,,2", ""), ("²", "²"), ("1,x", "x")]),
    ("m.fake.json --scenario multi-stream --clients 2,1,2", 2, "--clients: expected different values, got 2 twice in '2,1,2'"),
    ("m.fake.json --clients 2", 2, "--clients: single-stream has one client; use --scenario multi-stream or server for more"),
    ("m.fake.json --scenario paced --gap 1ms --clients 2", 2, "--clients: paced has one client"),
    ("m.fake.json --scenario mlperf-single-stream --clients 2", 2, "--clients: mlperf-single-stream has one client"),
    *((f"m.fake.json {load} --clients {9 * CORES}", 2, f"--clients: {9 * CORES} clients of 1 thread on {CORES} core{'' if CORES == 1 else 's'} would "
       f"measure the scheduler; give at most {4 * CORES}")
      for load in ("--scenario multi-stream", "--scenario offline", "--scenario server --rate 5",
                   "--scenario mlperf-multi-stream")),
    (f"m.fake.json --threads {CORES + 1}", 2, f"--threads: expected at most {CORES}, the cores that this process may use, got "
     f"{CORES + 1}"),
    # Times
    *((f"m.fake.json --max-time {time}", 2, said) for time, said in [
        ("soon", "--max-time: expected a quantity such as '30 ms', got 'soon'"),
        ("10", "--max-time: expected a quantity such as '30 ms', got '10': the unit is missing"),
        ("0s", "--max-time: expected a time above zero, got '0s'"),
        ("1e300h", "--max-time: expected a time of at most 24 h, got '1e300h'"),
        ("1e999s", "expected a finite quantity"),
    ]),
    ("m.fake.json --scenario paced --gap=-1ms", 2, "--gap: expected a time of zero or more, got '-1ms'"),
    ("m.fake.json --scenario paced --gap 1ms,0.001s", 2, "--gap: expected different values, got 1ms twice"),
    ("m.fake.json --scenario paced --gap 1ms,", 2, "--gap: expected a quantity such as '30 ms', got ''"),
    # Percentiles
    *((f"m.fake.json --percentile {p}", 2, f"--percentile: expected a percentile between p0 and p100, such as p99 or p99.9, got "
       f"{p!r}")
      for p in ("99", "p100", "p0", "p-1", "p99.99999", "p1e1", "median")),
    ("m.fake.json --percentile p99.9999", 2, "--percentile p99.9999: expected one that 131,072 requests can bound, the most that "
     "are kept; this one needs 73,777,479; ask for p99.9 or lower"),
    # Shapes and mixes
    *((f"free.onnx --shape {shape}", 2, f"--shape: expected NAME=SHAPE such as x=1x3x640x640, got {shape!r}")
      for shape in ("1x3x8x8", "x=", "x=1x3x8x-8", "x=1x3xax8", "x=1x3x8x8@2", "=1x3")),
    ("free.onnx --shape x=0x3x8x8", 2, "--shape: expected dimensions from 1 on and at most 2,147,483,648 elements, got "
     "'x=0x3x8x8'"),
    ("free.onnx --shape x=1x3x999999999x999999999", 2, "at most 2,147,483,648 elements"),
    ("free.onnx --shape x=1x3x8x8 --shape x=1x3x9x9", 2, "--shape: expected one shape for input 'x', got 2; leave one away"),
    ("free.onnx --shape z=1", 2, "--shape: the model has no input called 'z'; inputs are x"),
    ("free.onnx --mix x=1x3x8x8@1", 2, "--mix: one shape is no mix; give --mix again, or use --shape"),
    *((f"free.onnx --mix x=1x3x8x8@1 --mix x=1x3x9x9@{weight}", 2, "--mix: expected NAME=SHAPE@WEIGHT with a weight above 0, "
       f"such as x=1x3x640x640@2, got 'x=1x3x9x9@{weight}'")
      for weight in ("0", "-1", "nan", "inf", "heavy", "")),
    ("free.onnx --mix 8x8@1 --mix 9x9@1", 2, "--mix: expected NAME=SHAPE such as x=1x3x640x640, got '8x8'"),
    ("free.onnx --mix z=1x3x8x8 --mix z=1x3x9x9", 2, "--mix: the model has no input called 'z'; inputs are x"),
    ("free.onnx --mix x=1x4x8x8 --mix x=1x3x9x9", 2, "--mix: x float32[n, 3, h, w] cannot take 1x4x8x8"),
    ("fixed.onnx --mix x=1x3x8x8 --mix x=1x3x9x9", 2, "--mix: x float32[1, 3, 8, 8] cannot take 1x3x9x9"),
    ("pair.onnx --mix a=1x5 --mix a=1x6", 4, "pair.onnx: b float32[n, w] has dimensions that are not fixed; give --mix b=1x5"),
    ("free.onnx", 4, "free.onnx: x float32[n, 3, h, w] has dimensions that are not fixed, and no metadata gives a size; give "
     "--shape x=1x3x640x640"),
    ("trial.yaml --shape x=1x3x8x8", 2, "--shape and --mix: the preprocess stages of trial.yaml give the shapes; leave them "
     "away, or give an ONNX model instead of a plan"),
    ("trial.yaml:only --mix x=1x3x8x8 --mix x=1x3x9x9", 2, "--shape and --mix: the preprocess stages of trial.yaml give"),
    # Models, backends and the rest
    ("text.onnx --shape words=4", 4, "text.onnx: input 'words' takes strings, and only numbers can be made up; measure it in a "
     "plan whose preprocess stage is a Python function that gives this input"),
    ("none.onnx", 4, "none.onnx: no such model; that folder has fixed.onnx, free.onnx"),
    ("m.fake.json --backend onnxruntime-cp", 2, "(did you mean 'onnxruntime-cpu'?)"),
    ("m.fake.json --loop natve", 2, "--loop: expected native or python, got 'natve' (did you mean 'native'?)"),
    ("m.fake.json --seed=-1", 2, "'--seed'"),
    ("m.fake.json --batch 0", 2, "'--batch'"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "code", "said"), CASES, ids=[c[0] for c in CASES])
def test_a_bad_option(bench, folder, monkeypatch, words, code, said):
    monkeypatch.chdir(folder)
    done = bench(*words.split(" "))
    assert done.code == code, done.stdout + done.stderr
    # Where the parser itself refuses an option, it draws a box around its message.
    message = " ".join(done.stderr.replace("│", " ").split())
    assert said in message
    assert "internal error" not in message
    assert not list(Path("results").glob("*/*")), "nothing is left behind"


def test_a_rate_with_its_unit_and_a_sweep_with_spaces_are_understood(bench, folder, monkeypatch):
    monkeypatch.chdir(folder)
    done = bench("m.fake.json", *SERVER, "--rate", "20/s, 1e9")
    assert "got ' 1e9'" in done.stderr
    done = bench("m.fake.json", *SERVER, *TEN, "--clients", f" 1, {9 * CORES}")
    assert f"{9 * CORES} clients" in done.stderr
