"""What a finding says: how it was confirmed, what it leaves, how far a number is known, and what each of two mistakes costs."""

import pytest
from parity_records import RECORDS, stage

from seatrial.history.records.diagnosis import Diagnosis, FaultEffect
from seatrial.report.finding_words import effects_said, explained_said, fix_said, title_of
from seatrial.report.parity_page import parity_page
from seatrial.report.parity_words import alone_said, beside_said, tried_said


def finding(fault="nms-settings", **fields):
    return Diagnosis(
        fault=fault, what="does so", stage="results", **{"explained": 1.0, "exact": True, "confirmed": 13} | fields
    )


@pytest.mark.parametrize(
    ("confirmed", "again", "said"),
    [
        (13, 0, "confirmed on 13 images"),
        (
            13,
            2,
            "confirmed on 11 other images and on the 2 that it was found on (so few differ that these had to serve twice)",
        ),
        (
            2,
            1,
            "confirmed on 1 other image and on the one that it was found on (so few differ that these had to serve twice)",
        ),
        (1, 1, "seen on the image that it was found on alone, as no others differ: more images would confirm it"),
        (3, 3, "seen on the 3 images that it was found on alone, as no others differ: more images would confirm it"),
    ],
)
def test_what_confirms_it(confirmed, again, said):
    assert explained_said(finding(confirmed=confirmed, again=again)).endswith(f"; {said}")


@pytest.mark.parametrize(("explained", "left"), [(0.97468, "2.6 %"), (0.99991, "less than 0.1 %"), (0.9, "10.0 %")])
def test_what_it_leaves(explained, left):
    assert f"of the difference and leaves {left}; confirmed" in explained_said(
        finding(exact=False, explained=explained)
    )


def test_how_far_a_threshold_is_known():
    said = explained_said(finding(open_between=(0.3104, 0.3789)))
    assert said.endswith("; any value from 0.31 to 0.379 does the same to these images")
    assert "any value" not in explained_said(finding(open_between=(0.35, 0.35)))


def test_two_mistakes_have_an_effect_each_and_one_together():
    def effect(within):
        return FaultEffect(metric="agreement", without=1.0, within=within)

    first, second = finding(effect=effect(0.9), together=effect(0.5)), finding("exif", effect=effect(0.6))
    own = "agreement: 1.000 without it, 0.900 with it"
    assert effects_said(first) == f"{own}; with the other mistake too, agreement: 1.000 without it, 0.500 with it"
    assert effects_said(second) == "agreement: 1.000 without it, 0.600 with it"
    assert effects_said(finding()) == ""


def test_each_of_two_mistakes_of_one_name_in_its_own_words():
    left_out, added = (finding("antialias", twin=twin) for twin in (False, True))
    assert title_of(left_out) == "no antialiasing on a downscale"
    assert title_of(added) == "antialiasing on a downscale that the reference does without"
    assert "antialias=True" in fix_said(left_out)
    assert "antialias=False" in fix_said(added)
    assert "EXIF" in title_of(finding("exif"))
    assert title_of(finding("exif", twin=True)) == "every picture mirrored or turned"
    assert title_of(finding("of-a-later-version", twin=True)) == "of-a-later-version"
    words = parity_page(RECORDS["fault"].model_copy(update={"diagnosis": (added,)}))
    assert "averages all pixels, where the reference reads only the nearest" in words
    assert "skips those between" not in words


def test_what_was_left_untried_and_when_it_was_compared_stand_on_the_page():
    record = RECORDS["fault"].model_copy(update={"left": 12, "created": "2026-11-30T22:51:12+00:00"})
    page = parity_page(record)
    assert "143 known mistakes were tried, 12 more were not, as time was up." in page
    assert "2026-11-30 22:51 UTC" in page
    assert "as time was up" not in parity_page(RECORDS["fault"])
    assert "UTC" not in parity_page(RECORDS["fault"])
    assert tried_said(RECORDS["equal"].model_copy(update={"tried": 0})) == ""
    assert (
        tried_said(record.model_copy(update={"tried": 1, "left": 1}))
        == "1 known mistake was tried, 1 more was not, as time was up"
    )


def test_a_tick_beside_a_verdict_that_knows_nothing_is_of_the_stage_alone():
    held = "of int8 only what has less than 3 dB of signal to noise counts as differing"
    stages = (stage("outputs", "input", held=held), stage("results", "outputs"))
    unknown = RECORDS["inconclusive"].model_copy(update={"stages": stages})
    of_outputs, tick = alone_said(unknown)
    assert of_outputs == f"raw outputs: {held}"
    assert tick.startswith("✓ is of a stage by itself")
    assert alone_said(unknown.model_copy(update={"verdict": "EQUAL"})) == [of_outputs]
    assert held in parity_page(unknown)


def test_what_says_too_little_beside_a_finding_is_said():
    said = beside_said(
        RECORDS["fault"].model_copy(update={"too_little": "the candidate gives nothing on any of 6 images"})
    )
    assert said == ["the candidate gives nothing on any of 6 images, which is too little to tell why"]
