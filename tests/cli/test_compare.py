"""`seatrial compare` as users call it: verdicts and exit codes, what is refused and how, and what is left behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import zip_longest

import cv2
import numpy as np
import psutil
import pytest
import records
from onnx import TensorProto, helper
from processes import SEATRIAL, all_gone, ran, started
from rounds import Rounds, by_ratio, refused, with_a_real_first
from typer.testing import CliRunner

from seatrial.cli import compare as compare_command
from seatrial.cli.shell import app
from seatrial.compare import rounds as versus
from seatrial.errors import CellError
from seatrial.history.records import CellRecord
from seatrial.history.run_folder import RunFolder
from seatrial.machine.environment import machine_name

PLAN = """version: 1
images: {path: images}
pipelines:
  baseline:
    model: fast.fake.json
    preprocess: {size: [8, 8], mode: stretch}
    postprocess: {task: classify, top_k: 3}
  candidate: {extends: baseline, model: slow.fake.json}
  third: {extends: baseline}
matrix: {backends: [fake]}
"""


def script(path, **changes):
    path.write_text(
        json.dumps(
            {
                "inputs": {"x": {"shape": ["batch", 3, 8, 8]}},
                "outputs": {"y": {"shape": ["batch", 3], "values": "channel_mean"}},
            }
            | changes
        )
    )


def relu(path, shape):
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def fill(folder):
    """What the tests' words name."""
    script(folder / "fast.fake.json", latency_ms=[0.03])
    script(folder / "slow.fake.json", latency_ms=[0.06])
    # The median is a third faster, and three in ten are four times slower.
    script(folder / "uneven.fake.json", latency_ms=[0.02] * 7 + [0.12] * 3)
    script(folder / "broken.fake.json", latency_ms=[0.03], fail={"at": 5, "how": "segfault"})
    relu(folder / "relu.onnx", ["n", 3, 8, 8])
    relu(folder / "free.onnx", ["n", 3, "h", "w"])
    relu(folder / "fixed.onnx", [1, 3, 8, 8])
    (folder / "cut.onnx").write_bytes((folder / "relu.onnx").read_bytes()[:40])
    (folder / "text.txt").write_text("dear diary")
    (folder / "images").mkdir()
    cv2.imwrite(str(folder / "images" / "0.png"), np.full((12, 16, 3), 90, np.uint8))
    (folder / "trial.yaml").write_text(PLAN)
    (folder / "single.yaml").write_text(PLAN[: PLAN.index("  candidate")] + "matrix: {backends: [fake]}\n")
    return folder


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """One folder for the real runs, which are dear; nobody changes what is in it."""
    return fill(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path))
    return tmp_path


def command(folder, *words, **options):
    """The real command, in a process of its own."""
    return ran([*SEATRIAL, *words], cwd=folder, **options)


def compare(*words):
    """The same command inside this process, where starting it would cost more than what is tested."""
    assert compare_command, "importing it registers it"
    done = CliRunner().invoke(app, ["compare", *map(str, words)], prog_name="seatrial")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done


def left(folder, results="results"):
    return sorted(str(p.relative_to(folder)) for p in (folder / results).rglob("*"))


@pytest.fixture
def rounds(monkeypatch):
    def call(*ratios):
        return Rounds(by_ratio(*ratios or (1.0,))).in_place(monkeypatch)

    return call


def test_help_has_examples_and_the_common_options():
    done = compare("--help")
    assert done.exit_code == 0
    for said in ("Examples:", "seatrial compare detector-v1.onnx", "--json", "--quiet", "--debug", "--python-b"):
        assert said in done.stdout


# Real comparisons


@pytest.fixture(scope="module")
def mixed(desk):
    """B's median is faster and its tail slower. Real processes run the first round; a busy machine would time it otherwise."""

    def timed(asked, first):
        a = np.full((8, 10, 2), 30_000)
        b = a * np.array([2 / 3] * 7 + [4.0] * 3)[:, None]
        # Launches differ by a thousandth.
        tables = {"a": a, "b": b.astype(np.int64), "control": a + 30 * (-1) ** (asked.seed % 2)}
        return replace(first, blocks_ns=tables, launched=list(asked.launch), burst=10, wall_s=0.0)

    words = ("fast.fake.json", "uneven.fake.json", "--metric", "p50", "--metric", "p90", "--margin", "15%")
    with pytest.MonkeyPatch.context() as patch:
        Rounds(with_a_real_first(timed)).in_place(patch)
        patch.chdir(desk)
        return compare(*words, "--results", "mixed", "--json", "mixed.json"), desk


def test_a_comparison_has_a_verdict_for_each_metric(mixed):
    done, folder = mixed
    assert done.exit_code == 1, done.output
    record = records.read(json.loads((folder / "mixed.json").read_text()))
    assert [(c.metric, c.stage, c.verdict) for c in record.comparisons] == [
        ("p50", "infer", "IMPROVED"), ("p90", "infer", "REGRESSION")
    ]  # fmt: skip
    assert record.comparisons[0].change.value == pytest.approx(-1 / 3, abs=0.01)
    assert record.comparisons[1].change.value == pytest.approx(3, abs=0.01)
    for c in record.comparisons:
        assert len(c.pairs) >= 8
        assert c.noise_floor < np.log(1.15)
        assert c.a_value.value == pytest.approx(30e-6)
        assert {p.launched[0] for p in c.pairs} <= {"a", "b", "control"}
        assert c.details["a"]["runtime"] == "fake"
    assert [(d.verdict, d.limit, d.unit) for d in record.decisions] == [
        ("PASS", 0.15, "change"), ("FAIL", 0.15, "change")
    ]  # fmt: skip
    for said in ("A fast.fake.json on fake", "B uneven.fake.json on fake", "A against A", "noise floor", "FAIL"):
        assert said in done.stdout
    assert "IMPROVED  p50: B against A -33.33 % (" in done.stdout
    assert "REGRESSION  p90: B against A +300.00 % (" in done.stdout


def test_its_record_is_one_like_any_other(mixed):
    _, folder = mixed
    data = json.loads((folder / "mixed.json").read_text())
    assert (data["schema"], data["kind"], data["verdict"], data["cells"]) == (
        "seatrial.record/2",
        "compare",
        "FAIL",
        [],
    )
    assert records.read(data).to_json() == data
    (run,) = (folder / "mixed" / machine_name()).iterdir()
    assert json.loads((run / "record.json").read_text()) == data
    assert run.name == data["id"]
    assert {p.name for p in run.iterdir()} == {"run.json", "record.json", "report.html", "cells"}
    assert {m["path"] for m in data["models"].values()} == {"fast.fake.json", "uneven.fake.json"}
    assert data["environment"]["fingerprint"]


def test_it_is_listed_and_reported(mixed):
    _, folder = mixed
    done = command(folder, "results", "--results", "mixed", "--json", "-")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["run"] in done.stderr
    assert row["plan"] == "uneven.fake.json on fake against fast.fake.json on fake"
    done = command(folder, "report", "latest", "--results", "mixed", "--output", "again.html")
    assert done.returncode == 0, done.stderr
    page = (folder / "again.html").read_text()
    assert "p50 of infer" in page
    assert "p90 of infer" in page
    assert "Checks" not in page, "the first section says it"


@pytest.mark.slow
@pytest.mark.cold
def test_the_whole_command_compares_a_model_with_itself(desk):
    """Nothing is made up. What a busy machine may make of it is open; that all of it fits together is not."""
    words = ("compare", "fast.fake.json", "--margin", "30%", "--max-time", "120s", "--results", "equal", "--json", "-")
    done = command(desk, *words)
    record = records.read(json.loads(done.stdout))
    (c,) = record.comparisons
    verdict, code = {
        "EQUIVALENT": ("PASS", 0), "IMPROVED": ("PASS", 0), "INCONCLUSIVE": ("INCONCLUSIVE", 3), "REGRESSION": ("FAIL", 1)
    }[c.verdict]  # fmt: skip
    assert (record.verdict, done.returncode) == (verdict, code), done.stderr
    assert (c.a, c.b) == ("fast.fake.json on fake", "fast.fake.json on fake")
    assert min(c.a_value.value, c.b_value.value) >= 30e-6, "as long as the script says, at least"
    assert c.pairs
    assert c.verdict in done.stderr


@pytest.mark.slow
def test_a_real_model_on_two_runtimes_out_of_time(desk, monkeypatch):
    # Else it would be refused before its first turn.
    monkeypatch.setattr(versus, "check_time_left", lambda *_: None)
    monkeypatch.chdir(desk)
    done = compare(
        "relu.onnx", "--backend-b", "openvino-cpu", "--max-time", "1 ms", "--results", "short",
        "--json", "short.json", "--quiet",
    )  # fmt: skip
    assert (done.exit_code, done.stdout) == (3, ""), done.output
    (c,) = records.read(json.loads((desk / "short.json").read_text())).comparisons
    assert (c.a, c.b) == ("relu.onnx on onnxruntime-cpu", "relu.onnx on openvino-cpu")
    assert c.verdict == "INCONCLUSIVE"
    assert "NOT CONVERGED: the time of 0.001 s was up after 1 round, raise --max-time" in c.reason
    assert (c.detectable, c.pairs_sd, c.noise_sd, c.noise_floor) == (None, None, None, None)
    assert len(c.pairs) == 1


@pytest.mark.slow
def test_pipelines_of_a_plan_in_one_real_round(desk, monkeypatch):
    monkeypatch.setattr(versus, "check_time_left", lambda *_: None)
    monkeypatch.chdir(desk)
    done = compare("trial.yaml", "--stage", "infer", "--max-time", "1 ms", "--results", "plan", "--json", "-")
    assert done.exit_code == 3, done.output
    (c,) = records.read(json.loads(done.stdout)).comparisons
    assert (c.a, c.b, c.stage) == ("baseline (fake fp32 b1 t1)", "candidate (fake fp32 b1 t1)", "infer")
    assert c.b_value.value > c.a_value.value >= 30e-6


@pytest.mark.slow
@pytest.mark.cold
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda s: s.name)
def test_whoever_ends_the_command_ends_its_processes(desk, how):
    command = [*SEATRIAL, "compare", "slow.fake.json", "--results", how.name]
    with started(command, cwd=desk, stderr=subprocess.STDOUT) as child:
        sides = []
        deadline = time.monotonic() + 120
        while len(sides) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
            sides = psutil.Process(child.pid).children(recursive=True)
        assert len(sides) == 3
        os.kill(child.pid, how)
        said, _ = child.communicate(timeout=120)
        assert child.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), said
        assert "Traceback" not in said
        assert all_gone(sides)
    if how == signal.SIGINT:
        assert "interrupted" in said
        assert not (desk / how.name).exists(), "it was made for this run, and nothing is kept of it"
    assert not list(desk.glob(f"{how.name}/*/*/record.json"))


def test_a_side_that_breaks_ends_the_comparison_and_leaves_nothing(desk):
    done = command(desk, "compare", "fast.fake.json", "broken.fake.json", "--results", "broken")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: B, broken.fake.json on fake: crashed with SIGSEGV inside native code\n"
    assert not (desk / "broken").exists()


@pytest.fixture(scope="module")
def benched(desk):
    """A run as the real `seatrial bench` leaves it, and a second one that differs by its name."""
    done = command(desk, "bench", "slow.fake.json", "--backend", "fake", "--max-time", "50 ms", "--results", "benched")
    assert done.returncode == 0, done.stderr
    folder = desk / "benched" / machine_name()
    (first,) = folder.iterdir()
    second = folder / "2099-01-01-000000-cafe"
    shutil.copytree(first, second)
    data = json.loads((second / "record.json").read_text())
    (second / "record.json").write_text(json.dumps(data | {"id": second.name}))
    return folder


# Verdicts and their exit codes, with rounds made up


@pytest.mark.parametrize(
    ("ratios", "code", "verdict"),
    [
        ((1.2,), 1, "REGRESSION"),
        ((0.8,), 0, "IMPROVED"),
        ((1.001, 0.999), 0, "EQUIVALENT"),
        ((1.2, 0.8), 3, "INCONCLUSIVE"),
    ],
)
def test_exit_codes(here, rounds, ratios, code, verdict):
    rounds(*ratios)
    done = compare("fast.fake.json", "slow.fake.json", "--json", "out.json")
    assert (done.exit_code, verdict in done.stdout) == (code, True), done.output
    assert json.loads((here / "out.json").read_text())["comparisons"][0]["verdict"] == verdict
    assert compare("fast.fake.json", "slow.fake.json", "--quiet").stdout == ""


@pytest.mark.parametrize(
    ("words", "a", "b"),
    [
        (["trial.yaml"], "baseline", "candidate"),
        pytest.param(["trial.yaml:third"], "third", "third", marks=pytest.mark.slow),
        (["trial.yaml:third", "trial.yaml:baseline"], "third", "baseline"),
        pytest.param(["trial.yaml:", "trial.yaml"], "baseline", "candidate", marks=pytest.mark.slow),
        pytest.param(["trial.yaml", "trial.yaml:third"], "baseline", "third", marks=pytest.mark.slow),
        (["single.yaml"], "baseline", "baseline"),
        pytest.param(["demo"], "baseline", "candidate", marks=pytest.mark.slow),
        pytest.param(["demo:candidate", "demo:baseline"], "candidate", "baseline", marks=pytest.mark.slow),
    ],
)
def test_plans_and_their_pipelines(here, rounds, words, a, b):
    rounds(1.0)
    done = compare(*words, "--json", "out.json")
    assert done.exit_code == 0, done.output
    (c,) = json.loads((here / "out.json").read_text())["comparisons"]
    assert (c["a"].split()[0], c["b"].split()[0], c["stage"]) == (a, b, "end_to_end")


def test_what_is_asked_for_reaches_the_sides(here, rounds):
    made = rounds(1.0)
    done = compare(
        "relu.onnx", "--batch", 2, "--seed", 7, "--loop", "python", "--backend", "openvino-cpu", "--backend-b",
        "onnxruntime-cpu", "--json", "out.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    sides = {s.name: s.work for s in made.sides}
    assert [sides[n].backend for n in ("a", "b", "control")] == ["openvino-cpu", "onnxruntime-cpu", "openvino-cpu"]
    for work in sides.values():
        assert (work.input_shapes["x"], work.seed, work.native) == ((2, 3, 8, 8), 7, False)
    compare("trial.yaml", "--batch", 3, "--seed", 7)
    assert [s.work.batch for s in made.sides] == [3, 3, 3]


# What is refused


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("gone.onnx", 4, "gone.onnx: no such model; that folder has cut.onnx, "),
        ("gone.fake.json", 4, "gone.fake.json: no such model"),
        ("fast.fake.json gone.fake.json", 4, "gone.fake.json: no such model"),
        ("cut.onnx", 4, "cut.onnx: expected an ONNX model, but its 40 bytes cannot be parsed"),
        ("gone.yaml", 4, "gone.yaml: no such plan; write one with 'seatrial init MODEL.onnx'"),
        ("gone", 5, "'gone' is no model (.onnx) and no plan (.yaml); as a stored run: results: no such results folder"),
        ("model.pt", 5, "'model.pt' is no model (.onnx) and no plan (.yaml); as a stored run: "),
        ("trial.yaml:candidat", 4, "'candidat' (did you mean 'candidate'?); expected one of baseline, candidate, third"),
        ("trial.yaml trial.yaml:x", 4, "no pipeline is called 'x'; expected one of baseline, candidate, third"),
        ("demo:candidat", 4, "'candidat' (did you mean 'candidate'?)"),
        (
            "fast.fake.json trial.yaml", 2,
            "expected A and B of one kind, got a model, 'fast.fake.json', and a plan, 'trial.yaml'; compare two models",
        ),
        ("trial.yaml fast.fake.json", 2, "got a plan, 'trial.yaml', and a model, 'fast.fake.json'"),
        ("fast.fake.json latest", 2, "got a model, 'fast.fake.json', and a stored run, 'latest'"),
        ("text.txt fast.fake.json", 2, "got a stored run, 'text.txt', and a model, 'fast.fake.json'"),
        ("relu.onnx --backend nonsense", 2, "--backend: expected one of onnxruntime-cpu, onnxruntime-cuda, "),
        ("relu.onnx --backend-b onnx", 2, "got 'onnx' (did you mean 'onnxruntime-cpu'?)"),
        ("trial.yaml --backend-a fak", 2, "got 'fak' (did you mean 'fake'?)"),
        ("relu.onnx --backend-b onnxruntime-cuda", 5, "backend onnxruntime-cuda: this onnxruntime has no CUDA"),
        ("relu.onnx --threads 9999", 2, "--threads: expected at most "),
        ("trial.yaml --threads 9999", 2, "--threads: expected at most "),
        ("relu.onnx --threads 0", 2, "--threads"),
        ("relu.onnx --batch 0", 2, "--batch"),
        ("relu.onnx --seed -1", 2, "--seed"),
        ("fixed.onnx --batch 2", 4, "has a fixed batch of 1, not 2; give --batch 1"),
        ("free.onnx", 4, "give --shape x=1x3x640x640"),
        ("relu.onnx --shape x", 2, "--shape: expected NAME=SHAPE such as x=1x3x640x640, got 'x'"),
        ("relu.onnx --shape z=1x3", 2, "no input called 'z'; inputs are x"),
        ("trial.yaml --shape x=1x3", 2, "--shape: a plan's preprocess stage gives the shapes"),
        ("relu.onnx --metric nonsense", 2, "--metric: expected one of p50, p90, p95, p99, mean, got 'nonsense'"),
        ("relu.onnx --metric p50 --metric P90", 2, "got 'P90' (did you mean 'p90'?)"),
        ("relu.onnx --margin 0", 2, "--margin: expected a share above 0 and below 100 %, such as 2% or 0.02, got 0 %"),
        ("relu.onnx --margin -1%", 2, "got -1 %"),
        ("relu.onnx --margin 5", 2, "such as 2% or 0.02, got 500 %"),
        ("relu.onnx --margin 100%", 2, "got 100 %"),
        ("relu.onnx --margin abc", 2, "--margin: expected a quantity such as '2%', got 'abc'"),
        ("relu.onnx --margin nan", 2, "--margin: expected a quantity such as '2%', got 'nan'"),
        ("relu.onnx --max-time 0", 2, "--max-time: expected a quantity such as '30 ms', got '0': the unit is missing"),
        ("relu.onnx --max-time 0s", 2, "--max-time: expected a time above zero, got '0s'"),
        ("relu.onnx --max-time -1s", 2, "--max-time: expected a time above zero, got '-1s'"),
        ("relu.onnx --max-time soon", 2, "--max-time: expected a quantity such as '30 ms', got 'soon'"),
        ("relu.onnx --loop nonsense", 2, "--loop: expected native or python, got 'nonsense'"),
        ("relu.onnx --python-b nothing", 5, "'nothing' cannot be run (No such file or directory); expected a Python"),
        ("relu.onnx --python-b text.txt", 5, "'text.txt' cannot be run (Permission denied); expected a Python"),
        ("relu.onnx --python-b images", 5, "'images' cannot be run (No such file or directory)"),
        ("relu.onnx --python-b /bin/true", 5, "'/bin/true' did not answer like a Python 3.11 or newer"),
        ("trial.yaml --python-b nothing", 5, "'nothing' cannot be run"),
        ("relu.onnx --results text.txt", 5, "text.txt"),
        ("relu.onnx --json /proc/x.json", 5, "--json /proc/x.json: cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_told_before_a_process_is_started(here, monkeypatch, words, code, said):
    Rounds(refused).in_place(monkeypatch)
    before = sorted(here.rglob("*"))
    done = compare(*words.split())
    assert (done.exit_code, said in done.stderr) == (code, True), done.output
    assert done.stdout == ""
    assert sorted(here.rglob("*")) == before, "nothing is left"


def test_the_real_command_refuses_in_the_same_words(here, seatrial_cli):
    done = seatrial_cli("compare", "trial.yaml:candidat")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("error: ")
    assert "did you mean 'candidate'" in done.stderr
    assert not (here / "results").exists()


def test_an_environment_without_the_runtime(here):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "bare"], check=True)
    done = compare("relu.onnx", "--python-b", "bare")
    assert done.exit_code == 5
    python = here / "bare" / "bin" / "python"
    assert f"{python}: has no numpy and no onnxruntime; install what is missing there: {python} -m pip" in done.stderr
    assert left(here) == []


def test_a_stage_that_is_not_there(here, rounds):
    rounds(1.0)
    done = compare("trial.yaml", "--stage", "infr")
    assert done.exit_code == 2
    assert (
        "--stage: expected one of decode, preprocess, infer, postprocess, end_to_end, got 'infr' (did you"
        in done.stderr
    )
    assert left(here) == []


def test_a_failed_comparison_takes_back_its_own_folders_and_no_others(here, monkeypatch):
    def breaks(asked):
        (asked.folder / "b.log").write_text("last words")
        raise CellError("B: it broke")

    Rounds(breaks).in_place(monkeypatch)
    (here / "kept").mkdir()
    (here / "earlier" / "other" / "run").mkdir(parents=True)
    for results, before in (("new", []), ("kept", []), ("earlier", ["earlier/other", "earlier/other/run"])):
        done = compare("fast.fake.json", "--results", results)
        assert (done.exit_code, "B: it broke" in done.stderr) == (1, True)
        assert left(here, results) == before
    assert not (here / "new").exists()
    assert (here / "kept").exists()


def test_a_model_replaced_between_two_rounds_calls_nothing(here, monkeypatch):
    def replaced(asked):
        script(here / "slow.fake.json", latency_ms=[0.05])
        return by_ratio(1.2)(asked)

    Rounds(replaced).in_place(monkeypatch)
    done = compare("fast.fake.json", "slow.fake.json", "--json", "out.json")
    assert done.exit_code == 4
    assert "slow.fake.json changed (sha256" in done.stderr
    record = records.read(json.loads((here / "out.json").read_text()))
    assert (record.status, record.verdict, record.comparisons[0].verdict) == (
        "interrupted",
        "INCONCLUSIVE",
        "INCONCLUSIVE",
    )
    assert "nothing is called: " in record.comparisons[0].reason


# A limit is handed on to what a process starts, and not to what a server forks for it.
@pytest.mark.slow
@pytest.mark.cold
def test_a_disk_that_is_full(desk):
    """RLIMIT_FSIZE makes every larger write fail as a full disk does, without needing one."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600));"
        "from seatrial.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compare", "slow.fake.json", "--max-time", "1s", "--results", "full"],
        cwd=desk, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 5, done.stdout + done.stderr
    assert "the system gives no pipe, file or memory for its process: File too large" in done.stderr
    assert not (desk / "full").exists()


# Stored runs


@pytest.fixture
def stored(benched, tmp_path, monkeypatch):
    """Copies of the two runs, the second with its record changed: stored(edit) gives their names."""
    monkeypatch.chdir(tmp_path)

    def call(*edits):
        first, second = sorted(p.name for p in benched.iterdir())
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
        shutil.copytree(benched, tmp_path / "results" / benched.name)
        for name, edit in zip_longest((second, first), edits, fillvalue=lambda _: None):
            path = tmp_path / "results" / benched.name / name / "record.json"
            data = json.loads(path.read_text())
            well_known(data)
            edit(data)
            # As it was measured so: a cell that is not its file's is refused.
            cells = [CellRecord.model_validate(c) for c in data.get("cells", [])]
            for cell in cells:
                RunFolder(path.parent).save_cell(cell)
            if cells:
                data["cells"] = [c.model_dump(mode="json") for c in cells]
            path.write_text(json.dumps(data))
        return first, second

    return call


def well_known(data):
    """Medians known to 1 %, in stages that add up, however busy the machine was: 50 ms of real times may have neither."""
    for cell in data.get("cells", []):
        cell["measurement"]["doubt"] = ""
        for stage in cell["measurement"]["stages"].values():
            value = stage["p50"]["value"]
            stage["p50"] |= {"interval": [0.99 * value, 1.01 * value], "warnings": []}


def times(factor, cell=0):
    def edit(data):
        for stage in data["cells"][cell]["measurement"]["stages"].values():
            for metric in ("mean", "p50", "p90", "p95", "p99"):
                m = stage[metric]
                ends = [end and end * factor for end in m["interval"] or ()] or None
                m |= {"value": m["value"] * factor, "interval": ends}

    return edit


def level(data):
    """A round number in place of what was measured."""
    for stage in data["cells"][0]["measurement"]["stages"].values():
        stage["p50"]["value"] = 1e-3
    well_known(data)


@pytest.mark.parametrize(
    ("factor", "code", "verdict"),
    [(2.0, 1, "REGRESSION"), (0.5, 0, "IMPROVED"), (1.03, 3, "INCONCLUSIVE"), (1.0, 3, "INCONCLUSIVE")],
)
def test_stored_runs_are_called_only_far_above_the_noise_of_processes(stored, tmp_path, factor, code, verdict):
    first, second = stored(lambda d: (level(d), times(factor)(d)), level)
    done = compare(first, second, "--json", "out.json")
    assert done.exit_code == code, done.output
    record = records.read(json.loads((tmp_path / "out.json").read_text()))
    (c,) = record.comparisons
    assert (c.verdict, c.design, c.stage) == (verdict, "separate runs", "infer")
    assert c.change.value == pytest.approx(factor - 1)
    assert "separate processes differ by ±23 % without any change" in c.reason
    assert "the margin is 2 %" in c.reason
    assert len(list((tmp_path / "results").glob("*/*/record.json"))) == 3
    assert records.read(record.to_json()) == record


@pytest.mark.parametrize("metric", ["p90", "p95", "p99", "mean"])
def test_of_stored_runs_only_medians_are_called(stored, tmp_path, metric):
    """Nobody has measured what tails and means of separate processes differ by: ten times as much may be luck, or not."""
    first, second = stored(lambda d: (level(d), times(10.0)(d)), level)
    done = compare(first, second, "--metric", metric, "--metric", "p50", "--json", "out.json")
    assert done.exit_code == 1, done.output
    other, median = records.read(json.loads((tmp_path / "out.json").read_text())).comparisons
    assert (other.metric, other.verdict, other.noise_floor) == (metric, "INCONCLUSIVE", None)
    assert f"of medians of requests, not of {metric}, so that nothing is called: compare the models" in other.reason
    assert other.reason.startswith(f"B against A {100 * other.change.value:+.2f} %; ")
    assert other.change.interval == (None, None)
    # What cannot be judged does not count among those that are.
    assert (median.verdict, median.p_adjusted) == ("REGRESSION", median.p_value)


def served(data):
    data["cells"][0]["load"]["scenario"] = "server"


def test_of_stored_servers_the_wait_is_not_called(stored, tmp_path):
    """Near its limit a queue grows without bounds for a request that takes a tenth longer."""
    first, second = stored(
        lambda d: (level(d), times(10.0)(d), served(d)), lambda d: (level(d), served(d))
    )  # fmt: skip
    done = compare(first, second, "--stage", "end_to_end")
    assert done.exit_code == 3, done.output
    assert "not of how long requests wait in a queue, so that nothing is called" in " ".join(done.stdout.split())
    assert compare(first, second, "--stage", "infer").exit_code == 1


def test_two_plans_on_unlike_images_are_refused(here, rounds):
    rounds()
    (here / "other").mkdir()
    cv2.imwrite(str(here / "other" / "0.png"), np.full((12, 16, 3), 200, np.uint8))
    (here / "second.yaml").write_text(PLAN.replace("{path: images}", "{path: other}"))
    done = compare("trial.yaml:baseline", "second.yaml:baseline")
    assert done.exit_code == 2, done.output
    assert "expected the same images on both sides, got two plans whose images differ" in " ".join(done.stderr.split())
    shutil.copytree(here / "images", here / "copy")
    (here / "second.yaml").write_text(PLAN.replace("{path: images}", "{path: copy}"))
    assert compare("trial.yaml:baseline", "second.yaml:baseline").exit_code == 0


def test_b_is_the_latest_run_where_it_is_not_named(stored):
    """Twice: the first comparison is a run too, but none that could be compared."""
    first = stored()[0]
    for _ in range(2):
        done = compare(first)
        assert done.exit_code == 3, done.output
        assert "compare the models themselves, in lock-step" in " ".join(done.stdout.split())


def unbounded(data):
    data["cells"][0]["measurement"]["stages"]["infer"]["p50"]["interval"] = [1e-3, None]


def unserved(data):
    data["cells"][0]["load"]["unserved"] = 7


def overloaded(data):
    data["cells"][0]["load"]["overloaded"] = True


def natively(data):
    data["cells"][0]["measurement"]["backend_details"]["called"] = "by the C API of libonnxruntime.so.1.32.0"


def on_the_device(data):
    data["cells"][0]["measurement"]["io_policy"] = "inputs bound on the device once"


def doubtful(data):
    data["cells"][0]["measurement"]["doubt"] = "the stages do not add up"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            natively,
            "A was called natively and B from Python, which takes time of its own: measure both by one loop",
        ),
        (doubtful, "A's times are in doubt: the stages do not add up"),
        (on_the_device, "A's requests pay for other copies than B's: inputs bound on the device once; and "),
        (unbounded, "A's p50 of infer has no interval: it needs more samples than the"),
        (unserved, "A left 7 requests unserved, which its figures know nothing of"),
        (overloaded, "A was overloaded: its latencies say how long it ran"),
    ],
)
def test_a_stored_figure_that_is_not_known_calls_nothing(stored, edit, said):
    first, second = stored(lambda d: (level(d), times(100.0)(d)), lambda d: (level(d), edit(d)))
    done = compare(first, second)
    assert done.exit_code == 3, done.output
    assert said in " ".join(done.stdout.split())


def engine(digest):
    def edit(data):
        level(data)
        data["cells"][0]["backend_kind"] = "tensorrt"
        data["cells"][0]["measurement"]["backend_details"]["engine_digest"] = digest

    return edit


@pytest.mark.parametrize(("digest", "code"), [("sha256:1", 1), ("sha256:2", 3)])
def test_stored_engines_are_called_where_both_runs_had_the_very_same(stored, digest, code):
    done = compare(*stored(lambda d: (engine("sha256:1")(d), times(100.0)(d)), engine(digest)))
    assert done.exit_code == code, done.output
    assert ("each run has one build of an engine, and builds of one model differ" in " ".join(done.stdout.split())) == (
        code == 3
    )


def below_zero(data):
    data["cells"][0]["measurement"]["stages"]["infer"]["mean"]["interval"] = [-1e-3, 3e-3]


def test_a_stored_mean_whose_interval_reaches_below_zero_calls_nothing(stored):
    """What one request of a hundred times the usual length makes of ten block means."""
    done = compare(*stored(lambda d: times(100.0)(d), below_zero), "--metric", "mean")
    assert done.exit_code == 3, done.output
    assert "A's mean of infer has no interval" in " ".join(done.stdout.split())


def test_a_vague_stored_figure_calls_less(stored, tmp_path):
    def vague(data):
        data["cells"][0]["measurement"]["stages"]["infer"]["p50"]["interval"] = [0.4e-3, 2.5e-3]

    assert compare(*stored(lambda d: (level(d), times(1.5)(d)), level)).exit_code == 1
    first, second = stored(lambda d: (level(d), times(1.5)(d)), lambda d: (level(d), vague(d)))
    assert compare(first, second).exit_code == 3


def other_shapes(data):
    data["images"]["made_up_inputs"] = {"x": [1, 3, 640, 640]}


def a_search(data):
    point = {
        "offered_per_s": 1.0, "achieved_per_s": 1.0, "n": 1, "unserved": 0, "holds": "yes",
        **{name: {"value": 1.0, "unit": "s"} for name in ("p50", "p90", "p99", "tail")},
    }  # fmt: skip
    data["cells"][0]["load"]["curve"] = [point]


def other_options(data):
    data["cells"][0]["backend_options"] = {"streams": 2}


def another_backend(data):
    """That a plan calls 'fake'."""
    data["cells"][0]["backend_kind"] = "openvino-cpu"


def a_trace(data):
    data["cells"][0]["load"]["arrivals"] = "constant"


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (other_shapes, "were measured on unlike inputs"),
        (a_search, "a search for a rate went through rates of its own in each run; bench both at one --rate"),
        (a_trace, "no configuration was measured in both"),
        (other_options, "the other fake fp32 b1 t1 (fake:streams=2); compare"),
        (another_backend, "the other fake fp32 b1 t1 (openvino-cpu); compare"),
    ],
)
def test_stored_runs_that_measured_something_else_are_refused(stored, edit, said):
    done = compare(*stored(edit))
    assert done.exit_code == 5, done.output
    assert said in " ".join(done.stderr.split())


def renamed(name):
    def edit(data):
        (cell,) = data["cells"]
        cell["id"], cell["pipeline"] = cell["id"].replace("bench", name, 1), name

    return edit


def two_pipelines(candidate_s):
    """A trial's record: baseline at a millisecond, and a candidate in the same configuration."""

    def edit(data):
        renamed("baseline")(data)
        level(data)
        data["cells"].append(json.loads(json.dumps(data["cells"][0]).replace("baseline", "candidate")))
        for stage in data["cells"][1]["measurement"]["stages"].values():
            stage["p50"]["value"] = candidate_s

    return edit


def test_a_pipeline_is_compared_with_itself_and_not_with_its_neighbour(stored, tmp_path):
    """Both runs hold a candidate ten times as slow as the baseline: nothing has changed from one run to the other."""
    first, second = stored(two_pipelines(10e-3), two_pipelines(10e-3))
    done = compare(first, second, "--json", "out.json")
    assert done.exit_code == 3, done.output
    comparisons = json.loads((tmp_path / "out.json").read_text())["comparisons"]
    assert [c["b"].split(".")[0] for c in comparisons] == ["baseline", "candidate"]
    assert [(c["a"] == c["b"], c["change"]["value"]) for c in comparisons] == [(True, 0.0), (True, 0.0)]


def test_single_pipelines_may_have_other_names(stored):
    first, second = stored(lambda d: (renamed("new")(d), level(d)), level)
    done = compare(first, second)
    assert done.exit_code == 3, done.output
    assert "B new.fake.fp32.b1.t1" in done.stdout


def test_many_configurations_share_the_chance_of_a_false_alarm(stored, tmp_path):
    """27 % slower is 2.3 standard deviations of separate processes: something in one cell, and luck in one of eight."""

    def eight(factor):
        def edit(data):
            (cell,) = data["cells"]
            level(data)
            text = json.dumps(cell)
            data["cells"] = [json.loads(text.replace(".b1.", f".b{k}.")) for k in range(1, 9)]
            times(factor)(data)

        return edit

    first, second = stored(eight(1.27), eight(1.0))
    done = compare(first, second, "--json", "out.json")
    assert done.exit_code == 3, done.output
    c = json.loads((tmp_path / "out.json").read_text())["comparisons"][0]
    assert c["p_adjusted"] == pytest.approx(8 * c["p_value"])
    assert c["p_value"] < 0.05 < c["p_adjusted"]
    assert "among 8 comparisons such a difference is luck too often" in c["reason"]
    first, second = stored(lambda d: (level(d), times(1.27)(d)), level)
    assert compare(first, second).exit_code == 1


def other_machine(data):
    data["environment"] |= {"fingerprint": "0" * 12, "cpu": "Another CPU", "cores": 64}
    data["environment"]["packages"]["onnxruntime"] = "9.9.9"


@pytest.mark.parametrize(
    ("edit", "words", "code", "said"),
    [
        (other_machine, [], 5, ["were measured on unlike machines: they differ in cpu (", "and Another CPU), cores (",
                                "onnxruntime (", "and 9.9.9); compare the models themselves here: seatrial compare A.onnx"]),
        (lambda d: d["environment"].update(fingerprint="0" * 12), [], 5, ["they differ in what is not recorded"]),
        (lambda d: d["environment"].pop("fingerprint"), [], 5, ["does not say on which machine it was measured"]),
        (lambda d: d["cells"][0].update(id="bench.fake.fp32.b2.t1"), [], 5,
         ["no configuration was measured in both: one has fake fp32 b1 t1, the other fake fp32 b2 t1; compare the models"]),
        (lambda d: d["cells"][0].update(status="failed"), [], 5,
         ["is without a cell that ran; expected a run of 'seatrial run' or 'seatrial bench'"]),
        (lambda d: d.update(kind="compare", cells=[], rules=""), [], 5, ["is a comparison, which has no cells of its own"]),
        (lambda d: d.update(schema="seatrial.record/9"), [], 5, ["expected schema seatrial.record/2 or older, got"]),
        (lambda d: d.pop("cells"), [], 5, ["the record is damaged at cells"]),
        (times(0), [], 5, ["bench.fake.fp32.b1.t1: expected a p50 of infer above zero in both runs, got ", " and 0 s; a rec"]),
        (lambda d: d.update(models={}), [], 5, ["does not say which model was measured; run it again"]),
        (times(-1), [], 5, ["above zero in both runs"]),
        (lambda d: d["cells"][0].update(measurement=None), [], 5, ["is without a cell that ran"]),
        (lambda d: (d["environment"].update(fingerprint="x"), d["environment"].pop("packages")), [], 5,
         ["on unlike machines: they differ in numpy"]),
        (lambda d: d["environment"].update(packages=None), [], 5, ["the record is damaged at environment.packages"]),
        (level, ["--stage", "decode"], 2, ["--stage: expected one of infer, end_to_end, which were measured in both, got"]),
        (level, ["--margin", "0"], 2, ["--margin: expected a share above 0"]),
        (level, ["--backend-b", "fake"], 2, ["--backend-b: a stored run is measured already; compare models or plans"]),
        (level, ["--python-a", "x"], 2, ["--python-a: a stored run is measured already"]),
        (level, ["--batch", "2"], 2, ["--batch: a stored run is measured already"]),
    ],
)  # fmt: skip
def test_stored_runs_that_cannot_be_compared(stored, tmp_path, edit, words, code, said):
    first, second = stored(edit)
    before = left(tmp_path)
    done = compare(first, second, *words)
    assert done.exit_code == code, done.output
    for part in said:
        assert part in done.stderr, done.stderr
    assert left(tmp_path) == before, "nothing is left in results"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["latest", "latest"], 2, "expected two runs, got "),
        (["latest"], 2, "twice; name another one, 'seatrial results' lists them"),
        (["latest", "1999"], 5, "no run matches '1999' in results; expected a run's folder, 'latest', or one of "),
        (["20", "latest"], 5, "several runs match '20'"),
    ],
)
def test_runs_that_cannot_be_told(stored, tmp_path, words, code, said):
    stored()
    before = left(tmp_path)
    done = compare(*words)
    assert (done.exit_code, said in done.stderr) == (code, True), done.output
    assert left(tmp_path) == before


def test_an_interrupted_run_cannot_be_compared(stored, tmp_path):
    first, second = stored()
    run = RunFolder(tmp_path / "results" / machine_name() / second)
    (run.path / "record.json").unlink()
    done = compare(first, second)
    assert (done.exit_code, "this run is not complete; a bench that was killed" in done.stderr) == (5, True), (
        done.output
    )


def test_words_in_brackets_are_not_markup(here, rounds):
    rounds(1.2)
    name = "[red]x[bold].fake.json"
    (here / "fast.fake.json").rename(here / name)
    done = compare(name, "slow.fake.json")
    assert done.exit_code == 1, done.output
    assert f"A {name} on fake" in done.stdout


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [("", "", ("",)), ("x", "x", ("x",)), ("x", "y", ("A: x", "B: y")), ("", "y", ("B: y",))],
)
def test_which_shapes_were_taken_is_said_of_each_side_where_they_differ(a, b, said):
    from seatrial.cli.compare import _taken

    assert _taken(a, b) == said
