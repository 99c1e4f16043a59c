"""The page of a parity record: whole, escaped, and without a request to anybody."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from parity_records import RECORDS, stage

from seatrial.faults.catalogue import FAULTS
from seatrial.history.records.diagnosis import OtherFault
from seatrial.report.finding_words import share_said
from seatrial.report.parity_page import MOST_IMAGES, StagePicture, parity_page
from seatrial.report.parity_words import head_said, summary_said

VOID = {"meta", "img", "br", "hr", "link"}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


def png(level):
    return cv2.imencode(".png", np.full((4, 4, 3), level, np.uint8))[1].tobytes()


def pictures(count):
    return [
        StagePicture(f"image-{k}.jpg", stage, png(k), png(k + 50), png(50), 5)
        for k in range(count)
        for stage in ("resized", "input")
    ]


@pytest.mark.parametrize("name", RECORDS)
def test_it_is_whole_and_asks_nobody_for_anything(name):
    text = parity_page(RECORDS[name], pictures(2))
    page = Page(text)
    assert all(s.startswith("data:image/png;base64,") for s in page.sources)
    assert "default-src 'none'" in text
    assert not set(page.tags) & {"script", "link", "iframe", "object"}
    # A plot names what it is written in, and its own clips.
    named = re.sub(r'xmlns(:xlink)?="[^"]+"|url\(#errors-[^)]+\)', "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", named)


def test_names_are_escaped():
    hostile = RECORDS["inconclusive"].model_copy(
        update={"reason": "<img src=x onerror=alert(1)>", "declared": ("<b>bold</b>",)}
    )
    text = parity_page(hostile, [StagePicture("<script>'\"&.jpg", "in<put", png(1), png(2), png(3), note="<i>")])
    page = Page(text)
    assert "script" not in page.tags
    assert page.tags.count("img") == 3
    assert "<script>alert(1)</script>" in page.words
    assert "\x1b" not in text
    assert "<script>'\"&.jpg" in page.words


def test_a_manager_finds_the_answer_at_the_top():
    words = Page(parity_page(RECORDS["fault"])).words
    assert "They differ: 2 known mistakes" in words
    top = words[: words.index("What explains it")]
    for said in (
        "part at the input tensor, in 198 of 200 images",
        "BGR and RGB swapped: it feeds BGR.",
        "mAP: 0.780 without it, 0.612 with it (95 % interval 0.571 to 0.650)",
        "What to do: swap the channels before the tensor",
        "trial.yaml:9: preprocess.color: rgb",
        "they part here",
    ):
        assert said in top


def test_where_they_part_is_marked_once_in_the_flow():
    text = parity_page(RECORDS["fault"])
    assert re.findall(r'<li class="(\w+(?: first)?)">', text) == [
        "begin", "agrees", "agrees", "differs first", "agrees", "differs",
    ]  # fmt: skip
    assert text.count("<em>they part here</em>") == 1
    assert '<li class="unseen"><b>decoded image</b><span>not shown' in parity_page(RECORDS["unknown"])


def test_each_finding_has_its_evidence():
    words = Page(parity_page(RECORDS["fault"])).words
    assert "gives exactly what the candidate gave; confirmed on 24 images" in words
    assert "the next best, mean-std (applies mean and std: ImageNet's), explains 12.4 %" in words
    assert FAULTS["channel-order"].reported in words
    assert FAULTS["channel-order"].shows in words


def test_what_images_cannot_tell_is_never_said_as_if_it_were_known():
    record = RECORDS["alike"]
    assert head_said(record) == "They differ: no antialiasing on a downscale, or what looks like it"
    assert "It may be half-pixel instead, which these images do not tell apart." in summary_said(record)
    words = Page(parity_page(record)).words
    assert (
        "But these images cannot tell it from half-pixel (samples with aligned corners); a picture with fine detail"
        in words
    )


def test_without_an_explanation_it_says_what_is_known():
    words = Page(parity_page(RECORDS["unknown"])).words
    for said in (
        "No known mistake explains it",
        "None of 60 known mistakes",
        "random, in all classes alike",
        "calibration",
    ):
        assert said in words


def test_two_models_differ_on_purpose_and_no_mistake_is_missed():
    reason = "they run two models; nothing differs in front of the models or behind them"
    first = RECORDS["unknown"].stages[0].model_copy(update={"shape": ""})
    update = {"tried": 0, "near": (), "reason": reason, "stages": (first,), "first_divergence": first}
    record = RECORDS["unknown"].model_copy(update=update)
    words = Page(parity_page(record)).words
    assert "They run two models; nothing differs in front of the models or behind them." in words
    assert "known mistake explains" not in words


def test_equal_is_said_of_all_images_and_names_no_fault():
    text = parity_page(RECORDS["equal"])
    words = Page(text).words
    assert "Both are equal" in words
    assert "the same on all 32 images" in words
    assert "What explains it" not in words
    assert '<header class="pass">' in text


def test_a_fault_of_a_later_version_is_shown_by_its_name():
    later = RECORDS["fault"].diagnosis[0].model_copy(update={"fault": "of-a-later-version", "fix": ""})
    record = RECORDS["fault"].model_copy(update={"diagnosis": (later,)})
    assert "They differ: of-a-later-version" in Page(parity_page(record)).words


def test_pictures_of_the_worst_images_stand_side_by_side():
    page = Page(parity_page(RECORDS["fault"], pictures(MOST_IMAGES + 2)))
    assert page.tags.count("img") == MOST_IMAGES * 2 * 3
    assert base64.b64decode(page.sources[0].split(",")[1]) == png(0)
    assert "2 more are not shown" in page.words
    assert page.words.count("difference × 5") == MOST_IMAGES * 2


def test_a_side_without_a_picture_and_equal_sides_are_said():
    own = [
        StagePicture("a.jpg", "decoded", png(1), b"", b"", same=True),
        StagePicture("a.jpg", "resized", png(1), b"", b"", note="the candidate has NaN there"),
    ]
    page = Page(parity_page(RECORDS["fault"], own))
    assert page.tags.count("img") == 2
    assert "The same in both" in page.words
    assert "the candidate has NaN there" in page.words


@pytest.mark.parametrize(
    ("explained", "said"), [(1.0, "100.0 %"), (0.99996, "99.9 %"), (0.1, "10.0 %"), (0.0, "none"), (-3.0, "none")]
)
def test_shares_are_never_rounded_up(explained, said):
    assert share_said(explained) == said


def test_others_that_explain_less_stand_with_the_figures():
    near = (OtherFault(fault="mean-std", what="applies none", explained=0.4),)
    record = RECORDS["fault"].model_copy(update={"near": near})
    assert "Others explain less: mean-std (applies none) explains 40.0 %" in Page(parity_page(record)).words


def test_candidates_before_nms_are_a_stage_of_the_flow_where_they_are_shown():
    stages = (*RECORDS["equal"].stages, stage("candidates", "outputs", of=32))
    assert "boxes before NMS" in parity_page(RECORDS["equal"].model_copy(update={"stages": stages}))
    assert "boxes before NMS" not in parity_page(RECORDS["equal"])


def test_what_an_unexplained_difference_looks_like_stands_at_the_top():
    looks = stage(
        "input", "resized", 9, 0.2, of=10, largest=0.5, shape="a shift by 2 px to the right explains 93 % of it"
    )
    record = RECORDS["unknown"].model_copy(update={"stages": (looks,), "first_divergence": looks})
    words = Page(parity_page(record)).words
    top = words[: words.index("No known mistake explains it", words.index("Where they part"))]
    assert "What the difference looks like: A shift by 2 px to the right explains 93 % of it." in top
    assert "The difference of the input tensor looks like this: a shift by 2 px to the right" in words
    assert "of it; at most 0.5" in words


def test_a_difference_beside_a_named_mistake_is_not_lost():
    first, *others = RECORDS["fault"].stages
    looks = stage("outputs", "input", 9, 0.2, of=10, shape="it looks random")
    record = RECORDS["fault"].model_copy(update={"stages": (first, looks, *others)})
    words = Page(parity_page(record)).words
    assert "What no known mistake explains beside" in words
    assert "The difference of the raw outputs looks like this: it looks random." in words
    assert "seatrial parity A.onnx B.onnx" in words, "of taps it is said how to look inside"


def test_inside_the_models_is_a_plot_and_a_table():
    text = parity_page(RECORDS["inside"])
    page = Page(text)
    assert page.tags.count("svg") == 1
    assert "seatrial parity A.onnx B.onnx" not in page.words
    for said in (
        "The models differ: output output0: an error of 0.31",
        "first at Conv /layer.1/Conv",
        "trained.onnx in fp32",
        "not finite",
        "0.2",
    ):
        assert said in page.words, said


def test_pictures_say_what_they_are():
    webp = cv2.imencode(".webp", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    jpeg = cv2.imencode(".jpg", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    page = Page(parity_page(RECORDS["fault"], [StagePicture("a.jpg", "input", png(1), webp, jpeg)]))
    kinds = [s.split(";")[0] for s in page.sources]
    assert kinds == ["data:image/png", "data:image/webp", "data:image/jpeg"]
