"""What can be compared: models, pipelines, other interpreters; and what is refused before a process is started."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from records import MODEL
from workloads import model_workload

import seatrial
from seatrial.cells.preflight import preflight
from seatrial.compare import lockstep
from seatrial.compare import sides as sides_module
from seatrial.compare.interpreters import OWN_VERSION, Interpreter, inspect_interpreter, lent_environment
from seatrial.compare.lockstep import RoundSize, run_round
from seatrial.compare.sides import Subject, called_alike, distinct_labels, model_side, model_subject, pipeline_subject
from seatrial.compare.turner import Side
from seatrial.errors import BackendUnavailableError, CellError, ModelError, PlanError, UsageError
from seatrial.history.records import ModelSection
from seatrial.history.run_folder import new_run
from seatrial.machine.environment import usable_cores

PACKAGES = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture(scope="module")
def relu(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "relu.onnx"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, "h", 8]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def new_environment(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """An environment with nothing in it."""
    folder = tmp_path_factory.mktemp("environments") / "bare"
    new_environment(folder)
    return folder


@pytest.fixture(scope="module")
def lean(tmp_path_factory):
    """An environment with NumPy and ONNX Runtime, and nothing else: what an old project has."""
    folder = tmp_path_factory.mktemp("environments") / "lean"
    packages = new_environment(folder)
    for pattern in ("numpy", "numpy.libs", "numpy-*", "onnxruntime", "onnxruntime-*"):
        for found in PACKAGES.glob(pattern):
            (packages / found.name).symlink_to(found)
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """An environment that sees all that is installed here, seatrial too."""
    folder = tmp_path_factory.mktemp("environments") / "full"
    packages = new_environment(folder)
    (packages / "shared.pth").write_text(f"{PACKAGES}\n{Path(seatrial.__file__).parents[1]}\n")
    return folder


@pytest.fixture
def own_path(monkeypatch):
    """Other interpreters must not find seatrial through the variable with which these tests may be run."""
    monkeypatch.delenv("PYTHONPATH", raising=False)


@pytest.fixture
def ready(workspace):
    return lambda **parts: preflight(workspace.load(**parts), False, lambda _: None)


def test_more_streams_than_cores_are_refused_before_anything_opens(ready):
    cores = len(usable_cores())
    with pytest.raises(
        PlanError, match=f"matrix.backends, openvino-cpu, option streams: expected at most {cores}, the cores"
    ):
        ready(matrix="{backends: [{backend: openvino-cpu, options: {streams: 100000}}]}")


# A model alone


def test_a_model_on_made_up_inputs(relu):
    side = model_side(relu, batch=2, threads=1, shapes={"x": (2, 3, 16, 8)}, seed=9, native=False)
    assert side.python == sys.executable
    assert side.environment == {}
    assert side.work.model == str(relu)
    assert side.work.input_shapes == {"x": (2, 3, 16, 8)}
    assert side.work.named_sizes == {"n": 2, "h": 16}
    assert (side.work.backend, side.work.seed, side.work.native) == ("onnxruntime-cpu", 9, False)


def test_a_script_runs_on_the_fake_backend_whatever_is_asked_for(workspace):
    subject = model_subject(workspace.folder / "model.fake.json", backend="openvino-cpu")
    assert (subject.label, subject.side.work.backend) == ("model.fake.json on fake", "fake")
    assert subject.model.digest.startswith("sha256:")
    assert subject.model.inputs == ("x float32[batch, 3, 8, 8]",)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"python": "/none"}, BackendUnavailableError, "'/none' cannot be run (No such file or directory); expected a"),
        ({"threads": 10_000}, UsageError, f"threads: expected at most {len(usable_cores())}, the cores"),
        (
            {"backend": "openvino-cpu:streams=100000"},
            UsageError,
            f"openvino-cpu, option streams: expected at most {len(usable_cores())}, the cores",
        ),
        ({"backend": "onnxruntime"}, UsageError, "got 'onnxruntime' (did you mean 'onnxruntime-cpu'?)"),
        ({"backend": "nonsense"}, UsageError, "backend: expected one of onnxruntime-cpu, "),
        ({"backend": "nonsense", "python": sys.executable}, UsageError, "backend: expected one of onnxruntime-cpu, "),
        (
            {"backend": "tensorrt"},
            BackendUnavailableError,
            "the package tensorrt is not installed; python -m pip install",
        ),
        (
            {"shapes": {}},
            ModelError,
            "has dimensions that are not fixed, and no metadata gives a size; give shape x=1x3x640x8",
        ),
        ({"shapes": {"y": (1,)}}, UsageError, "no input called 'y'; inputs are x"),
        ({"shapes": {"x": (1, 4, 8, 8)}}, UsageError, "x float32[n, 3, h, 8] cannot take 1x4x8x8"),
        ({"shapes": {"x": (3, 3, 8, 8)}, "batch": 2}, UsageError, "batch 2 and shape x=3x3x8x8 disagree"),
    ],
)
def test_a_model_that_cannot_be_run_as_asked(relu, options, error, said):
    with pytest.raises(error) as caught:
        model_side(relu, **{"shapes": {"x": (1, 3, 8, 8)}, **options})
    assert said in str(caught.value)


# A pipeline of a plan


def test_a_pipeline_in_the_first_configuration_of_its_matrix(ready, tmp_path, monkeypatch):
    monkeypatch.setattr(sides_module, "has_native_loop", lambda *_: True)
    plan = ready(matrix="{backends: [fake], batch_sizes: [2, 1], threads: [1]}")
    subject = pipeline_subject(plan, new_run(tmp_path / "results", "here"), "candidate")
    assert subject.label == "candidate (fake fp32 b2 t1)"
    assert subject.side.work.batch == 2
    other = pipeline_subject(plan, new_run(tmp_path / "results", "here"), "candidate", batch=3, native=False)
    assert other.label == "candidate (fake fp32 b3 t1)"
    assert (other.side.work.native, subject.side.work.native) == (False, True)


@pytest.mark.parametrize(
    ("name", "options", "error", "said"),
    [
        ("candidat", {}, PlanError, "'candidat' (did you mean 'candidate'?); expected one of baseline, candidate"),
        ("zzz", {}, PlanError, "trial.yaml: no pipeline is called 'zzz'; expected one of baseline, candidate"),
        ("baseline", {"backend": "fak"}, UsageError, "got 'fak' (did you mean 'fake'?)"),
        ("baseline", {"threads": 10_000}, UsageError, "threads: expected at most"),
        ("baseline", {"python": ""}, BackendUnavailableError, "'' cannot be run"),
        ("baseline", {"backend": "onnxruntime-cuda"}, BackendUnavailableError, "CUDAExecutionProvider"),
    ],
)
def test_a_pipeline_that_is_not_there_or_cannot_run(ready, tmp_path, name, options, error, said):
    with pytest.raises(error) as caught:
        pipeline_subject(ready(), new_run(tmp_path / "results", "here"), name, **options)
    assert said in str(caught.value)


def test_a_precision_that_cannot_be_made_is_told(ready, tmp_path):
    with pytest.raises(CellError, match=r"^baseline: its int8 model could not be made: "):
        pipeline_subject(
            ready(matrix="{backends: [fake], precisions: [int8]}"), new_run(tmp_path / "results", "here"), "baseline"
        )


# Another interpreter


def test_an_interpreter_says_what_it_has(bare, lean, own_path):
    other = inspect_interpreter(str(bare))
    assert other.path == str(bare / "bin" / "python")
    assert (other.version, other.tag) == (".".join(map(str, sys.version_info[:3])), sys.implementation.cache_tag)
    assert other.found == {"seatrial": False, "numpy": False, "onnxruntime": False, "openvino": False}
    richer = inspect_interpreter(str(lean / "bin" / "python"))
    assert richer.found == {"seatrial": False, "numpy": True, "onnxruntime": True, "openvino": False}
    assert richer.versions["numpy"] is not None


def test_a_folder_in_the_working_folder_or_a_name_in_the_path(bare, monkeypatch):
    monkeypatch.chdir(bare / "bin")
    # './python' is this file, not whatever PATH calls python.
    assert inspect_interpreter("./python").path == str(bare / "bin" / "python")
    monkeypatch.chdir(bare.parent)
    assert inspect_interpreter("bare").path == str(bare / "bin" / "python")
    monkeypatch.chdir("/")
    monkeypatch.setenv("PATH", str(bare / "bin"), prepend=os.pathsep)
    assert inspect_interpreter("python3").path == "python3"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (
            None,
            0,
            "cannot be run (No such file or directory); expected a Python interpreter or a virtual environment's",
        ),
        ("hello", 0o644, "cannot be run (Permission denied)"),
        ("hello", 0o755, "cannot be run (Exec format error)"),
        ("#!/bin/sh\nexit 0\n", 0o755, "did not answer like a Python 3.11 or newer; expected an interpreter"),
        ("#!/bin/sh\necho Unknown option: -P >&2\nexit 2\n", 0o755, "did not answer like a Python 3.11 or newer"),
        ("#!/bin/sh\necho 5\n", 0o755, "did not answer like a Python 3.11 or newer"),
        ("#!/bin/sh\necho '{}'\n", 0o755, "did not answer like a Python 3.11 or newer"),
    ],
)
def test_what_is_no_interpreter(tmp_path, content, mode, said):
    path = tmp_path / "python"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(BackendUnavailableError) as caught:
        inspect_interpreter(str(path))
    assert str(caught.value).startswith(f"{str(path)!r} {said}")


def test_a_folder_without_an_interpreter(tmp_path):
    with pytest.raises(BackendUnavailableError, match="cannot be run"):
        inspect_interpreter(str(tmp_path))


def an_interpreter(found=(), seatrial_version=None, tag=sys.implementation.cache_tag):
    names = ("seatrial", "numpy", "onnxruntime", "openvino")
    return Interpreter("/x/python", "3.12.1", tag, {"seatrial": seatrial_version}, {n: n in found for n in names})


@pytest.mark.parametrize(
    ("other", "backend", "whole", "said"),
    [
        (an_interpreter(), "onnxruntime-cpu", False, "has no numpy and no onnxruntime; install what is missing there: "),
        (an_interpreter(["numpy"]), "onnxruntime-cuda", False, "/x/python -m pip install onnxruntime"),
        (an_interpreter(["numpy", "onnxruntime"]), "openvino-cpu", True, "/x/python: has no openvino"),
        (
            an_interpreter(["numpy"], tag="cpython-399"), "fake", False,
            f"has no seatrial {OWN_VERSION}, and this one's ({sys.implementation.cache_tag}) cannot be lent; install it",
        ),
        (
            an_interpreter(["numpy"]), "fake", True,
            f"Python 3.12.1 has no seatrial {OWN_VERSION}, and a pipeline needs it with its packages; "
            "install it there: /x/python -m pip install seatrial",
        ),
        (an_interpreter(["numpy", "seatrial"], "0.0.1"), "fake", True, f"has no seatrial {OWN_VERSION}"),
    ],
)  # fmt: skip
def test_an_interpreter_that_lacks_what_a_side_needs(other, backend, whole, said):
    with pytest.raises(BackendUnavailableError) as caught:
        lent_environment(other, backend, whole)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("other", "whole", "lent"),
    [
        # Its own would be other loops: a difference that is not the runtime's.
        (an_interpreter(["numpy", "seatrial"], OWN_VERSION), False, True),
        (an_interpreter(["numpy"]), False, True),
        (an_interpreter(["numpy", "seatrial"], "0.0.1"), False, True),
        # Metadata without the package: an editable install in a site-packages that is only pointed at.
        (an_interpreter(["numpy"], OWN_VERSION), False, True),
        # What cannot be lent: to a pipeline, or to another version of Python.
        (an_interpreter(["numpy", "seatrial"], OWN_VERSION), True, False),
        (an_interpreter(["numpy", "seatrial"], OWN_VERSION, "cpython-399"), False, False),
    ],
)
def test_seatrial_is_lent_and_none_of_our_packages_with_it(monkeypatch, other, whole, lent):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    given = lent_environment(other, "fake", whole)
    assert list(given) == ["PYTHONPATH"]
    if not lent:
        assert given["PYTHONPATH"] == ""
        return
    folder = given["PYTHONPATH"]
    assert [p.name for p in Path(folder).iterdir()] == ["seatrial"], "and none of the packages beside it"
    assert (Path(folder) / "seatrial" / "compare" / "turns.py").is_file()


def a_subject(path, label="m.onnx on fake"):
    return Subject(label, Side("m", {}), ModelSection.model_validate(MODEL | {"path": path}))


@pytest.mark.parametrize(
    ("a", "b", "labels"),
    [
        ("/x/old/m.onnx", "/x/new/m.onnx", ("old/m.onnx: m.onnx on fake", "new/m.onnx: m.onnx on fake")),
        ("/x/1/v/m.onnx", "/x/2/v/m.onnx", ("1/v/m.onnx: m.onnx on fake", "2/v/m.onnx: m.onnx on fake")),
        ("/m.onnx", "/x/m.onnx", ("/m.onnx: m.onnx on fake", "x/m.onnx: m.onnx on fake")),
        ("/x/m.onnx", "/x/m.onnx", ("m.onnx on fake",) * 2),
    ],
)
def test_files_of_one_name_are_told_apart(a, b, labels):
    assert tuple(s.label for s in distinct_labels(a_subject(a), a_subject(b))) == labels


def test_sides_are_called_alike(workspace):
    model = workspace.folder / "model.fake.json"
    native, python = (Side(n, model_workload(model, native=n == "a")) for n in "ab")
    assert called_alike(native, native) == (native, native, None)
    assert called_alike(python, python) == (python, python, None)
    for sides, without in (((native, python), "B"), ((python, native), "A")):
        a, b, said = called_alike(*sides)
        assert not any(s.work.native for s in (a, b))
        assert said.text.startswith(f"both sides are called from Python: {without} has no native loop")


def in_one_round(relu, environment, tmp_path, monkeypatch, **options):
    monkeypatch.setattr(lockstep, "WARM_UP_S", 0.02)
    side = model_side(relu, python=str(environment), shapes={"x": (1, 3, 8, 8)}, **options)
    return run_round([Side("b", side.work, side.python, side.environment)], tmp_path / "round", 0, RoundSize(blocks=4))


def test_a_model_runs_in_an_environment_that_has_everything(relu, full, tmp_path, monkeypatch, own_path):
    found = in_one_round(relu, full, tmp_path, monkeypatch)
    assert found.blocks_ns["b"].shape == (4, found.burst, 2)
    assert (found.blocks_ns["b"] > 0).all()


@pytest.mark.parametrize("native", [True, False])
def test_a_model_needs_numpy_and_its_runtime_only(relu, lean, tmp_path, monkeypatch, own_path, native):
    found = in_one_round(relu, lean, tmp_path, monkeypatch, native=native)
    assert found.blocks_ns["b"].shape == (4, found.burst, 2)


def test_a_label_names_the_interpreter(relu, full, own_path):
    shapes = {"x": (1, 3, 8, 8)}
    assert model_subject(relu, shapes=shapes).label == "relu.onnx on onnxruntime-cpu"
    there = model_subject(relu, shapes=shapes, python=str(full))
    assert there.label == f"relu.onnx on onnxruntime-cpu by {full}/bin/python"


def test_a_pipeline_in_another_environment(ready, full, lean, tmp_path, monkeypatch, own_path):
    monkeypatch.setattr(lockstep, "WARM_UP_S", 0.02)
    run = new_run(tmp_path / "results", "here")
    subject = pipeline_subject(ready(), run, "baseline", python=str(full))
    assert subject.label == f"baseline (fake fp32 b1 t1) by {full}/bin/python"
    found = run_round([subject.side], tmp_path / "round", 0, RoundSize(blocks=2))
    assert found.stages == ["decode", "preprocess", "infer", "postprocess"]
    with pytest.raises(BackendUnavailableError, match="a pipeline needs it with its packages"):
        pipeline_subject(ready(), run, "baseline", python=str(lean))
