import pytest

from seatrial.runtimes.choice import BackendChoice, named_in, read_choice
from seatrial.runtimes.names import OWN, is_label, problem_of
from seatrial.runtimes.options import option_problems, settings_of
from seatrial.runtimes.settings import Setting, problems_of

WORD = Setting("hint", str, "", ("latency", "throughput"))
COUNT = Setting("streams", int, "", least=1, words=("auto",))
SHARE = Setting("share", float, "", least=0)
SWITCH = Setting("arena", bool, "")
ALL = (WORD, COUNT, SHARE, SWITCH)


@pytest.mark.parametrize(
    ("setting", "value", "taken"),
    [
        (WORD, "latency", True),
        (WORD, "Latency", False),
        (WORD, 1, False),
        (WORD, True, False),
        (COUNT, 1, True),
        (COUNT, 0, False),
        (COUNT, 2.0, False),
        (COUNT, "auto", True),
        (COUNT, "1", False),
        (COUNT, True, False),
        (SHARE, 0.5, True),
        (SHARE, 1, True),
        (SHARE, -0.1, False),
        (SHARE, float("nan"), False),
        (SHARE, False, False),
        (SWITCH, False, True),
        (SWITCH, 0, False),
        (SWITCH, "true", False),
        (Setting("path", str, ""), "anything", True),
    ],
)
def test_what_a_setting_takes(setting, value, taken):
    assert setting.takes(value) is taken
    assert (problems_of("b", (setting,), {setting.name: value}) == {}) is taken


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hnt": "latency"}, "b has no option 'hnt' (did you mean 'hint'?); it takes hint, streams, share, arena"),
        ({"hint": "fast"}, "expected one of latency, throughput, got 'fast'"),
        ({"streams": 0}, "expected a whole number from 1 on or auto, got 0"),
        ({"share": "x"}, "expected a number from 0 on, got 'x'"),
        ({"arena": "yes"}, "expected true or false, got 'yes'"),
        ({"streams": True}, "expected a whole number from 1 on or auto, got true"),
    ],
)
def test_what_is_wrong_with_an_option(options, said):
    assert list(problems_of("b", ALL, options).values()) == [said]


def test_of_a_backend_without_options_none_fits():
    assert problems_of("fake", settings_of("fake"), {"x": 1}) == {"x": "fake has no option 'x'; it takes none"}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("b", {}),
        ("b:hint=latency", {"hint": "latency"}),
        ("b:streams=2, arena=false ,share=1", {"streams": 2, "arena": False, "share": 1.0}),
        ("b:streams=auto", {"streams": "auto"}),
        ("b:streams=0", {"streams": "0"}),  # left as text: who checks choices says what is wrong with it
        ("b:other=1", {"other": "1"}),
    ],
)
def test_a_choice_on_the_command_line(text, options):
    assert named_in(text) == "b"
    assert read_choice(text, ALL) == BackendChoice("b", options=options)


@pytest.mark.parametrize("text", ["b:", "b:hint", "b:=1", "b:hint=", "b:arena=true,arena=false", "b:,"])
def test_what_is_no_choice(text):
    with pytest.raises(ValueError, match="expected NAME or NAME:KEY=VALUE"):
        read_choice(text, ALL)


def test_a_choice_in_words_is_what_a_command_takes():
    choice = BackendChoice("b", "mine", {"hint": "latency", "arena": False, "streams": 2})
    assert choice.label == "mine"
    assert choice.words() == "b:hint=latency,arena=false,streams=2"
    assert read_choice(choice.words(), ALL) == BackendChoice("b", options=choice.options)


def test_every_setting_of_our_own_is_explained_and_named_once():
    for name in OWN:
        names = [s.name for s in settings_of(name)]
        assert len(set(names)) == len(names)
        assert all(s.help and s.expected() for s in settings_of(name))


def test_a_name_that_nothing_has():
    assert problem_of("openvino") == f"expected one of {', '.join(OWN)}, got 'openvino' (did you mean 'openvino-cpu'?)"
    assert problem_of("fake") == ""


@pytest.mark.parametrize(("text", "fits"), [("ov-1", True), ("ov_x", True), ("a.b", False), ("", False), ("-a", False), ("a/b", False)])  # fmt: skip
def test_what_may_stand_in_a_cells_id(text, fits):
    assert is_label(text) is fits


@pytest.mark.parametrize(
    ("backend", "options", "said"),
    [
        ("onnxruntime-cuda", {"device_io": True, "cuda_graph": True}, {}),
        ("onnxruntime-cuda", {"cuda_graph": True}, {"cuda_graph": "set device_io too"}),
        ("onnxruntime-cpu", {"inter_op_threads": 2}, {"inter_op_threads": "counts only with execution_mode: parallel"}),
        ("onnxruntime-cpu", {"threads": 2}, {"threads": "threads stand under matrix.threads, for every backend"}),
        ("openvino-cpu", {"arena": True}, {"arena": "openvino-cpu has no option 'arena' (onnxruntime-cpu has)"}),
        ("tensorrt-rtx", {"builder_level": 3}, {"builder_level": "(onnxruntime-tensorrt has)"}),
        ("tensorrt", {"builder_level": 6}, {"builder_level": "expected a whole number from 0 to 5, got 6"}),
    ],
)
def test_options_of_our_own(backend, options, said):
    found = option_problems(backend, options)
    assert found.keys() == said.keys()
    for name, words in said.items():
        assert words in found[name]
