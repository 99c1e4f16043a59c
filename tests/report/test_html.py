"""The report: self-contained, complete, escaped, and the same each time."""

import re
from html.parser import HTMLParser

import pytest

from seatrial.report.html import write_report
from seatrial.trial.run import run_trial


class Page(HTMLParser):
    VOID = frozenset({"meta", "img", "br", "link", "path", "use", "rect", "image", "circle", "hr"})

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.sources, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href", "xlink:href"):
                self.sources.append(value)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page_of(workspace, **parts):
    outcome = run_trial(workspace.load(**parts), workspace.folder / "results")
    write_report(outcome.run)
    text = (outcome.run.path / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    return text, page, outcome


@pytest.fixture(scope="module")
def sound(shared_workspace):
    """The page of a trial in which nothing is wrong."""
    return page_of(shared_workspace)


def test_the_page_needs_nothing_from_outside(sound):
    text, page, _ = sound
    assert all(s.startswith(("data:", "#")) for s in page.sources), page.sources
    assert not re.search(r"https?://(?!www\.w3\.org/|purl\.org|creativecommons\.org)", text)
    assert "<script" not in text
    assert len(page.ids) == len(set(page.ids))
    assert text.count("<svg") == 3
    assert len(text) < 2_000_000


@pytest.mark.parametrize(
    "section", ["verdict", "stages", "latency", "timeline", "throughput", "pictures", "cells", "environment"]
)
def test_every_section_is_there(sound, section):
    _, page, _ = sound
    assert section in page.ids


def test_the_verdict_comes_first_and_failures_say_why(workspace):
    workspace.script("broken.fake.json", fail={"at": 0, "how": "raise", "message": "<b>boom & bust</b>"})
    text, page, outcome = page_of(
        workspace,
        pipelines="\n  baseline:\n    model: model.fake.json\n    preprocess: {size: [8, 8], mode: stretch}\n"
        "    postprocess: {task: classify}\n  candidate: {extends: baseline, model: broken.fake.json}",
    )
    assert outcome.record.verdict == "FAIL"
    words = " ".join(page.text)
    assert words.index("FAIL") < words.index("Checks") < words.index("Where the time goes")
    assert "<b>boom & bust</b>" in words
    assert "&lt;b&gt;boom &amp; bust&lt;/b&gt;" in text


def test_names_from_the_users_files_are_escaped(workspace):
    (workspace.folder / "images" / "0.png").rename(workspace.folder / "images" / "<img src=x onerror=alert(1)>.png")
    text, _, _ = page_of(workspace)
    assert "<img src=x" not in text


def test_a_run_without_a_single_good_cell_still_has_a_report(workspace):
    workspace.script("model.fake.json", fail={"at": 0, "how": "exit"})
    text, page, _ = page_of(workspace)
    assert "Cells that failed" in text
    assert "stages" not in page.ids
