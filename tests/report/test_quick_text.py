"""The one screen of a first trial: what was compared, and nothing said of what was not. On records made by hand."""

import io

import numpy as np
import pytest
from records import cell, measured, measurement, record
from rich.console import Console

from seatrial.history.records import Decision, ImagesSection, ParityResult
from seatrial.report.quick_text import agreement_words, print_quick, verdict_words

COLUMNS = 80
TABLE = np.tile(np.array([0, 1, 1, 1, 1, 4], np.int64) * 1_000_000, (40, 1))
REFERENCE = "baseline.onnxruntime-cpu.fp32.b1.t1"


def ran(backend, parity=None, **fields):
    held = measurement(
        TABLE, throughput=measured(40, 39, 41, "images/s"), peak_memory=measured(2**27, unit="B"), converged=True
    )
    return cell("baseline", backend, measurement=held, parity=parity, **fields)


def compared(agreement=1.0, **fields):
    return ParityResult(reference=REFERENCE, rtol=1e-3, atol=1e-3, agreement=agreement, agreement_of="boxes", **fields)


def judged(found, verdict, check="parity results"):
    return Decision(check=check, verdict=verdict, reason="so it is", cell=found.id)


def of(*cells, decisions=(), verdict="PASS", **fields):
    return record(
        cells, kind="trial", verdict=verdict, decisions=tuple(decisions), images=ImagesSection(count=4), **fields
    )


def screen(made, refused=(), unchecked=("accuracy (no truth)",)):
    text = io.StringIO()
    print_quick(Console(file=text, width=COLUMNS), made, refused, unchecked, "2 pictures")
    assert max(map(len, text.getvalue().splitlines())) <= COLUMNS
    return text.getvalue()


FIRST = ran("onnxruntime-cpu")


@pytest.mark.parametrize(
    ("verdict", "words"), [("PASS", "agree (100.0% of boxes)"), ("FAIL", "DIFFER"), ("INCONCLUSIVE", "not known")]
)
def test_agreement_is_the_gates_word(verdict, words):
    other = ran("openvino-cpu", compared())
    assert agreement_words(other, [judged(other, verdict)])[0] == words


def test_a_cell_with_nothing_judged_of_it_agrees_with_nobody():
    other = ran("openvino-cpu", compared(None, note="nothing in common"))
    assert agreement_words(other, [])[0] == "not known"
    assert agreement_words(other, [judged(other, "PASS", "cells run")])[0] == "not known"


def test_one_doubt_is_enough():
    other = ran("openvino-cpu", compared())
    decisions = [judged(other, "PASS", "parity tensors"), judged(other, "INCONCLUSIVE")]
    assert agreement_words(other, decisions)[0] == "not known"
    assert agreement_words(other, [*decisions, judged(other, "FAIL")])[0] == "DIFFER"


def test_raw_outputs_that_agree_are_not_called_results():
    other = ran("openvino-cpu", compared(None))
    assert agreement_words(other, [judged(other, "PASS", "parity tensors")])[0] == "agree (raw outputs)"


def test_a_reference_that_gave_nan_is_broken_though_it_is_the_reference():
    assert agreement_words(FIRST, [judged(FIRST, "FAIL", "outputs without NaN")])[0] == "broken"


def test_a_pass_says_what_it_is_of_and_that_nobody_checked_the_truth():
    other = ran("openvino-cpu", compared())
    made = of(FIRST, other, decisions=[judged(other, "PASS")])
    word, said, _ = verdict_words(made)
    assert (word, said) == (
        "PASS", "onnxruntime-cpu and openvino-cpu give the same results, within tolerance; that they are right, nobody checked",
    )  # fmt: skip
    shown = screen(made)
    assert "not checked: accuracy (no truth)" in shown
    assert len(shown.splitlines()) <= 10


def test_one_backend_alone_passes_nothing():
    """The record says PASS of 'cells run', as a plan's would; a screen with that word would say too much."""
    made = of(FIRST, decisions=[judged(FIRST, "PASS", "cells run")])
    word, said, _ = verdict_words(made)
    assert word == "RUNS"
    assert "nothing is judged" in said
    assert "PASS" not in screen(made)


@pytest.mark.parametrize("verdict", ["FAIL", "INCONCLUSIVE"])
def test_what_did_not_pass_stands_there_with_its_reason(verdict):
    other = ran("openvino-cpu", compared(0.5))
    shown = screen(of(FIRST, other, decisions=[judged(other, verdict)], verdict=verdict))
    assert f"{verdict} parity results" in shown
    assert "so it is" in shown
    assert "PASS" not in shown
    assert "same results" not in shown


def test_backends_that_failed_or_refused_are_not_left_out():
    broken = cell("baseline", "openvino-cpu", status="failed", reason="crashed with SIGSEGV", exit_code=1)
    decisions = [Decision(check="cell runs", verdict="FAIL", reason="crashed with SIGSEGV", cell=broken.id)]
    shown = screen(of(FIRST, broken, decisions=decisions, verdict="FAIL"), [("onnxruntime-cuda", "no kernel for it")])
    assert "✗ openvino-cpu: crashed with SIGSEGV" in shown
    assert "✗ onnxruntime-cuda does not run it: no kernel for it" in shown
    assert "FAIL" in shown
