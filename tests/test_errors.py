"""What an error says to who calls from Python and on the command line, and that nobody else's text can pass for an option."""

import ast
import json
import pickle
import re
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

import seatrial
from seatrial import errors
from seatrial.cells.checks import check_name, check_threads
from seatrial.compare.question import Question
from seatrial.errors import (
    BrokenProcessError,
    CellError,
    DataError,
    ExitCode,
    Failure,
    ModelError,
    PlanError,
    SeatrialError,
    UsageError,
    error_of,
    flag,
    option,
    printable,
)
from seatrial.history.files import why_not_written
from seatrial.kernels.preprocess import Preprocess
from seatrial.pipeline.user_code import load_user_function

PACKAGE = Path(seatrial.__file__).parent
SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] != "cli")

BOTH = [
    (UsageError("expected two"), "expected two", "expected two"),
    (UsageError("expected two", option="max_time"), "max_time: expected two", "--max-time: expected two"),
    (
        UsageError("no request was done", option="max_time", value="1 s"),
        "max_time 1 s: no request was done",
        "--max-time 1 s: no request was done",
    ),
    (
        CellError(f"cut short; raise {option('max_time')} or {option('rate')}", subject="a.onnx"),
        "a.onnx: cut short; raise max_time or rate",
        "a.onnx: cut short; raise --max-time or --rate",
    ),
    (PlanError("expected two", key="pipelines.a.preprocess.size"),)
    + ("pipelines.a.preprocess.size: expected two",) * 2,
    (
        ModelError("does not fit", subject="m.onnx", option="mix", value="x=1x3"),
        "m.onnx: mix x=1x3: does not fit",
        "m.onnx: --mix x=1x3: does not fit",
    ),
    (
        DataError(f"first: {UsageError('no', option='allow_code').raw}"),
        "first: allow_code: no",
        "first: --allow-code: no",
    ),
]


@pytest.mark.parametrize(("error", "python", "command_line"), BOTH)
def test_an_error_has_a_text_for_python_and_one_for_the_command_line(error, python, command_line):
    assert (str(error), error.for_command_line()) == (python, command_line)
    assert repr(error) == f"{type(error).__name__}({python!r})"


@pytest.mark.parametrize("error", [row[0] for row in BOTH])
def test_an_error_goes_to_another_process_and_says_the_same_there(error, monkeypatch):
    sent = [json.dumps(asdict(Failure.of(error))), TypeAdapter(Failure).dump_json(Failure.of(error)).decode()]
    here = error.for_command_line(), str(error), error.exit_code
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.for_command_line(), str(copy), copy.option) == (*here[:2], error.option)
    monkeypatch.setattr(errors, "MARK", "another process's")
    for failure in (Failure(**json.loads(sent[0])), TypeAdapter(Failure).validate_json(sent[1])):
        there = error_of(failure)
        assert (there.for_command_line(), str(there), there.exit_code) == here
        assert failure.reason == here[0]
        assert (there.option, there.value, there.key, there.subject) == (
            error.option, error.value, error.key, error.subject,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("failure", "kind", "text"),
    [
        (Failure.of_text("no", ExitCode.USAGE), UsageError, "A: no"),
        (Failure.of_text("no"), CellError, "A: no"),
        (Failure.of(ModelError("no", subject="m.onnx")), ModelError, "A: m.onnx: no"),
        (Failure.of(UsageError("no", option="mix")), UsageError, "A: mix: no"),
        (Failure.of_text("stopped", ExitCode.INTERRUPTED), CellError, "A: stopped"),
    ],
)
def test_an_error_of_another_process_says_whose_it_was(failure, kind, text):
    error = error_of(failure, "A")
    assert (type(error), str(error)) == (kind, text)
    assert Failure.of_text("stopped", ExitCode.INTERRUPTED).exit_code == 130


def test_a_process_that_broke_does_not_say_what_1_says_of_two_sides():
    assert error_of(Failure.of_text("no"), "A", BrokenProcessError).exit_code == ExitCode.INTERNAL
    assert error_of(Failure.of(ModelError("no")), "A", BrokenProcessError).exit_code == ExitCode.BAD_INPUT


SEPARATOR = "\N{INVISIBLE SEPARATOR}"
PIECES = st.sampled_from([SEPARATOR, "0123456789abcdef", "max_time", "--", ": ", "/", "\0", "\ue000", "\udc80"])


@given(st.lists(PIECES | st.text()).map("".join))
@example(f"{SEPARATOR}max_time{SEPARATOR}")
@example(f"{SEPARATOR}0123456789abcdef{SEPARATOR}max_time{SEPARATOR}0123456789abcdef{SEPARATOR}")
def test_no_name_of_a_file_can_pass_for_an_option(name):
    head = f"{name}: " if name else ""
    for error in (DataError("cannot be read", subject=name), DataError(f"{head}cannot be read")):
        assert str(error) == error.for_command_line() == f"{head}cannot be read"
    asked = DataError("cannot be read", option="image", value=name).for_command_line()
    assert asked == (f"--image {name}: cannot be read" if name else "--image: cannot be read")


def test_the_mark_shows_where_it_was_forgotten():
    """A text with an option that goes past both renderings is seen to be wrong."""
    assert "\\u2063" in printable(option("max_time"))
    assert flag("max_time") == "--max-time"


def _constants(path):
    """Texts of a file without its docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    docs = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
    return [
        n.value
        for n in ast.walk(tree)
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in docs
    ]


# Of other people's commands.
THEIRS = (
    "numactl --cpunodebind=0 --membind=0", "--query-gpu=", "--format=csv", "nvidia-smi --", "--gpus all", "pip install ",
)  # fmt: skip


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_command_lines_words_stand_in_its_own_room_alone(path):
    said = [t for t in _constants(path) if re.search(r"--[a-z]", t) and not any(word in t for word in THEIRS)]
    assert not said


def _raised(function, *given, **options):
    with pytest.raises((SeatrialError, ValueError)) as caught:
        function(*given, **options)
    return caught.value


def test_errors_carry_what_they_are_about():
    assert _raised(check_threads, 10_000).option == "threads"
    assert _raised(check_name, "nonsense").option == "backend"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("onnxruntime-cpu:intra_op_threads=2", "threads stand under matrix.threads"),
        ("onnxruntime-tensorrt:trt_fp16_enable=true", "precision belongs to the model"),
        ("onnxruntime-cpu:fp16=true", "precision belongs to the model"),
        ("onnxruntime-cpu:execution_mode=parallel", "parallel needs inter_op_threads of 2 or more"),
        ("onnxruntime-cuda:cuda_graph=true", "set device_io too"),
        ("onnxruntime-cpu:hint=latency", "(openvino-cpu has)"),
        ("fake:hint=latency", "fake has no option 'hint'"),
    ],
)
def test_an_option_on_a_command_line_is_told_what_a_plans_is(text, said):
    from seatrial.runtimes.choice import read_choice
    from seatrial.runtimes.options import option_problems, settings_of

    found = _raised(check_name, text)
    assert found.option == "backend"
    assert said in str(found)
    choice = read_choice(text, settings_of(text.partition(":")[0]))
    assert all(why in str(found) for why in list(option_problems(choice.backend, choice.options).values())[:1])
    assert _raised(Question(metrics=("p42",)).check).option == "metric"
    assert _raised(Question(margin=2).check).option == "margin"
    refused = _raised(load_user_function, "a:b", Path("plans"), "pipelines.a.preprocess", False)
    assert (refused.key, str(refused).endswith("then give allow_code")) == ("pipelines.a.preprocess", True)
    assert refused.for_command_line().endswith("then give --allow-code")
    assert _raised(Preprocess, size=(0, 1)).argument == "size"
    assert option("results") in why_not_written(OSError(28, "No space left on device"))
