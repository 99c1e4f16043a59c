"""YAML to plain values with their lines: nothing in a plan builds an object, and a mistake is told with its line."""

import os
import re

import pytest
import yaml

from seatrial.errors import PlanError
from seatrial.plan import source
from seatrial.plan.source import dotted, read_yaml


def read(tmp_path, text):
    path = tmp_path / "trial.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: 1", "a: [1, two, 3.5, true, null, ~, '']", "a: {b: {c: [1, {d: -2}]}}", "- 1\n- 2", "just text", "5",
        "a: 0x1F\nb: +7\nc: 1e3\nd: 1.5e-3\ne: .5\ng: 1_000", "a: \"1\"\nb: '2'", "a: |\n  x\n  y\nb: >\n  x\n  y\n",
        "a: &x [1, 2]\nb: *x", "grün ✓: ä", "a:\nb:", "# only\na: 1 # behind", "a: yes\nb: No\nc: on\nd: OFF", "---\na: 1\n",
        "\ufeffa: 1",
    ],
)  # fmt: skip
def test_plain_values_are_what_pyyaml_makes_of_them(tmp_path, text):
    """Where keys are texts that need no guess."""
    assert read(tmp_path, text).data == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # What YAML 1.1 makes of these would surprise whoever wrote it.
        ("1:30", "1:30"), ("010", "010"), ("2026-01-02", "2026-01-02"), ("0b101", 5), ("1.2.3", "1.2.3"), ("=", "="), ("1e3", "1e3"),
        # No key of a plan is infinite.
        (".inf", ".inf"), ("-.inf", "-.inf"), (".nan", ".nan"),
    ],
)  # fmt: skip
def test_words_that_yaml_takes_for_numbers_stay_words(tmp_path, text, value):
    assert read(tmp_path, f"a: {text}").data == {"a": value}


def test_keys_are_words_whatever_they_look_like(tmp_path):
    assert read(tmp_path, "{1: a, yes: b, null: c}").data == {"1": "a", "yes": "b", "null": "c"}


LINES = "version: 1\npipelines:\n  a:\n    model: m\n    outputs:\n      - x\n      - y\n"


@pytest.mark.parametrize(
    ("at", "where"),
    [
        ((), "trial.yaml:1"),
        (("version",), "trial.yaml:1: version"),
        (("pipelines", "a", "model"), "trial.yaml:4: pipelines.a.model"),
        (("pipelines", "a", "outputs", 1), "trial.yaml:7: pipelines.a.outputs[1]"),
        # Of what is not there, the line of what should hold it.
        (("pipelines", "a", "missing", "deep"), "trial.yaml:3: pipelines.a.missing.deep"),
        (("missing",), "trial.yaml:1: missing"),
    ],
)
def test_the_line_of_a_key(tmp_path, at, where):
    assert read(tmp_path, LINES).where(at) == str(tmp_path / where)


@pytest.mark.parametrize(
    ("at", "text"), [((), ""), (("a",), "a"), (("a", 0, "b"), "a[0].b"), ((0,), "[0]"), ((0, 1), "[0][1]")]
)
def test_a_key_as_text(at, text):
    assert dotted(at) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ": the plan is empty"),
        ("# nothing\n", ": the plan is empty"),
        ("a: 1\nb: 2\na: 3", ":3: a: duplicate key, first given on line 1; keep one"),
        ("x:\n  - {a: 1, a: 2}", ":2: x[0].a: duplicate key, first given on line 2"),
        ("a: 1\n? [x, y]\n: 2", ":2: expected a plain word as key"),
        ("a: [1", ":1: not valid YAML: expected ',' or ']'"),
        ("a:\n\t- 1", ":2: not valid YAML"),
        ("a: 1\n---\nb: 2", "not valid YAML: but found another document"),
        ("a: *x", "not valid YAML: found undefined alias"),
        ("a: \x00", "not valid YAML: unacceptable character"),
        ("a: !!python/object/apply:os.system [echo]", ":1: the tag 'python/object/apply:os.system' is not allowed"),
        ("a: !!python/name:os.system", "is not allowed in a plan"),
        ("a: !mine 1", "the tag '!mine' is not allowed"),
        ("a: !!binary aGk=", "the tag 'binary' is not allowed"),
        ("a: &x [*x]", "aliases expand to too many values"),
        ("a: &x\n  b: *x", "aliases expand to too many values"),
        ("[" * 1500, "not valid YAML"),
        (b"a: \xff", ": expected UTF-8 text, got byte 0xff at 3"),
    ],
)
def test_what_is_no_plan(tmp_path, text, said):
    with pytest.raises(PlanError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/trial.yaml")
    assert "\n" not in str(caught.value)


def test_a_small_file_cannot_stand_for_billions_of_values(tmp_path):
    doubled = ["a0: &a0 [x, x]", *(f"a{k}: &a{k} [*a{k - 1}, *a{k - 1}]" for k in range(1, 30))]
    with pytest.raises(PlanError, match=r":\d+: aliases expand to too many values; write them out"):
        read(tmp_path, "\n".join(doubled))


@pytest.mark.parametrize(("values", "fits"), [(98, True), (99, True), (100, False)])
def test_the_list_itself_counts_too(tmp_path, monkeypatch, values, fits):
    monkeypatch.setattr(source, "MAX_VALUES", 100)
    if fits:
        assert len(read(tmp_path, "- 1\n" * values).data) == values
        return
    with pytest.raises(PlanError, match=r":100: aliases expand to too many values"):
        read(tmp_path, "- 1\n" * values)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder.yaml").mkdir()
    for name, said in (
        ("none.yaml", "no such plan; write one with 'seatrial init MODEL.onnx'"), ("pipe", "got a pipe or a device"),
        ("folder.yaml", "got a folder"), ("folder.yaml/../none", "no such plan"),
    ):  # fmt: skip
        with pytest.raises(PlanError, match=re.escape(said)):
            read_yaml(tmp_path / name)
