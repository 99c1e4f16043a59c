"""Warnings: a code that means one thing, words for people, and who gives which."""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pytest

import seatrial
from seatrial.history import schema1
from seatrial.history.find import load_record
from seatrial.history.records import CellRecord, Measurement
from seatrial.history.run_folder import RunFolder
from seatrial.images.files import ImageFile
from seatrial.jobs.summarise import not_converged, unaccounted_time
from seatrial.jobs.workload import Timing
from seatrial.kernels.results import Detections
from seatrial.parity.classes import map_classes
from seatrial.parity.relabel import relabelling
from seatrial.parity.seen import nothing_found, unknown_classes
from seatrial.parity.tags import read_tags
from seatrial.parity.truth import Truth
from seatrial.report.groups import alike_warnings, group_warnings
from seatrial.stats.compare import paired_effect
from seatrial.stats.sample import percentile_estimate
from seatrial.warning import CODES, COUNTED, Warning

ROOT = Path(__file__).parent.parent
SOURCES = sorted(Path(seatrial.__file__).parent.rglob("*.py"))
RECORDS = sorted((Path(__file__).parent / "history" / "records").glob("*/*/record.json"))


def test_words_are_the_text_and_its_cure():
    assert str(Warning("heat", "too hot")) == "too hot"
    assert str(Warning("heat", "too hot", "cool it")) == "too hot; cool it"
    assert Warning("heat", "too hot", "cool it").of("b") == Warning("heat", "b: too hot", "cool it")


def given(tree):
    """The code of each Warning that is made in a module; a code that is no constant is a mistake."""
    calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    return [c.args[0] for c in calls if c.func.id == "Warning"]


def asked(tree):
    """Codes that a module compares with."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute) and node.left.attr == "code":
            yield from (c.value for c in node.comparators if isinstance(c, ast.Constant))


@pytest.mark.slow
def test_every_code_is_in_the_vocabulary_and_every_word_of_it_is_used():
    made, compared = set(), set()
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        if path.name != "schema1.py":
            made |= {ast.literal_eval(code) for code in given(tree)}
        compared |= set(asked(tree))
    assert made | {"old"} == set(CODES)
    assert compared <= set(CODES)
    assert set(CODES) >= COUNTED | set(schema1.CODES.values())


def test_codes_are_names():
    for code, meaning in CODES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert meaning
        assert not meaning.endswith(".")


def test_the_page_on_records_has_the_vocabulary():
    page = (ROOT / "docs" / "records.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page.partition("## Warnings")[2], re.M))
    assert rows == CODES


BOXES = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.array([7]))
NO_BOXES = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
COCO = Truth(
    Path("t.json"),
    {
        "images": [{"id": 1, "file_name": "1.png"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    },
)


# What gives warnings, and their codes in order.
GIVEN = [
    (lambda: percentile_estimate([1.0, 2.0], 0.5).warnings, ["no-lower-bound", "no-upper-bound"]),
    (lambda: percentile_estimate(np.random.default_rng(0).random(300), 0.5).warnings, []),
    (lambda: paired_effect([0.1]).warnings, ["too-few-pairs"]),
    (lambda: paired_effect(np.repeat([0.0, 0.06], 6) + np.linspace(0, 1e-3, 12)).warnings, ["launch-modes"]),
    (lambda: [not_converged(Measurement(stages={}), Timing(ended="deadline"), "--max-time")], ["not-converged"]),
    (lambda: [nothing_found([NO_BOXES])], ["nothing-found"]),
    (lambda: [unknown_classes([BOXES], 7)], ["unknown-classes"]),
    (lambda: map_classes(COCO, None, None, 2).warnings, ["class-order"]),
    (lambda: map_classes(COCO, ["A", "c"], None, 2).warnings, ["folded-names", "unused-categories", "extra-classes"]),
    (lambda: map_classes(COCO, ["b", "a"], "order", 2).warnings, ["class-conflict"]),
    (lambda: relabelling(["a", "b"], ["a"], 2, 1).warnings, ["unmatched-classes"]),
    (lambda: relabelling(None, ["a"], 1, 1).warnings, ["assumed-classes"]),
    (lambda: [relabelling(None, ["a"], 2, 1).problem], ["unlike-classes"]),
    (lambda: [relabelling(["a"], ["b"], 1, 1).problem], ["unlike-classes"]),
]


@pytest.mark.parametrize(("give", "codes"), GIVEN, ids=range(len(GIVEN)))
def test_who_gives_which(give, codes):
    assert [w.code for w in give()] == codes


def test_a_list_of_tags_gives_a_code_a_kind(tmp_path):
    (tmp_path / "tags.csv").write_text("image,tag\n1.png,day\n1.png,day\n1.png,\nx.png,day\n")
    told = read_tags(tmp_path / "tags.csv", [ImageFile(tmp_path / "1.png", "1.png")])[1]
    assert [w.code for w in told] == ["unknown-images", "untagged-rows", "repeated-rows"]


def test_a_doubt_about_the_stages_is_a_warning_too(record):
    m = next(c.measurement for c in record("trial").cells if c.measurement)
    assert unaccounted_time(m) is None
    decode = m.stages["decode"].model_copy(update={"share": m.stages["decode"].share - 0.2})
    found = unaccounted_time(m.model_copy(update={"stages": m.stages | {"decode": decode}}))
    assert found.code == "unaccounted-time"
    assert found.text.startswith("the stages add up to ")


@pytest.fixture
def record():
    """A record of before, by what was measured."""

    def load(name):
        return load_record(RunFolder(next(p.parent for p in RECORDS if p.parts[-3] == name)))

    return load


def cell(name, *warnings):
    return CellRecord(
        id=name, pipeline="p", backend="fake", precision="fp32", batch=1, threads=1, status="ok", warnings=warnings
    )  # fmt: skip


def test_of_many_cells_that_did_not_converge_one_line_says_it(record):
    late = [Warning("not-converged", f"NOT CONVERGED within {k} s", "raise it") for k in range(2)]
    other = Warning("steal", "stolen", "a machine of its own")
    run = record("trial").model_copy(update={"warnings": (other,), "cells": (cell("a", late[0]), cell("b", late[1]))})
    assert group_warnings(run) == {other: [], Warning("not-converged", "NOT CONVERGED", "raise it"): ["a", "b"]}
    run = run.model_copy(update={"cells": (cell("a", late[0]), cell("b", other))})
    assert group_warnings(run) == {other: ["b"], late[0]: ["a"]}


def test_what_a_failed_cell_says_is_not_said_again(record):
    failed = cell("a").model_copy(update={"status": "failed", "reason": "was killed"})
    told = Warning("cut-short", "was killed"), Warning("cut-short", "interrupted")
    run = record("trial").model_copy(update={"warnings": told, "cells": (failed,)})
    assert group_warnings(run) == {told[1]: []}


def test_a_number_in_a_name_is_no_figure():
    """Else a line about fp16 would hide what is said of fp8."""
    said = [
        Warning("computed-otherwise", f"asked for {precision}, and {n} of 35 compute in fp32", "leave it out")
        for precision, n in (("fp16", 35), ("fp16", 34), ("fp8", 35))
    ]
    assert alike_warnings({w: [str(k)] for k, w in enumerate(said)}) == [(said[:2], ["0", "1"]), (said[2:], ["2"])]


def test_a_warning_in_a_record_is_three_texts(record):
    run = record("trial").model_copy(update={"warnings": (Warning("heat", "too hot", "cool it"),)})
    data = json.loads(json.dumps(run.to_json()))
    assert data["warnings"] == [{"code": "heat", "text": "too hot", "cure": "cool it"}]
    assert type(run).model_validate(data | {"schema_": data["schema"]}).warnings == run.warnings


# Sentences of before, and what becomes of them.
SENTENCES = [
    ("NOT CONVERGED within 1.0 s; raise it", Warning("not-converged", "NOT CONVERGED within 1.0 s", "raise it")),
    ("NOT CONVERGED", Warning("not-converged", "NOT CONVERGED")),
    ("p99 has no upper bound at 95 %", Warning("no-upper-bound", "p99 has no upper bound at 95 %")),
    ("the process waited 1 ms; pin it", Warning("run-queue", "the process waited 1 ms; pin it")),
    ("whatever; else", Warning("old", "whatever; else")),
    ({"what": "heat slowed the cores", "cure": "cool it"}, Warning("heat", "heat slowed the cores", "cool it")),
    ({"what": "turbo is on", "cure": "turn it off"}, Warning("old", "turbo is on", "turn it off")),
]


@pytest.mark.parametrize(("said", "warning"), SENTENCES, ids=range(len(SENTENCES)))
def test_sentences_of_before_get_a_code(said, warning):
    words = str(warning)
    assert words == (said if isinstance(said, str) else f"{said['what']}; {said['cure']}")
    old = {"warnings": [said], "cells": [{"warnings": [said], "noise": {"disturbances": [said]}}], "plan": {}}
    new = schema1.record_of(old)
    assert new["warnings"] == new["cells"][0]["warnings"] == new["cells"][0]["noise"]["disturbances"] == [warning]
    assert schema1.start_of({"environment": {"disturbances": [said]}})["environment"]["disturbances"] == [warning]


def sentences(old):
    """All that a record of before says in sentences."""
    if isinstance(old, list):
        return [said for v in old for said in sentences(v)]
    if not isinstance(old, dict):
        return []
    own = [w for key in ("warnings", "disturbances") for w in old.get(key) or [] if isinstance(old.get(key), list)]
    own = [w if isinstance(w, str) else f"{w['what']}; {w['cure']}" for w in own]
    return own + [said for v in old.values() for said in sentences(v)]


def told(new):
    """The same of a record of now."""
    if isinstance(new, Warning):
        return [str(new)]
    values = new if isinstance(new, list | tuple) else new.values() if isinstance(new, dict) else ()
    return [said for v in values for said in told(v)]


@pytest.mark.parametrize("path", RECORDS, ids=lambda p: p.parts[-3])
def test_records_of_before_say_what_they_said(path):
    old = json.loads(path.read_text())
    assert sorted(told(schema1.record_of(old))) == sorted(sentences(old))
    load_record(RunFolder(path.parent))


def test_what_is_no_sentence_is_left_for_whoever_reads_it():
    for odd in (3, None, {"why": "so"}):
        assert schema1.record_of({"warnings": [odd]})["warnings"] == [odd]
